"""A trial that runs its training function several times: once a fold, or once a budget.

What is logged in one of several passes gets a suffix to its name, so that curves of different
folds and budgets are never taken for one; the trial's own curve holds what counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from workers.messages import Job, Score, Sealed, SeriesFlush
from workers.run import Run, Stopped
from workers.sink import Sink


class Passes:
    """Stands for a `Run` in its training process; asks the pruner after every pass.

    The score is the mean of the folds, or what the last budget that was finished gave.
    """

    def __init__(self, job: Job, sink: Sink) -> None:
        self._job = job
        self._sink = _OneSeries(sink)
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
            replace(scores[-1], value=statistics.fmean(each.value for each in scores))
            for scores in self._sealed.values()
        )

    def call(self, function: Callable[[Run], object]) -> None:
        """Run a training function in all its passes.

        Raises what it raises, optuna.TrialPruned when the pruner ends the trial, and `Stopped`
        when the run was asked to stop.
        """
        if self._job.folds:
            self._cross_validate(function)
        else:
            self._climb(function)

    def close(self) -> None:
        """Nothing is left to send: every pass has sent its own."""

    def _cross_validate(self, function: Callable[[Run], object]) -> None:
        folds = self._job.folds
        for fold in range(folds):
            job = replace(self._job, fold=fold, suffix=f"[fold={fold + 1}]", pruning=False)
            score = self._pass(job, function)
            if score.value is None:  # never logged, or never finite: no mean either
                self.score = score
                return
            self.folds = (*self.folds, score.value)
            self._report(fold + 1, score.value, last=fold + 1 == folds)
        # The one evaluation of the trial's own curve.
        whole = replace(self._job, pruning=False, early_stopping=None)
        run = Run(whole, self._sink)
        run.log({self._job.official_metric: statistics.fmean(self.folds)}, step=folds)
        run.close()
        self.score = run.score

    def _climb(self, function: Callable[[Run], object]) -> None:
        *smaller, _ = self._job.rungs
        for rung in self._job.rungs:
            last = rung not in smaller
            job = replace(
                self._job,
                params={**self._job.params, self._job.fidelity: rung.budget},
                budget=rung.budget,
                suffix="" if last else f"[{self._job.fidelity}={rung.budget:g}]",
                pruning=False,
            )
            self._sealed.clear()
            self.score = self._pass(job, function)
            if self.score.value is None:  # never logged, or never finite: no better with more
                return
            self._report(rung.step, self.score.value, last=last)

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

    def _report(self, step: int, value: float, *, last: bool) -> None:
        """Tell a pass's value; what was reported last can end nothing any more."""
        answer = self._sink.report(step, value)
        if answer is None:
            self.unanswered += 1
        elif answer and not last:
            self.ending = "pruned"
            import optuna  # only here: most runs do without its import

            raise optuna.TrialPruned(f"pruned after step {step}")


class _OneSeries:
    """Passes flushes of several runs on as if they were of one; a `workers.run.Sink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._batches = 0

    @property
    def stop_requested(self) -> bool:
        return self._sink.stop_requested

    def series(self, flush: SeriesFlush) -> None:
        # A pass's score is not the trial's: should the process die, it must not be taken for it.
        self._sink.series(replace(flush, batch=self._batches, score=Score()))
        self._batches += 1

    def report(self, step: int, value: float) -> bool | None:
        return self._sink.report(step, value)
