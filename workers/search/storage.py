"""Optuna's storage on Verdict's own tables: there is no second copy of a trial.

Optuna's samplers, pruners, importance and dashboard run on it unchanged, also from a process that
knows nothing of Django: `optuna.create_study(storage=VerdictStorage("postgresql://..."))`.
Everything is written through at once and visible to other processes on return; finished trials
are read once and kept.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState

from experiments.errors import NotFound
from workers.search import records
from workers.search.bare_django import connect, leave_thread
from workers.search.frozen_trials import copies, fields, frozen
from workers.search.open_trial import OpenTrial
from workers.search.study_storage import StudyStorage, as_directions

if TYPE_CHECKING:
    from optuna import Study

    from experiments.models.trial_encoding import Parameter
    from experiments.models.trial_rows import TrialRow
    from experiments.trials.lifecycle.services.trial_finishing import Outcome
    from workers.search.study_cache import StudyCache

MOST_OPEN = 64  # unfinished trials to remember before looking which have finished
StaleCallback = Callable[["Study", FrozenTrial], None]


class VerdictStorage(StudyStorage, BaseHeartbeat):
    """Studies and trials of one Verdict database, for any number of processes and threads.

    Args:
        url: postgresql://... or sqlite:///...; None where Django is set up for Verdict, whose
            database is then used. In a bare process an empty database gets its tables.
        project: slug of the project in which new studies lie.
        heartbeat_interval: seconds; as in Optuna's `RDBStorage`, for trials of programs from
            outside. Trials of our workers have heartbeats of their own and never count as stale.
        grace_period: seconds after which a silent trial is stale; twice the interval if None.
        heartbeat_stale_trial_callback: called by Optuna with each trial that it failed as stale.

    Raises:
        django.core.exceptions.ImproperlyConfigured: see `bare_django.connect`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        project: str = "optuna",
        heartbeat_interval: int | None = None,
        grace_period: int | None = None,
        heartbeat_stale_trial_callback: StaleCallback | None = None,
    ) -> None:
        for name, seconds in (
            ("heartbeat_interval", heartbeat_interval),
            ("grace_period", grace_period),
        ):
            if seconds is not None and seconds <= 0:
                raise ValueError(f"{name} is {seconds}; expected a positive number of seconds")
        self._database = connect(url)
        records.load()
        self._url = url
        self._project = project
        self._heartbeat_interval = heartbeat_interval
        self._grace_period = grace_period
        self._stale_callback = heartbeat_stale_trial_callback
        self._lock = threading.RLock()
        self._caches: dict[int, StudyCache] = {}
        self._open: dict[int, OpenTrial] = {}  # unfinished trials that this process writes to
        self._silent: set[int] = set()  # told to Optuna as stale

    def __getstate__(self) -> dict[str, Any]:
        return {
            "url": self._url,
            "project": self._project,
            "heartbeat_interval": self._heartbeat_interval,
            "grace_period": self._grace_period,
            "heartbeat_stale_trial_callback": self._stale_callback,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def delete_study(self, study_id: int) -> None:
        super().delete_study(study_id)
        with self._lock:
            self._caches.pop(study_id, None)
            for trial_id in [key for key, one in self._open.items() if one.study_id == study_id]:
                self._open.pop(trial_id, None)

    # Writing trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        with self._calling():
            if template_trial is None:
                trial_id, _ = records.trials.create(
                    study_id=study_id, state=TrialState.RUNNING.value
                )
                self._open[trial_id] = OpenTrial(study_id, records.Texts())
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

    def written(self, trial_id: int, parameters: Mapping[str, Parameter]) -> None:
        """Say that parameters of an unfinished trial were written past this storage."""
        with self._calling():
            trial = self._opened(trial_id)
            trial.texts = None
            self._learn(trial_id, trial, parameters)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        with self._calling():
            records.trials.report(
                trial_id=trial_id,
                step=step,
                value=intermediate_value,
                attempt=self._attempt(trial_id),
            )
            self._touch(trial_id)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._calling():
            trial = self._opened(trial_id)
            trial.row = None
            trial.texts = records.trials.set_user_attribute(
                trial_id=trial_id, key=key, value=value, attempt=trial.attempt, seen=trial.texts
            )
            self._touch(trial_id)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._calling():
            trial = self._opened(trial_id)
            trial.row = None
            trial.texts = records.trials.set_system_attribute(
                trial_id=trial_id, key=key, value=value, attempt=trial.attempt, seen=trial.texts
            )
            self._touch(trial_id)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        with self._calling():
            if state == TrialState.RUNNING:
                return records.trials.start(trial_id=trial_id)
            if state == TrialState.WAITING:
                return records.trials.put_back(trial_id=trial_id)
            self._finish(trial_id, state, values)
            return True

    def claimed(self, trial_id: int, attempt: int, row: TrialRow | None = None) -> None:
        """Say that this thread holds a trial with that attempt: its later writes are fenced by it.

        `row` is the trial as it was claimed just now, which saves reading it.

        Raises:
            KeyError: when there is no such trial.
        """
        if row is not None:
            trial = self._open.setdefault(trial_id, OpenTrial(row.study_id, row.texts))
            trial.texts, trial.row = row.texts, row
        with self._calling():
            self._opened(trial_id).attempts[threading.get_ident()] = attempt

    def outcome(self, trial_id: int, **outcome: Unpack[Outcome]) -> None:
        """Give what is stored beside the state and values that `study.tell` will tell next."""
        with self._calling():
            self._opened(trial_id).outcome.update(outcome)

    # Reading trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self._lock:
            for cache in self._caches.values():
                trial = cache.finished(trial_id)
                if trial is not None:
                    return trial
        open_trial = self._open.get(trial_id)
        if (
            open_trial is not None
            and open_trial.gathered is not None
            and open_trial.row is not None
        ):
            return frozen(open_trial.row)
        with self._calling():
            row, has_reports = records.trial_queries.get(trial_id)
            if TrialState(row.state).is_finished():
                return self._finished(row)
            if trial_id in self._open:
                self._open[trial_id].texts = row.texts
            reports = records.trial_queries.reports({trial_id: 0}) if has_reports else ()
            return frozen(row, {report.step: report.value for report in reports})

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        with self._lock:
            found = self._refreshed(study_id, states).select(states)
        return copies(found) if deepcopy else found

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        with self._lock:
            cache = self._refreshed(study_id, (TrialState.COMPLETE,))
            if not cache.has_complete or (cache.best is None and len(cache.directions) == 1):
                raise ValueError("No trials are completed yet.")
            if cache.best is None:
                raise RuntimeError(
                    "Best trial can be obtained only for single-objective optimization."
                )
            return cache.best

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        with self._calling():
            return records.trial_queries.id_of_number(study_id, trial_number)

    def remove_session(self) -> None:
        """Close the connection of a thread that Optuna ends."""
        with self._database():
            leave_thread()

    # Heartbeats of programs from outside

    def record_heartbeat(self, trial_id: int) -> None:
        with self._calling():
            records.trials.record_heartbeat(trial_id=trial_id)

    def get_heartbeat_interval(self) -> int | None:
        return self._heartbeat_interval

    def get_heartbeat_stale_trial_callback(self) -> StaleCallback | None:
        return self._stale_callback

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        if self._heartbeat_interval is None:
            return []
        seconds = self._grace_period or 2 * self._heartbeat_interval
        with self._calling():
            silence = dt.timedelta(seconds=seconds)
            found = records.trial_queries.silent(study_id, longer_than=silence)
        self._silent.update(found)
        return found

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
            trial = OpenTrial(row.study_id, row.texts)
            if not TrialState(row.state).is_finished():
                self._open[trial_id] = trial
        return trial

    def _attempt(self, trial_id: int) -> int | None:
        trial = self._open.get(trial_id)
        return None if trial is None else trial.attempt

    def _touch(self, trial_id: int) -> None:
        with self._lock:
            for cache in self._caches.values():
                cache.touch(trial_id)

    def _write_parameters(
        self, trial_id: int, trial: OpenTrial, parameters: dict[str, Parameter]
    ) -> None:
        trial.texts = records.trials.set_parameters(
            trial_id=trial_id, parameters=parameters, attempt=trial.attempt, seen=trial.texts
        )
        self._learn(trial_id, trial, parameters)

    def _learn(self, trial_id: int, trial: OpenTrial, parameters: Mapping[str, Parameter]) -> None:
        """Remember that these parameters of a trial are stored."""
        self._touch(trial_id)
        with self._lock:
            known = self._cache(trial.study_id).distributions
            for name, (_, distribution) in parameters.items():
                known.setdefault(name, distribution)

    def _finish(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
        trial = self._open.get(trial_id)
        outcome: Outcome = {} if trial is None else trial.outcome
        if trial_id in self._silent and state == TrialState.FAIL:
            outcome = {"failure_kind": "lost", "failure_reason": "no heartbeat in time"}
        cache = None if trial is None else self._caches.get(trial.study_id)
        row = records.trials.finish(
            trial_id=trial_id,
            state=state.value,
            values=values,
            attempt=None if trial is None else trial.attempt,
            free=cache is not None and cache.free,
            **outcome,
        )
        self._open.pop(trial_id, None)
        self._silent.discard(trial_id)
        self._finished(row)

    def _finished(self, row: TrialRow) -> FrozenTrial:
        with self._lock:
            cache = self._caches.get(row.study_id)
            return frozen(row) if cache is None else cache.add_finished(row)
