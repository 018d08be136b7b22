"""The `run` that a training function is given: parameters and seeds in, metrics out.

def train(run):
    model = make(run.params["hidden_units"])
    for step, batch in enumerate(batches(run.split_seed, run.train_seed)):
        ...
        run.log({"train_loss": loss, "validation_accuracy": accuracy}, step=step)
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, SupportsFloat, TypeVar

from experiments.analysis.curves.early_stopping import Waiting, after
from experiments.design.metrics import guess
from workers.training.flushing import FLUSH_SECONDS, Flusher
from workers.training.messages import Job, Score, Sealed
from workers.training.metric_values import MAX_NAME, is_name, to_float, to_step
from workers.training.run_checkpoints import RunCheckpoints
from workers.training.run_files import LoggedFiles
from workers.training.sink import Sink
from workers.training.system_metrics import SystemSampler

Item = TypeVar("Item")
# "unjudged": the official metric was not logged in the first evaluation.
Ending = Literal["", "pruned", "stopped", "early", "unjudged"]


class Stopped(Exception):
    """Raised by `Run.log` when a person or a stop rule asked the run to end."""


class StoppedEarly(Stopped):
    """Raised by `Run.log` when the watched metric got no better for as long as was agreed.

    A loop over `Run.until_stopped` just ends instead, so that a test score can still be taken.
    """


class OfficialMetricMissing(Exception):
    """Raised by `Run.log` after an evaluation in which the official metric was not logged."""


class Run(LoggedFiles):
    """One run of a training function. Made by a worker, not by the training function."""

    def __init__(
        self,
        job: Job,
        sink: Sink,
        flush_seconds: float = FLUSH_SECONDS,
        system_seconds: float | None = None,
    ) -> None:
        super().__init__(job, sink)
        self._calls = 0
        self._last_step: float = 0
        self._score = Score()
        self._destinations: dict[object, _Destination] = {}
        self._sealed: dict[str, Sealed] = {}
        self._flusher = Flusher(sink.series, lambda: self._score, flush_seconds)
        self._sampler = SystemSampler(self._observe, system_seconds) if system_seconds else None
        self.unanswered = 0
        self.ending: Ending = ""
        self._patience_metric = job.early_stopping.metric if job.early_stopping else ""
        self._waiting = Waiting()
        # Steps at which validation metrics were logged before the official one; None: never mind.
        self._evaluated: dict[str, float] | None = {} if self._declares_official() else None
        self._checkpoints = RunCheckpoints(job, sink, self._warn)
        self._reports: list[tuple[float, float]] = []  # evaluations, for a resumed run's pruner
        self._loops = 0  # of `until_stopped` that are running
        self._ends_by_itself = False  # one of them noticed the stop

    @property
    def stop_requested(self) -> bool:
        """Test whether the next log call ends the run."""
        return self._sink.stop_requested

    @property
    def score(self) -> Score:
        return self._score

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._warnings.texts

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all metrics logged so far, those of the test split included."""
        return tuple(
            str(name)
            for name, destination in self._destinations.items()
            if destination != "refused"
        )

    @property
    def sealed(self) -> tuple[Sealed, ...]:
        """The last value of every metric of the test split."""
        return tuple(self._sealed.values())

    def log(self, metrics: Mapping[str, SupportsFloat], step: SupportsFloat | None = None) -> None:
        """Record metrics at a step, which may lie between two whole numbers; without one, the
        step is the number of earlier calls.

        Numbers, NumPy scalars, and tensors and arrays of one element will do. A value that is
        no number is skipped and named once. Returns at once, except for a call that carries the
        official metric while a pruner is on: it waits for the pruner, PRUNER_SECONDS at most (1).

        Raises optuna.TrialPruned when the pruner ends the trial, `Stopped` when the run was asked
        to stop, and `StoppedEarly` when its early stopping ends it. Within `until_stopped` the
        last two are not raised: its loop ends. Raises `OfficialMetricMissing` when a validation
        metric comes a second time and the metric declared official has not come at all.
        """
        if self._is_another_rank or self._warnings.is_forked("log"):
            return
        number = self._calls
        self._calls += 1
        at = number if step is None else self._step(step, number)
        values: dict[str, float] = {}
        for name, given in metrics.items():
            value = given if type(given) is float else self._number(name, given)
            if value is None:
                continue
            destination = self._destinations.get(name) or self._declare(name)
            if destination == "series":
                values[name] = value
            elif destination == "sealed":
                self._sealed[name] = Sealed(name, value, at)
        self._last_step = at
        if values:
            self._add(at, values)
        official = values.get(self._job.official_metric)
        if official is not None:
            self._evaluate(at, official)
            self._evaluated = None
            if self._job.pruning:
                self._reports.append((at, official))
        elif self._evaluated is not None:
            self._warn_missing(at, values)
        self._check_stop(at, official)
        if self._patience_metric in values:
            self._check_patience(at, values[self._patience_metric])

    def until_stopped(self, steps: Iterable[Item]) -> Iterator[Item]:
        """Go through `steps` until the run was asked to stop or its early stopping ends it.

            for epoch in run.until_stopped(range(1, epochs + 1)):
                ...
                run.log({"validation_accuracy": accuracy}, step=epoch)
            run.log({"test_accuracy": evaluate(model, test)})

        The loop ends after the round in which that came about, and what follows it still runs and
        is recorded. So a run that ended early has a test score like any other. A run that was
        asked to stop and does not come to its end is killed after a while; a pruned one ends in
        its log call at once.
        """
        items = iter(steps)
        self._loops += 1
        try:
            while not self.ending:
                try:
                    item = next(items)
                except StopIteration:
                    return
                yield item
        finally:
            self._loops -= 1

    def finish(self, returned: object) -> None:
        """Take what the training function returned: a number counts if nothing was logged."""
        value = None if isinstance(returned, bool) else to_float(returned)
        if self._score.evaluations == 0 and value is not None:
            name = self._job.official_metric
            self._destinations[name] = "series"
            self._add(self._last_step, {name: value})
            self._evaluate(self._last_step, value)

    def flush(self) -> None:
        """Wait until all points logged so far are sent, as before a checkpoint.

        Raises the error of a failed send.
        """
        if not self._warnings.is_forked("flush"):
            self._flusher.flush()

    @property
    def checkpoint_due(self) -> bool:
        """Test whether a checkpoint would be good now: some time after the one before, and when
        the run was asked to end. Never on ranks above 0.
        """
        if self._is_another_rank or not self._checkpoints.are_kept:
            return False
        return self.ending == "stopped" or self._checkpoints.is_due()

    def save_checkpoint(
        self, state: Any, *, step: SupportsFloat, generators: Sequence[Any] = ()
    ) -> bool:
        """Save a checkpoint after `step`; False when it was not saved.

        All points logged up to here are sent first, so a curve never has a gap before its
        checkpoint. Random states of Python, NumPy, torch and CUDA are kept, and those of
        `generators`: torch, NumPy or Python ones of your own, such as a data loader's.

        A disk that does not take it is warned about and training goes on. Raises CheckpointError
        for a state that is too large or could not be read back (tensors, numbers, text, and
        lists, tuples and dictionaries of them can).
        """
        if self._is_another_rank or self._warnings.is_forked("save_checkpoint"):
            return False
        if not self._checkpoints.are_kept:
            self._warn("checkpoints", "no checkpoints are kept here")
            return False
        at = self._step(step, self._last_step)
        self.flush()
        return self._checkpoints.save(
            state, step=at, score=self._score, memory=self._run_state(), generators=generators
        )

    def load_checkpoint(
        self, *, generators: Sequence[Any] = (), from_lower_budget: bool = False
    ) -> Any:
        """The state of the newest checkpoint of this trial, None when it begins anew.

        Random states are restored, those of `generators` in the order in which they were saved.
        Tensors come on the CPU. Files that were altered are passed over for older ones.

        A trial of several folds or budgets gets those of the fold or budget that it is in. With
        `from_lower_budget` a budget that has none yet goes on from the last one of the budget
        below; only the state comes from there, no value does.
        """
        if self._warnings.is_forked("load_checkpoint"):
            return None
        return self._checkpoints.load(
            generators, remember=self._restore_state, from_lower_budget=from_lower_budget
        )

    def _run_state(self) -> dict[str, Any]:
        return {
            "score": asdict(self._score),
            "waiting": asdict(self._waiting),
            "calls": self._calls,
            "last_step": self._last_step,
            "sealed": [asdict(score) for score in self._sealed.values()],
            "reports": list(self._reports),
        }

    def _restore_state(self, memory: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
        """Restore the run's state from a checkpoint; returns its reports to the pruner so far."""
        self._score = Score(**memory["score"])
        self._waiting = Waiting(**memory["waiting"])
        self._calls, self._last_step = memory["calls"], memory["last_step"]
        for score in memory["sealed"]:
            self._sealed[score["name"]] = Sealed(**score)
            self._declare(score["name"])
        self._reports = [(step, value) for step, value in memory["reports"]]
        if self._score.evaluations:
            self._declare(self._job.official_metric)
            self._evaluated = None
        return tuple(self._reports)

    def close(self) -> None:
        """Send the remaining points. Raises the error of a failed send."""
        if self._sampler is not None:
            self._sampler.close()
        self._flusher.close()
        if self._flusher.error is not None:
            raise self._flusher.error

    def _add(self, step: float, values: dict[str, float]) -> None:
        if self._job.suffix:
            values = {name + self._job.suffix: value for name, value in values.items()}
        self._flusher.add((step, time.time_ns() // 1_000_000, values))

    def _observe(self, values: Mapping[str, float]) -> None:
        """Record what was measured beside training, at the step that training has reached."""
        self._flusher.add((self._last_step, time.time_ns() // 1_000_000, values))

    def _evaluate(self, step: float, value: float) -> None:
        before = self._score
        best, best_step = before.value, before.best_step
        if math.isfinite(value) and (best is None or self._better(value, best)):
            best, best_step = value, step
        self._score = Score(best, best_step, value, step, before.evaluations + 1)

    def _better(self, value: float, best: float) -> bool:
        return value > best if self._job.direction == "maximize" else value < best

    def _declares_official(self) -> bool:
        """Test whether it must be logged; one that nobody declared may be returned at the end."""
        return self._job.official_metric in self._job.splits

    def _warn_missing(self, step: float, values: Mapping[str, float]) -> None:
        """Fail early, not after hours, when the official metric is never logged."""
        if self._evaluated is None:
            return
        for name in values:
            if (
                self._split(name) == "validation"
                and self._evaluated.setdefault(name, step) != step
            ):
                self.ending = "unjudged"
                raise OfficialMetricMissing(self.without_official())

    def without_official(self) -> str:
        """Warning about a run that never logged its official metric."""
        seen = ", ".join(sorted(self.names)) or "none"
        return f"{self._job.official_metric} was never logged; names seen: {seen}"

    def _check_stop(self, step: float, official: float | None) -> None:
        """Check for a stop request and ask the pruner; the call's points are already queued."""
        if self._sink.stop_requested:
            self.ending = "stopped"
        elif official is not None and self._job.pruning and not self.ending:
            answer = self._sink.report(step, official)
            if answer is None:
                self.unanswered += 1
                self._warn(("unanswered", step), f"step {step}: no pruner answered, not pruned")
            elif answer:
                self.ending = "pruned"
        if self.ending == "stopped" and not self._is_in_stoppable_loop():
            raise Stopped(f"asked to stop at step {step}")
        if self.ending == "pruned":
            import optuna  # only here: a run without a pruner does without its import

            raise optuna.TrialPruned(f"pruned at step {step}")

    def _is_in_stoppable_loop(self) -> bool:
        """Test whether `until_stopped` ends the run instead of an exception."""
        self._ends_by_itself = self._ends_by_itself or self._loops > 0
        return self._ends_by_itself

    def _check_patience(self, step: float, value: float) -> None:
        rule = self._job.early_stopping
        if rule is None:
            return
        patience = rule.patience
        self._waiting = after(self._waiting, value, patience, maximize=bool(rule.maximize))
        if self._waiting.used >= patience.patience:
            self.ending = "early"
            if self._is_in_stoppable_loop():
                return
            raise StoppedEarly(
                f"{rule.metric} has used up its patience of {patience.patience} "
                f"({patience.rule}) at step {step}"
            )

    def _declare(self, name: object) -> _Destination:
        """Destination of a metric, decided at its first value."""
        destination: _Destination = "series"
        if not is_name(name):
            destination = "refused"
            self._warn(name, f"metric {name!r:.100}: skipped, expected 1 to {MAX_NAME} characters")
        elif self._split(str(name)) == "test":
            destination = "sealed"
        self._destinations[name] = destination
        return destination

    def _split(self, name: str) -> str:
        splits = self._job.splits
        return splits[name] if name in splits else guess(name).split

    def _number(self, name: object, given: object) -> float | None:
        value = to_float(given)
        if value is None:
            kind = type(given).__name__
            self._warn(name, f"metric {name!r:.100}: skipped, its value is a {kind}, no number")
        return value

    def _step(self, step: object, number: float) -> float:
        found = to_step(step)
        if found is None:
            self._warn(_STEP, f"step {step!r:.50} is no 64-bit number: calls are counted")
            return number
        return found


_Destination = Literal["series", "sealed", "refused"]
_STEP = object()  # the key under which a bad step is warned about
