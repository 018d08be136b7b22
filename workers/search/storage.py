"""Optuna's storage on Verdict's own tables: there is no second copy of a trial.

Optuna's samplers, pruners, importance and dashboard run on it unchanged, also from a process that
knows nothing of Django: `optuna.create_study(storage=VerdictStorage("postgresql://..."))`.
Everything is written through at once and visible to other processes on return; finished trials
are read once and kept.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from experiments.errors import Conflict, NotFound, TrialFenced, TrialFinished
from experiments.trial_encoding import Parameter
from experiments.trial_rows import Texts, TrialRow
from workers.search.bare_django import connect, drop_broken_connection, leave_thread
from workers.search.frozen_trials import copies, fields, frozen

if TYPE_CHECKING:
    from optuna import Study

    from experiments.queries import studies as study_queries
    from experiments.queries import trials as trial_queries
    from experiments.services import studies, trials
    from experiments.services.trial_finishing import Outcome
    from workers.search.study_cache import StudyCache

StaleCallback = Callable[["Study", FrozenTrial], None]


class FinishedTrialError(UpdateFinishedTrialError, TrialFinished):
    """The trial has its result; it stands."""


class FencedTrialError(UpdateFinishedTrialError, TrialFenced):
    """Another worker has taken the trial over; nothing of ours is written any more."""


def _load_records() -> None:
    """Import what needs Django's models, once Django is set up."""
    global StudyCache, studies, study_queries, trial_queries, trials
    from experiments.queries import studies as study_queries
    from experiments.queries import trials as trial_queries
    from experiments.services import studies, trials
    from workers.search.study_cache import StudyCache


@dataclass(slots=True)
class _OpenTrial:
    """An unfinished trial that this process writes to."""

    study_id: int
    texts: Texts  # as this process last saw them
    attempt: int | None = None
    gathered: dict[str, Parameter] | None = None  # parameters that wait to be written together
    outcome: Outcome = field(default_factory=dict)  # type: ignore[assignment]


@contextmanager
def _optuna_errors() -> Iterator[None]:
    """Raise what Optuna's interface promises."""
    try:
        yield
    except NotFound as error:
        raise KeyError(error.message) from None
    except TrialFenced as error:
        raise FencedTrialError(error.message) from None
    except TrialFinished as error:
        raise FinishedTrialError(error.message) from None
    except Exception as error:
        drop_broken_connection(error)
        raise


class VerdictStorage(BaseStorage, BaseHeartbeat):
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
                raise ValueError(f"{name} is {seconds}; want a positive number of seconds")
        connect(url)
        _load_records()
        self._url = url
        self._project = project
        self._heartbeat_interval = heartbeat_interval
        self._grace_period = grace_period
        self._stale_callback = heartbeat_stale_trial_callback
        self._lock = threading.RLock()
        self._caches: dict[int, StudyCache] = {}
        self._open: dict[int, _OpenTrial] = {}  # unfinished trials that this process writes to
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

    # Studies

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        try:
            return studies.create(
                name=study_name,
                directions=[direction.name.lower() for direction in directions],
                project=self._project,
            )
        except Conflict as error:
            raise DuplicatedStudyError(error.message) from None

    def delete_study(self, study_id: int) -> None:
        """Hide a study and free its name.

        Raises:
            KeyError: when there is no such study.
            StudyCited: when a decision cites its experiment; a RuntimeError.
        """
        with _optuna_errors():
            studies.delete(study_id=study_id)
        with self._lock:
            self._caches.pop(study_id, None)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        with _optuna_errors():
            studies.set_user_attribute(study_id=study_id, key=key, value=value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        with _optuna_errors():
            studies.set_system_attribute(study_id=study_id, key=key, value=value)

    def get_study_id_from_name(self, study_name: str) -> int:
        with _optuna_errors():
            return study_queries.by_name(study_name).id

    def get_study_name_from_id(self, study_id: int) -> str:
        with _optuna_errors():
            return study_queries.get(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        with _optuna_errors():
            return list(self._cache(study_id).directions)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        with _optuna_errors():
            return study_queries.get(study_id).user_attributes

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        with _optuna_errors():
            return study_queries.get(study_id).system_attributes

    def get_all_studies(self) -> list[FrozenStudy]:
        return [
            FrozenStudy(
                study_name=row.name,
                direction=None,
                directions=_directions(row.directions),
                user_attrs=row.user_attributes,
                system_attrs=row.system_attributes,
                study_id=row.id,
            )
            for row in study_queries.everything()
        ]

    # Writing trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        with _optuna_errors():
            if template_trial is None:
                trial_id, _ = trials.create(study_id=study_id, state=TrialState.RUNNING.value)
                self._open[trial_id] = _OpenTrial(study_id, Texts())
                return trial_id
            trial_id, _ = trials.create(study_id=study_id, **fields(template_trial))
            return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        with _optuna_errors():
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
        with _optuna_errors():
            trial = self._opened(trial_id)
        trial.gathered = {}
        try:
            yield
            with _optuna_errors():
                if trial.gathered:
                    self._write_parameters(trial_id, trial, trial.gathered)
        finally:
            trial.gathered = None

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        with _optuna_errors():
            trials.report(
                trial_id=trial_id,
                step=step,
                value=intermediate_value,
                attempt=self._attempt(trial_id),
            )
            self._touch(trial_id)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        with _optuna_errors():
            trial = self._opened(trial_id)
            trial.texts = trials.set_user_attribute(
                trial_id=trial_id, key=key, value=value, attempt=trial.attempt, seen=trial.texts
            )
            self._touch(trial_id)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        with _optuna_errors():
            trial = self._opened(trial_id)
            trial.texts = trials.set_system_attribute(
                trial_id=trial_id, key=key, value=value, attempt=trial.attempt, seen=trial.texts
            )
            self._touch(trial_id)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        with _optuna_errors():
            if state == TrialState.RUNNING:
                return trials.start(trial_id=trial_id)
            if state == TrialState.WAITING:
                return trials.put_back(trial_id=trial_id)
            self._finish(trial_id, state, values)
            return True

    def claimed(self, trial_id: int, attempt: int) -> None:
        """Say that this process holds a trial with that attempt: later writes are fenced by it.

        Raises:
            KeyError: when there is no such trial.
        """
        with _optuna_errors():
            self._opened(trial_id).attempt = attempt

    def outcome(self, trial_id: int, **outcome: Unpack[Outcome]) -> None:
        """Give what is stored beside the state and values that `study.tell` will tell next."""
        with _optuna_errors():
            self._opened(trial_id).outcome.update(outcome)

    # Reading trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self._lock:
            for cache in self._caches.values():
                trial = cache.finished(trial_id)
                if trial is not None:
                    return trial
        with _optuna_errors():
            row, has_reports = trial_queries.get(trial_id)
            if TrialState(row.state).is_finished():
                return self._finished(row)
            if trial_id in self._open:
                self._open[trial_id].texts = row.texts
            reports = trial_queries.reports({trial_id: 0}) if has_reports else ()
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
            if not cache.has_complete:
                raise ValueError("No trials are completed yet.")
            if cache.best is None:
                raise RuntimeError(
                    "Best trial can be obtained only for single-objective optimization."
                )
            return cache.best

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        with _optuna_errors():
            return trial_queries.id_of_number(study_id, trial_number)

    def remove_session(self) -> None:
        """Close the connection of a thread that Optuna ends."""
        leave_thread()

    # Heartbeats of programs from outside

    def record_heartbeat(self, trial_id: int) -> None:
        trials.record_heartbeat(trial_id=trial_id)

    def get_heartbeat_interval(self) -> int | None:
        return self._heartbeat_interval

    def get_heartbeat_stale_trial_callback(self) -> StaleCallback | None:
        return self._stale_callback

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        if self._heartbeat_interval is None:
            return []
        seconds = self._grace_period or 2 * self._heartbeat_interval
        found = trial_queries.silent(study_id, longer_than=dt.timedelta(seconds=seconds))
        self._silent.update(found)
        return found

    # Inside

    def _cache(self, study_id: int) -> StudyCache:
        cache = self._caches.get(study_id)
        if cache is None:
            directions = _directions(study_queries.get(study_id).directions)
            cache = self._caches.setdefault(study_id, StudyCache(study_id, directions))
        return cache

    def _refreshed(self, study_id: int, states: Container[TrialState] | None) -> StudyCache:
        with _optuna_errors():
            try:
                cache = self._cache(study_id)
                cache.refresh(states)
            except NotFound:
                self._caches.pop(study_id, None)
                raise
        return cache

    def _known_distribution(self, study_id: int, name: str) -> BaseDistribution | None:
        """The study's distribution of that name, if any trial has it."""
        with self._lock:
            cache = self._cache(study_id)
            if name not in cache.distributions:
                self._refreshed(study_id, None)
            return cache.distributions.get(name)

    def _opened(self, trial_id: int) -> _OpenTrial:
        trial = self._open.get(trial_id)
        if trial is None:
            row, _ = trial_queries.get(trial_id)
            trial = _OpenTrial(row.study_id, row.texts)
            if not TrialState(row.state).is_finished():
                self._open[trial_id] = trial
        return trial

    def _attempt(self, trial_id: int) -> int | None:
        trial = self._open.get(trial_id)
        return None if trial is None else trial.attempt

    def _touch(self, trial_id: int) -> None:
        trial = self._open.get(trial_id)
        cache = None if trial is None else self._caches.get(trial.study_id)
        if cache is not None:
            with self._lock:
                cache.touch(trial_id)

    def _write_parameters(
        self, trial_id: int, trial: _OpenTrial, parameters: dict[str, Parameter]
    ) -> None:
        trial.texts = trials.set_parameters(
            trial_id=trial_id, parameters=parameters, attempt=trial.attempt, seen=trial.texts
        )
        self._touch(trial_id)
        with self._lock:
            known = self._cache(trial.study_id).distributions
            for name, (_, distribution) in parameters.items():
                known.setdefault(name, distribution)

    def _finish(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
        if state == TrialState.COMPLETE and values is None:
            raise ValueError("A complete trial has values.")
        trial = self._open.get(trial_id)
        outcome: Outcome = {} if trial is None else trial.outcome
        if trial is None and trial_id in self._silent and state == TrialState.FAIL:
            outcome = {"failure_kind": "lost", "failure_reason": "no heartbeat in time"}
        row = trials.finish(
            trial_id=trial_id,
            state=state.value,
            values=values,
            attempt=None if trial is None else trial.attempt,
            **outcome,
        )
        self._open.pop(trial_id, None)
        self._silent.discard(trial_id)
        self._finished(row)

    def _finished(self, row: TrialRow) -> FrozenTrial:
        with self._lock:
            cache = self._caches.get(row.study_id)
            return frozen(row) if cache is None else cache.add_finished(row)


def _directions(names: Sequence[str]) -> list[StudyDirection]:
    return [StudyDirection[name.upper()] for name in names]
