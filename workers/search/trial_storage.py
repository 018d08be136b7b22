"""Writing trials: the half of Optuna's storage interface through which a trial lives and ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial, TrialState

from experiments.errors import NotFound, WritesLost
from workers.search import records
from workers.search.frozen_trials import fields, frozen
from workers.search.open_trial import OpenTrial
from workers.search.study_storage import StudyStorage, as_directions

if TYPE_CHECKING:
    from experiments.models.trial_encoding import Parameter
    from experiments.models.trial_rows import Texts, TrialRow
    from experiments.trials.lifecycle.services.trial_finishing import Outcome
    from workers.search.study_cache import StudyCache

MOST_OPEN = 64  # unfinished trials to remember before looking which have finished


class TrialStorage(StudyStorage):
    """Trials that this process writes to, and what it knows of their studies."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._caches: dict[int, StudyCache] = {}
        self._open: dict[int, OpenTrial] = {}  # unfinished trials that this process writes to
        self._silent: set[int] = set()  # told to Optuna as stale
        self._incarnation = ""  # of the database, as last read

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        with self._calling():
            if template_trial is None:
                trial_id, _ = records.trials.create(
                    study_id=study_id, state=TrialState.RUNNING.value, waits=False
                )
                self._open[trial_id] = self._new(study_id, records.Texts())
                return trial_id
            trial_id, _ = records.trials.create(study_id=study_id, **fields(template_trial))
            return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        with self._calling():
            trial = self._opened(trial_id)
            known = self._known_distribution(trial.study_id, param_name)
            try:
                check_distribution_compatibility(known or distribution, distribution)
            except ValueError:
                self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)
                raise
            value = distribution.to_external_repr(param_value_internal)
            if trial.gathered is not None:
                trial.gathered[param_name] = (value, distribution)
                return
            self._write_parameters(trial_id, trial, {param_name: (value, distribution)})

    @contextmanager
    def parameters_at_once(self, trial_id: int) -> Iterator[None]:
        """Collect what is suggested for a trial inside and write it in one statement at the end.

        Nothing is written when the block raises.
        """
        with self.gathering(trial_id) as gathered:
            yield
            with self._calling():
                if gathered:
                    self._write_parameters(trial_id, self._opened(trial_id), gathered)

    @contextmanager
    def gathering(self, trial_id: int) -> Iterator[dict[str, Parameter]]:
        """Gather what is suggested for a trial inside, in this order; the caller writes it.

        Once that is done, tell it to `written`. A trial whose row was given to `claimed` is not
        read inside: nobody else writes to it before it begins.
        """
        with self._calling():
            trial = self._opened(trial_id)
        gathered: dict[str, Parameter] = {}
        trial.gathered = gathered
        try:
            yield gathered
        finally:
            trial.gathered = trial.row = None

    def written(
        self, trial_id: int, parameters: Mapping[str, Parameter], again: Callable[[], object]
    ) -> None:
        """Say that parameters of an unfinished trial were written past this storage, without
        waiting for the disk; `again` does so once more.
        """
        with self._calling():
            trial = self._opened(trial_id)
            trial.texts = None
            trial.wrote(again)
            self._learn(trial_id, trial, parameters)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        with self._calling():
            trial = self._opened(trial_id)
            report = partial(
                records.trials.report,
                trial_id=trial_id,
                step=step,
                value=intermediate_value,
                attempt=trial.attempt,
            )
            report()
            trial.wrote(report)
            self._touch(trial_id)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._calling():
            self._set_attribute(records.trials.set_user_attribute, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._calling():
            self._set_attribute(records.trials.set_system_attribute, trial_id, key, value)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        with self._calling():
            if state == TrialState.RUNNING:
                return records.trials.start(trial_id=trial_id)
            if state == TrialState.WAITING:
                return records.trials.put_back(trial_id=trial_id)
            trial = self._open.get(trial_id)
            attempt = None if trial is None else trial.attempt
            self._finish(trial_id, state, values, {}, attempt)
            return True

    def finish(
        self,
        trial_id: int,
        state: TrialState,
        values: Sequence[float] | None,
        attempt: int,
        **outcome: Unpack[Outcome],
    ) -> None:
        """Tell the result of an attempt with what is stored beside it.

        Raises:
            NotFound, TrialFinished, TrialFenced, Conflict: when nothing was written.
        """
        with self._database():
            self._finish(trial_id, state, values, outcome, attempt)

    def claimed(self, trial_id: int, attempt: int, row: TrialRow | None = None) -> None:
        """Say that this thread holds a trial with that attempt: its later writes are fenced by it.

        `row` is the trial as it was claimed just now, which saves reading it.

        Raises:
            KeyError: when there is no such trial.
        """
        if row is not None:
            trial = self._open.setdefault(trial_id, self._new(row.study_id, row.texts))
            trial.texts, trial.row = row.texts, row
            trial.unsynced = []  # of an attempt that this process has given up
        with self._calling():
            self._opened(trial_id).attempts[threading.get_ident()] = attempt

    def outcome(self, trial_id: int, **outcome: Unpack[Outcome]) -> None:
        """Give what is stored beside the state and values that `study.tell` will tell next."""
        with self._calling():
            self._opened(trial_id).outcome.update(outcome)

    # Inside

    def _cache(self, study_id: int) -> StudyCache:
        cache = self._caches.get(study_id)
        if cache is None:
            study = records.study_queries.get(study_id)
            directions = as_directions(study.directions)
            cache = records.StudyCache(study_id, directions, free=study.experiment_id is None)
            cache = self._caches.setdefault(study_id, cache)
        return cache

    def _refreshed(self, study_id: int, states: Container[TrialState] | None) -> StudyCache:
        with self._calling():
            try:
                cache = self._cache(study_id)
                cache.refresh(states)
            except NotFound:
                self._caches.pop(study_id, None)
                raise
        if len(self._open) > MOST_OPEN:  # told by others, or past this storage
            for trial_id in [key for key in self._open if cache.finished(key)]:
                self._open.pop(trial_id, None)
        return cache

    def _known_distribution(self, study_id: int, name: str) -> BaseDistribution | None:
        """The study's distribution of that name, if any trial has it."""
        with self._lock:
            cache = self._cache(study_id)
            if name not in cache.distributions:
                self._refreshed(study_id, None)
            return cache.distributions.get(name)

    def _opened(self, trial_id: int) -> OpenTrial:
        trial = self._open.get(trial_id)
        if trial is None:
            row, _ = records.trial_queries.get(trial_id)
            trial = self._new(row.study_id, row.texts)
            if not TrialState(row.state).is_finished():
                self._open[trial_id] = trial
        return trial

    def _new(self, study_id: int, texts: Texts) -> OpenTrial:
        with self._database():
            self._incarnation = self._incarnation or records.statements.incarnation()
        return OpenTrial(study_id, texts, incarnation=self._incarnation)

    def _touch(self, trial_id: int) -> None:
        with self._lock:
            for cache in self._caches.values():
                cache.touch(trial_id)

    def _write_parameters(
        self, trial_id: int, trial: OpenTrial, parameters: dict[str, Parameter]
    ) -> None:
        write = partial(
            records.trials.set_parameters,
            trial_id=trial_id,
            parameters=parameters,
            attempt=trial.attempt,
            waits=False,
        )
        trial.texts = write(seen=trial.texts)
        trial.wrote(write)
        self._learn(trial_id, trial, parameters)

    def _set_attribute(
        self, setting: Callable[..., Texts], trial_id: int, key: str, value: Any
    ) -> None:
        trial = self._opened(trial_id)
        trial.row = None
        write = partial(
            setting, trial_id=trial_id, key=key, value=value, attempt=trial.attempt, waits=False
        )
        trial.texts = write(seen=trial.texts)
        trial.wrote(write)
        self._touch(trial_id)

    def _learn(self, trial_id: int, trial: OpenTrial, parameters: Mapping[str, Parameter]) -> None:
        """Remember that these parameters of a trial are stored."""
        self._touch(trial_id)
        with self._lock:
            known = self._cache(trial.study_id).distributions
            for name, (_, distribution) in parameters.items():
                known.setdefault(name, distribution)

    def _finish(
        self,
        trial_id: int,
        state: TrialState,
        values: Sequence[float] | None,
        outcome: Outcome,
        attempt: int | None,
    ) -> None:
        trial = self._open.get(trial_id)
        if trial is not None:
            outcome = {**trial.outcome, **outcome}
        if trial_id in self._silent and state == TrialState.FAIL:
            outcome = {"failure_kind": "lost", "failure_reason": "no heartbeat in time"}
        cache = None if trial is None else self._caches.get(trial.study_id)
        finish = partial(
            records.trials.finish,
            trial_id=trial_id,
            state=state.value,
            values=values,
            attempt=attempt,
            free=cache is not None and cache.free,
            **outcome,
        )
        if trial is None or not trial.unsynced:
            row = finish()
        else:
            row = self._finish_synced(trial, finish)
        self._open.pop(trial_id, None)
        self._silent.discard(trial_id)
        self._finished(row)

    def _finish_synced(self, trial: OpenTrial, finish: Callable[..., TrialRow]) -> TrialRow:
        """Finish a trial with all that was written to it: again, where a crash lost it."""
        while True:
            try:
                return finish(incarnation=trial.incarnation)
            except WritesLost:
                trial.incarnation = self._incarnation = records.statements.incarnation()
                for write in trial.unsynced:
                    write()

    def _finished(self, row: TrialRow) -> FrozenTrial:
        with self._lock:
            cache = self._caches.get(row.study_id)
            return frozen(row) if cache is None else cache.add_finished(row)
