"""Cache of a study's trials in one process, updated incrementally.

A study's numbers have no gap and become visible in order, so "the first n trials" is all that has
to be remembered: what is new has a number of n or more. Finished trials never change; only the
unfinished ones are read again, and of their reports only the newer ones.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Container
from operator import attrgetter

from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from experiments.models.trial_rows import TrialRow
from experiments.trials.lifecycle.queries import trials as queries
from experiments.trials.lifecycle.queries.trials import FoundTrial
from workers.search.frozen_trials import frozen, many_objects

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)
_number = attrgetter("number")


class StudyCache:
    """The trials of one study. Not thread-safe: the storage's lock guards it."""

    def __init__(self, study_id: int, directions: list[StudyDirection], *, free: bool) -> None:
        self.directions = directions
        self.free = free  # belongs to no experiment
        self.distributions: dict[str, BaseDistribution] = {}  # the first seen of each parameter
        self.best: FrozenTrial | None = None
        self._study_id = study_id
        self._trials: list[FrozenTrial] = []  # by number
        self._open: dict[int, TrialRow] = {}  # unfinished ones by id
        self._newest_report: dict[int, int] = {}  # id of the newest known, by trial's id
        self._finished: dict[TrialState, list[FrozenTrial]] = {}  # by number
        self._ids: dict[int, FrozenTrial] = {}  # finished ones by id
        self._touched: set[int] = set()  # to be read again though they wait
        self._last_distributions: object = None

    def refresh(self, states: Container[TrialState] | None) -> None:
        """Read what has changed, as far as a reader of these states can tell.

        Raises:
            NotFound: when the study is not there any more.
        """
        if self._trials:
            self._refresh(states)
        else:
            with many_objects():
                self._refresh(states)

    def _refresh(self, states: Container[TrialState] | None) -> None:
        finished_only = states is not None and not any(state in states for state in _UNFINISHED)
        waiting = {key for key, row in self._open.items() if row.state == TrialState.WAITING.value}
        waiting -= self._touched
        found = queries.changes(
            self._study_id,
            known=len(self._trials),
            running=self._open.keys() - waiting,
            waiting=waiting,
            finished_only=finished_only,
        )
        reported = {trial.row.id for trial in found if trial.has_reports}
        for trial in found:
            self._take(trial)
        if finished_only:
            self._touched |= reported
            return
        self._touched.clear()
        if reported:
            self._take_reports(reported)

    def select(self, states: Container[TrialState] | None) -> list[FrozenTrial]:
        """Known trials in these states, by number, in a list of the caller's own."""
        if states is None:
            return self._trials.copy()
        wanted = [state for state in TrialState if state in states]
        if wanted == [TrialState.COMPLETE]:
            return self._finished.get(TrialState.COMPLETE, []).copy()
        if all(state in _UNFINISHED for state in wanted):
            numbers = sorted(row.number for row in self._open.values())
            candidates = [self._trials[number] for number in numbers]
            return [trial for trial in candidates if trial.state in wanted]
        return [trial for trial in self._trials if trial.state in wanted]

    @property
    def has_complete(self) -> bool:
        """Test whether a known trial is complete."""
        return TrialState.COMPLETE in self._finished

    def finished(self, trial_id: int) -> FrozenTrial | None:
        """A known trial that can change no more."""
        return self._ids.get(trial_id)

    def add_finished(self, row: TrialRow) -> FrozenTrial:
        """Take a trial that this process has just finished, or read finished."""
        if row.id in self._ids:
            return self._ids[row.id]
        if row.number > len(self._trials):  # some before it are not known yet: next refresh
            return frozen(row)
        self._take(FoundTrial(row, has_reports=False))
        return self._ids[row.id]

    def touch(self, trial_id: int) -> None:
        """Read a trial again next time, also while it waits: this process has written to it."""
        if trial_id in self._open:
            self._touched.add(trial_id)

    def _take(self, found: FoundTrial) -> None:
        row = found.row
        before = self._open.get(row.id)
        if row == before:
            return
        if row.id in self._ids:
            return
        if TrialState(row.state).is_finished():
            trial = frozen(row)
            self._open.pop(row.id, None)
            self._newest_report.pop(row.id, None)
            self._touched.discard(row.id)
            self._ids[row.id] = trial
            alike = self._finished.setdefault(trial.state, [])
            if alike and alike[-1].number > trial.number:
                insort(alike, trial, key=_number)
            else:
                alike.append(trial)
            self._keep_best(trial)
        else:
            if before is None or (before.state, before.attempt) != (row.state, row.attempt):
                self._newest_report[row.id] = 0  # another attempt reports from the start
            reports = (
                self._trials[row.number].intermediate_values if self._newest_report[row.id] else {}
            )
            trial = frozen(row, reports)
            self._open[row.id] = row
        if row.number == len(self._trials):
            self._trials.append(trial)
        else:
            self._trials[row.number] = trial
        self._learn(row)

    def _take_reports(self, trial_ids: set[int]) -> None:
        newest = {key: self._newest_report[key] for key in trial_ids if key in self._open}
        values: dict[int, dict[int, float]] = {}
        for report in queries.reports(newest):
            values.setdefault(report.trial_id, {})[report.step] = report.value
            self._newest_report[report.trial_id] = report.id
        for key, fresh in values.items():
            row = self._open[key]
            known = self._trials[row.number].intermediate_values
            # A new object: whoever read the trial before keeps what they read.
            self._trials[row.number] = frozen(row, {**known, **fresh})

    def _learn(self, row: TrialRow) -> None:
        distributions = row.distributions
        if distributions is not self._last_distributions:  # trials of a study mostly share them
            self._last_distributions = distributions
            for name, distribution in distributions.items():
                self.distributions.setdefault(name, distribution)

    def _keep_best(self, trial: FrozenTrial) -> None:
        if trial.state != TrialState.COMPLETE or len(self.directions) != 1:
            return
        if not trial.values:  # told complete without any
            return
        if self.best is None:
            self.best = trial
            return
        value, best = trial.values[0], self.best.values[0]
        better = value > best if self.directions[0] == StudyDirection.MAXIMIZE else value < best
        if better or (value == best and trial.number < self.best.number):
            self.best = trial
