"""The `run` that a training function is given: parameters and seeds in, metrics out.

def train(run):
    model = make(run.params["hidden_units"])
    for step, batch in enumerate(batches(run.split_seed, run.train_seed)):
        ...
        run.log({"train_loss": loss, "validation_accuracy": accuracy}, step=step)
"""

from __future__ import annotations

import itertools
import math
import operator
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol, SupportsFloat, SupportsIndex, TypeVar, cast

from experiments.analysis.early_stopping import Waiting, after
from experiments.metrics import guess
from workers.flushing import FLUSH_SECONDS, Flusher
from workers.messages import Job, Score, Sealed, SeriesFlush
from workers.system_metrics import SystemSampler

Item = TypeVar("Item")
# "unjudged": the official metric was not logged in the first evaluation.
Ending = Literal["", "pruned", "stopped", "early", "unjudged"]

MAX_NAME = 200  # characters
MAX_WARNINGS = 100


class Stopped(Exception):
    """Raised by `Run.log` when a person or a stop rule asked the run to end."""


class StoppedEarly(Stopped):
    """Raised by `Run.log` when the watched metric got no better for as long as was agreed.

    A loop over `Run.until_stopped` just ends instead, so that a test score can still be taken.
    """


class OfficialMetricMissing(Exception):
    """Raised by `Run.log` after an evaluation in which the official metric was not logged."""


class Sink(Protocol):
    """Where a run's messages go."""

    @property
    def stop_requested(self) -> bool:
        """Whether the run should end at its next log call."""

    def series(self, flush: SeriesFlush) -> None:
        """Pass a flush on; called from the flusher's thread."""

    def report(self, step: int, value: float) -> bool | None:
        """Whether to prune; None when no answer came in time."""


class Run:
    """One run of a training function. Made by a worker, not by the training function."""

    def __init__(
        self,
        job: Job,
        sink: Sink,
        flush_seconds: float = FLUSH_SECONDS,
        system_seconds: float | None = None,
    ) -> None:
        self._job = job
        self._sink = sink
        self._params = MappingProxyType(dict(job.params))
        self._numbers = itertools.count()
        self._last_step = 0
        self._score = Score()
        self._places: dict[object, _Place] = {}
        self._sealed: dict[str, Sealed] = {}
        self._warnings: dict[object, str] = {}
        self._flusher = Flusher(sink.series, lambda: self._score, flush_seconds)
        self._sampler = SystemSampler(self._observe, system_seconds) if system_seconds else None
        self.read_split_seed = False
        self.read_data = False
        self.unanswered = 0
        self.ending: Ending = ""
        self._watched = job.early_stopping.metric if job.early_stopping else ""
        self._waiting = Waiting()
        # Steps at which validation metrics were logged before the official one; None: never mind.
        self._evaluated: dict[str, int] | None = {} if self._declares_official() else None
        self._loops = 0  # of `until_stopped` under way
        self._ends_by_itself = False  # one of them saw the end coming

    @property
    def params(self) -> Mapping[str, Any]:
        """Hyperparameters by name, fixed ones included; read-only."""
        return self._params

    @property
    def train_seed(self) -> int:
        """Seed of everything random in training: initial weights, order of batches, dropout."""
        return self._job.train_seed

    @property
    def split_seed(self) -> int:
        """Seed of the split into training, validation and test data.

        Reading it is recorded: a verdict over several splits says so only when splits varied.
        """
        self.read_split_seed = True
        return self._job.split_seed

    @property
    def data(self) -> Mapping[str, str]:
        """The data to train on as the experiment file names them: name, version and checksum, as
        far as they are given; empty when it names none.
        """
        self.read_data = True
        return MappingProxyType(dict(self._job.data))

    @property
    def search_seed(self) -> int | None:
        """Seed of the search that chose these parameters; None when no search did."""
        return self._job.search_seed

    @property
    def budget(self) -> float | None:
        """How much to spend: epochs, a fraction of the data, or a width, whichever the experiment
        file names under `fidelity:`; None when it names none.
        """
        return self._job.budget

    @property
    def folds(self) -> int:
        """How many folds there are, 0 when the data are split once."""
        return self._job.folds

    @property
    def fold(self) -> int | None:
        """Which fold, from 0, is held out to validate on; None when there are none."""
        return self._job.fold

    @property
    def score(self) -> Score:
        return self._score

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all metrics logged so far, those of the test split included."""
        return tuple(str(name) for name, place in self._places.items() if place != "refused")

    @property
    def sealed(self) -> tuple[Sealed, ...]:
        """The last value of every metric of the test split."""
        return tuple(self._sealed.values())

    def log(self, metrics: Mapping[str, SupportsFloat], step: SupportsIndex | None = None) -> None:
        """Record metrics at a step; without one, the step is the number of earlier calls.

        Anything that `float` takes will do: numbers, NumPy scalars, 0-d tensors. A value that is
        no number is skipped and named once. Returns at once, except for a call that carries the
        official metric while a pruner is on: it waits for the pruner, a second at most.

        Raises optuna.TrialPruned when the pruner ends the trial, `Stopped` when the run was asked
        to stop, and `StoppedEarly` when its early stopping ends it. Within `until_stopped` the
        last two are not raised: its loop ends. Raises `OfficialMetricMissing` when a validation
        metric comes a second time and the metric declared official has not come at all.
        """
        number = next(self._numbers)
        at = number if step is None else self._step(step, number)
        values: dict[str, float] = {}
        for name, given in metrics.items():
            value = given if type(given) is float else self._number(name, given)
            if value is None:
                continue
            place = self._places.get(name) or self._meet(name)
            if place == "series":
                values[name] = value
            elif place == "sealed":
                self._sealed[name] = Sealed(name, value, at)
        self._last_step = at
        if values:
            self._add(at, values)
        official = values.get(self._job.official_metric)
        if official is not None:
            self._evaluate(at, official)
            self._evaluated = None
        elif self._evaluated is not None:
            self._miss(at, values)
        self._heed(at, official)
        if self._watched in values:
            self._wait(at, values[self._watched])

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
        value = None if isinstance(returned, bool) else _to_float(returned)
        if self._score.evaluations == 0 and value is not None:
            name = self._job.official_metric
            self._places[name] = "series"
            self._add(self._last_step, {name: value})
            self._evaluate(self._last_step, value)

    def flush(self) -> None:
        """Return when all that was logged so far has left this process, as before a checkpoint.

        Raises what kept the flusher from sending.
        """
        self._flusher.flush()

    def close(self) -> None:
        """Send what is left. Raises what kept the flusher from sending."""
        if self._sampler is not None:
            self._sampler.close()
        self._flusher.close()
        if self._flusher.error is not None:
            raise self._flusher.error

    def _add(self, step: int, values: dict[str, float]) -> None:
        if self._job.suffix:
            values = {name + self._job.suffix: value for name, value in values.items()}
        self._flusher.add((step, time.time_ns() // 1_000_000, values))

    def _observe(self, values: Mapping[str, float]) -> None:
        """Record what was measured beside training, at the step that training has reached."""
        self._flusher.add((self._last_step, time.time_ns() // 1_000_000, values))

    def _evaluate(self, step: int, value: float) -> None:
        before = self._score
        best, best_step = before.value, before.best_step
        if math.isfinite(value) and (best is None or self._better(value, best)):
            best, best_step = value, step
        self._score = Score(best, best_step, value, step, before.evaluations + 1)

    def _better(self, value: float, best: float) -> bool:
        return value > best if self._job.direction == "maximize" else value < best

    def _declares_official(self) -> bool:
        """Whether it must be logged; one that nobody declared may be returned at the end."""
        return self._job.official_metric in self._job.splits

    def _miss(self, step: int, values: Mapping[str, float]) -> None:
        """Fail soon, not after hours, where the metric that counts is not logged at all."""
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
        """What is wrong with a run that never logged its official metric."""
        seen = ", ".join(sorted(self.names)) or "none"
        return f"{self._job.official_metric} was never logged; names seen: {seen}"

    def _heed(self, step: int, official: float | None) -> None:
        """Ask whether to go on; the call's points are already on their way."""
        if self._sink.stop_requested:
            self.ending = "stopped"
        elif official is not None and self._job.pruning and not self.ending:
            answer = self._sink.report(step, official)
            if answer is None:
                self.unanswered += 1
                self._warn(("unanswered", step), f"step {step}: no pruner answered, not pruned")
            elif answer:
                self.ending = "pruned"
        if self.ending == "stopped" and not self._in_a_loop_that_ends():
            raise Stopped(f"asked to stop at step {step}")
        if self.ending == "pruned":
            import optuna  # only here: a run without a pruner does without its import

            raise optuna.TrialPruned(f"pruned at step {step}")

    def _in_a_loop_that_ends(self) -> bool:
        """Whether nothing need be raised; what follows such a loop is let finish, too."""
        self._ends_by_itself = self._ends_by_itself or self._loops > 0
        return self._ends_by_itself

    def _wait(self, step: int, value: float) -> None:
        rule = self._job.early_stopping
        if rule is None:
            return
        patience = rule.patience
        self._waiting = after(self._waiting, value, patience, maximize=bool(rule.maximize))
        if self._waiting.used >= patience.patience:
            self.ending = "early"
            if self._in_a_loop_that_ends():
                return
            raise StoppedEarly(
                f"{rule.metric} has used up its patience of {patience.patience} "
                f"({patience.rule}) at step {step}"
            )

    def _meet(self, name: object) -> _Place:
        """Decide once where a metric goes."""
        place: _Place = "series"
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not _printable(name):
            place = "refused"
            self._warn(name, f"metric {name!r:.100}: skipped, want 1 to {MAX_NAME} characters")
        elif self._split(name) == "test":
            place = "sealed"
        self._places[name] = place
        return place

    def _split(self, name: str) -> str:
        splits = self._job.splits
        return splits[name] if name in splits else guess(name).split

    def _number(self, name: object, given: object) -> float | None:
        value = _to_float(given)
        if value is None:
            kind = type(given).__name__
            self._warn(name, f"metric {name!r:.100}: skipped, its value is a {kind}, no number")
        return value

    def _step(self, step: object, number: int) -> int:
        whole = _whole(step)
        if whole is None or not -(2**63) <= whole < 2**63:
            self._warn(_STEP, f"step {step!r:.50} is no 64-bit whole number: calls are counted")
            return number
        return whole

    def _warn(self, key: object, text: str) -> None:
        if key not in self._warnings and len(self._warnings) < MAX_WARNINGS:
            self._warnings[key] = text
            print(text, file=sys.stderr, flush=True)


_Place = Literal["series", "sealed", "refused"]
_STEP = object()  # the key under which a bad step is warned about


def _to_float(value: object) -> float | None:
    # float() itself would read "0.5" and take an array of one element for a number.
    if isinstance(value, str | bytes | bytearray) or getattr(value, "ndim", 0) != 0:
        return None
    try:
        return float(cast(SupportsFloat, value))
    except Exception:  # whatever a foreign __float__ raises
        return None


def _whole(value: object) -> int | None:
    try:
        return operator.index(cast(SupportsIndex, value))
    except TypeError:
        number = _to_float(value)
        return int(number) if number is not None and number.is_integer() else None


def _printable(name: str) -> bool:
    """Whether every database can hold it: no NUL, no half of a surrogate pair."""
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)
