"""A trial that runs its training function several times: once a fold, or once a budget.

What is logged in one of several passes gets a suffix to its name, so that curves of different
folds and budgets are never taken for one; the trial's own curve holds what counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Literal

from workers.training.checkpoints import CheckpointSink
from workers.training.messages import (
    BuiltOnLowerBudget,
    CheckpointFile,
    Job,
    LoggedFile,
    Resumed,
    Score,
    Sealed,
    SeriesFlush,
)
from workers.training.pass_checkpoints import PassCheckpoints
from workers.training.run import Run, Stopped
from workers.training.sink import Sink


class MultiPassRun:
    """Stands for a `Run` in its training process; asks the pruner after every pass.

    The score is the mean of the folds, or what the last budget that was finished gave. A trial
    that was taken up again goes on in the pass it was in (`workers.training.pass_checkpoints`).
    """

    def __init__(self, job: Job, sink: Sink) -> None:
        keeps = isinstance(sink, CheckpointSink)
        self._job = job if keeps else replace(job, checkpoints=None)
        self._sink = _OneSeries(sink)
        self._checkpoints = PassCheckpoints(self._job.checkpoints, self._sink)
        self._sink.checkpoints = self._checkpoints
        self._finished: tuple[str, ...] = ()  # suffixes
        self._reports: list[tuple[float, float]] = []
        self.score = Score()
        self.folds: tuple[float, ...] = ()
        self.read_split_seed = False
        self.read_data = False
        self.unanswered = 0
        self.ending: Literal["", "pruned", "stopped", "early"] = ""
        self._warnings: dict[str, None] = {}
        self._names: dict[str, None] = {}
        self._sealed: dict[str, list[Sealed]] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names)

    @property
    def sealed(self) -> tuple[Sealed, ...]:
        """Test scores: the mean over folds, or those of the whole budget."""
        return tuple(
            replace(scores[-1], value=statistics.fmean(score.value for score in scores))
            for scores in self._sealed.values()
        )

    def call(self, function: Callable[[Run], object]) -> None:
        """Run a training function in all its passes, but for those that were finished before.

        Raises what it raises, optuna.TrialPruned when the pruner ends the trial, and `Stopped`
        when the run was asked to stop.
        """
        passes = self._folds() if self._job.folds else self._budgets()
        memory = self._checkpoints.resume()
        if memory is not None:
            self._restore_state(memory, passes)
        for number in range(len(self._finished), len(passes)):
            if not self._run_pass(number, passes, function):
                return
        if self._job.folds:
            self._log_mean()

    def close(self) -> None:
        """Do nothing: every pass has sent its own series."""

    def _folds(self) -> list[Job]:
        return [
            replace(self._job, fold=fold, suffix=f"[fold={fold + 1}]", pruning=False)
            for fold in range(self._job.folds)
        ]

    def _budgets(self) -> list[Job]:
        name, rungs = self._job.fidelity, self._job.rungs
        return [
            replace(
                self._job,
                params={**self._job.params, name: rung.budget},
                budget=rung.budget,
                suffix="" if rung is rungs[-1] else f"[{name}={rung.budget:g}]",
                pruning=False,
            )
            for rung in rungs
        ]

    def _run_pass(self, number: int, passes: list[Job], function: Callable[[Run], object]) -> bool:
        """Train in one pass; False when it gave no value."""
        job = replace(
            passes[number], checkpoints=self._checkpoints.of_pass(number, self._finished)
        )
        if not job.folds:
            self._sealed.clear()
        score = self._pass(job, function)
        value = score.value
        if value is None:  # never logged, or never finite: no mean, and no better with more
            self.score = score
            return False
        if job.folds:
            self.folds = (*self.folds, value)
            step = number + 1
        else:
            self.score = score
            step = job.rungs[number].step
        self._report(step, value, last=number + 1 == len(passes))
        self._finished = (*self._finished, job.suffix)
        self._checkpoints.finish(number, self._run_state())
        return True

    def _log_mean(self) -> None:
        """The one evaluation of the trial's own curve."""
        whole = replace(self._job, pruning=False, early_stopping=None, checkpoints=None)
        run = Run(whole, self._sink)
        run.log({self._job.official_metric: statistics.fmean(self.folds)}, step=self._job.folds)
        run.close()
        self.score = run.score

    def _run_state(self) -> dict[str, Any]:
        """State of the passes that are finished, as plain data."""
        return {
            "finished": list(self._finished),
            "folds": list(self.folds),
            "score": asdict(self.score),
            "reports": list(self._reports),
            "sealed": [[asdict(score) for score in scores] for scores in self._sealed.values()],
            "names": list(self._names),
            "early": self.ending == "early",
            "read": [self.read_split_seed, self.read_data],
        }

    def _restore_state(self, memory: dict[str, Any], passes: list[Job]) -> None:
        """Restore the state that an earlier attempt had after a pass."""
        self._finished = tuple(memory["finished"])
        self.folds = tuple(memory["folds"])
        self.score = Score(**memory["score"])
        self._reports = [(step, value) for step, value in memory["reports"]]
        self._sealed = {
            scores[0]["name"]: [Sealed(**score) for score in scores] for scores in memory["sealed"]
        }
        self._names = dict.fromkeys(memory["names"])
        self.ending = "early" if memory["early"] else ""
        self.read_split_seed, self.read_data = memory["read"]
        done = len(self._finished)
        self._checkpoints.tell_resumed(
            suffix=passes[done].suffix if done < len(passes) else "",
            finished=self._finished,
            reports=tuple(self._reports),
        )

    def _pass(self, job: Job, function: Callable[[Run], object]) -> Score:
        run = Run(job, self._sink)
        try:
            run.finish(function(run))
        except Stopped:
            if run.ending != "early":
                self.ending = "stopped"
                raise
        finally:
            run.close()
            self.read_split_seed |= run.read_split_seed
            self.read_data |= run.read_data
            self._warnings.update(dict.fromkeys(run.warnings))
            self._names.update(dict.fromkeys(run.names))
            for sealed in run.sealed:
                self._sealed.setdefault(sealed.name, []).append(sealed)
        if run.ending == "stopped":
            self.ending = "stopped"
            raise Stopped("asked to stop")
        if run.ending == "early":
            self.ending = "early"
        return run.score

    def _report(self, step: float, value: float, *, last: bool) -> None:
        """Report a pass's value to the pruner; the last one cannot prune."""
        self._reports.append((step, value))
        answer = self._sink.report(step, value)
        if answer is None:
            self.unanswered += 1
        elif answer and not last:
            self.ending = "pruned"
            import optuna  # only here: most runs do without its import

            raise optuna.TrialPruned(f"pruned after step {step}")


class _OneSeries:
    """Series of several runs, continued as one; a `workers.training.run.Sink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._batches = 0
        self.checkpoints: PassCheckpoints | None = None

    def tell(self, message: CheckpointFile | Resumed | BuiltOnLowerBudget | LoggedFile) -> None:
        if self.checkpoints is not None and not isinstance(message, LoggedFile):
            self.checkpoints.note(message)
        if isinstance(self._sink, CheckpointSink):
            self._sink.tell(message)

    @property
    def stop_requested(self) -> bool:
        return self._sink.stop_requested

    def series(self, flush: SeriesFlush) -> None:
        # A pass's score is not the trial's: should the process die, it must not be taken for it.
        self._sink.series(replace(flush, batch=self._batches, score=Score()))
        self._batches += 1

    def report(self, step: float, value: float) -> bool | None:
        return self._sink.report(step, value)
