"""After a trial: read its curves and the search space as the method's rules do, and record it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.curves.trial_findings import diagnose_trial
from experiments.analysis.curves.trial_reading import read_trial
from experiments.analysis.space.experiment_findings import arm_gap, diagnose_experiment
from experiments.design.queries.experiment_view import ReadingCache, experiment_view
from experiments.trials.findings.queries.findings_due import DueTrial
from experiments.trials.findings.services import findings
from experiments.trials.lifecycle.queries.trial_spec import TrialSpec
from experiments.trials.series.queries import series
from experiments.trials.series.series_encoding import SeriesColumns
from workers.node.declared_series import (
    all_but_the_rate,
    circumstances,
    declared_series,
    learning_rate,
)

logger = logging.getLogger(__name__)

SHARE = 0.02  # of the time in training functions that reading their results may take


@dataclass(slots=True)
class Account:
    """Budget of one experiment's findings: earned by its trials, spent on reading all of them.

    Seconds. `trial_sd` and `rival_gap` are those of the last look. `stale`: a trial has finished
    since.
    """

    earned: float = 0.0
    cost: float = 0.0
    stale: bool = False
    trial_sd: float | None = None
    rival_gap: float | None = None


class FindingsRecorder:
    """Applies the rules; one for a worker process.

    Each finished search trial is read at once. The rules across trials follow after every trial
    as long as that takes no more than `SHARE` of the time spent in training; where trials are too
    short for that they wait for the next one, and always follow at the experiment's end.

    A rule that breaks is logged and costs its finding, never the trial.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._accounts: dict[int, Account] = {}
        self._cache = ReadingCache()
        self._lock = threading.Lock()

    def after_trial(
        self,
        assignment: TrialSpec,
        parameters: Mapping[str, Any],
        *,
        seconds: float,
        pruned: bool,
        logged: Mapping[str, SeriesColumns] | None = None,
    ) -> None:
        """Record what the rules see in a finished search trial, and in its experiment.

        `logged`: its series where the caller has all of them; else they are read.
        """
        if assignment.kind != "search":
            return
        with self._lock:
            account = self._accounts.setdefault(assignment.experiment_id, Account())
            began = self._clock()
            tried(
                f"the findings of trial {assignment.trial_id}",
                lambda: look_at_trial(assignment, parameters, pruned, account, logged),
            )
            account.stale = True
            account.earned += SHARE * seconds - (self._clock() - began)
            if account.cost == 0.0 or account.earned >= account.cost:  # the first time, always
                self._look_across(assignment.experiment_id, account)

    def at_the_end(self, experiment_id: int) -> bool:
        """The experiment has ended: look once more if its last trials were not looked at.

        False when the database went away: the look is owed.
        """
        with self._lock:
            account = self._accounts.pop(experiment_id, None)
            if account is not None and account.stale:
                self._look_across(experiment_id, account)
            return account is not None and not account.stale

    def look_again(self, experiment_id: int) -> bool:
        """Look at all trials of a search; False when the database went away."""
        with self._lock:
            account = Account()
            self._look_across(experiment_id, account)
            return not account.stale

    def _look_across(self, experiment_id: int, account: Account) -> None:
        began = self._clock()
        done = tried(
            f"the findings of experiment {experiment_id}",
            lambda: self._look_at_experiment(experiment_id, account),
        )
        account.stale = not done
        account.cost = self._clock() - began
        account.earned = min(account.earned - account.cost, account.cost)

    def _look_at_experiment(self, experiment_id: int, account: Account) -> bool:
        view = experiment_view(experiment_id, self._cache)
        account.trial_sd, account.rival_gap = view.trial_sd, arm_gap(view)
        findings.record(
            experiment_id=experiment_id,
            diagnoses=diagnose_experiment(view, _on_failure(f"experiment {experiment_id}")),
        )
        return True


def look_at_trial(
    assignment: TrialSpec | DueTrial,
    parameters: Mapping[str, Any],
    pruned: bool,
    account: Account,
    logged: Mapping[str, SeriesColumns] | None = None,
) -> bool:
    """Apply the rules on one trial's curves and record what they saw."""
    trial_id = assignment.trial_id
    read = logged
    if read is None:
        read = series.read([trial_id], declared=dict(assignment.metrics)).get(trial_id, {})
    judged = declared_series(read, assignment)
    about = circumstances(
        read,
        parameters,
        pruned=pruned,
        trial_sd=account.trial_sd,
        rival_gap=account.rival_gap,
        resumed_at=series.resumed_at(trial_id) if assignment.attempt > 1 else (),
    )
    diagnoses = diagnose_trial(judged, about, _on_failure(f"trial {trial_id}"))
    reading = read_trial(
        judged,
        diagnoses,
        direction=Direction(assignment.direction),
        rate=learning_rate(parameters),
        others=all_but_the_rate(parameters),
        pruned=pruned,
    )
    findings.record_trial(
        experiment_id=assignment.experiment_id,
        trial_id=trial_id,
        diagnoses=diagnoses,
        reading=reading.document(),
    )
    return True


def _on_failure(subject: str) -> Callable[[Exception], None]:
    def tell(error: Exception) -> None:
        logger.error("a rule broke on %s", subject, exc_info=error)

    return tell


def tried(what: str, action: Callable[[], object]) -> bool:
    """Do it; False when the database is away, so that it is owed. What breaks is logged."""
    try:
        action()
    except (DatabaseError, InterfaceError):
        logger.exception("%s: the database is away", what)
        close_old_connections()
        return False
    except Exception:
        logger.exception("%s could not be made", what)
    return True
