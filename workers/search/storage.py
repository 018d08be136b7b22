"""Optuna's storage on Verdict's own tables: there is no second copy of a trial.

Optuna's samplers, pruners, importance and dashboard run on it unchanged, also from a process that
knows nothing of Django: `optuna.create_study(storage=VerdictStorage("postgresql://..."))`.
Everything is written through at once and visible to other processes on return; finished trials
are read once and kept. What comes before a trial's end reaches the disk with it at the latest
(docs/decisions/0014-durable-commits.md).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState

from workers.search import records
from workers.search.bare_django import connect, leave_thread
from workers.search.frozen_trials import copies, frozen
from workers.search.trial_storage import TrialStorage

if TYPE_CHECKING:
    from optuna import Study


StaleCallback = Callable[["Study", FrozenTrial], None]


class VerdictStorage(TrialStorage, BaseHeartbeat):
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
        super().__init__()
        self._database = connect(url)
        records.load()
        self._url = url
        self._project = project
        self._heartbeat_interval = heartbeat_interval
        self._grace_period = grace_period
        self._stale_callback = heartbeat_stale_trial_callback

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
