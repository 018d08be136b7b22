"""After a trial: read its curves and the search space as the method's rules do, and record it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.curves.trial_findings import diagnose_trial
from experiments.analysis.curves.trial_reading import read_trial
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity
from experiments.analysis.space.experiment_findings import arm_gap, diagnose_experiment
from experiments.design.queries.experiment_view import ReadingCache, experiment_view
from experiments.trials.findings.queries.findings_due import DueTrial
from experiments.trials.findings.services import findings
from experiments.trials.lifecycle.queries.trial_spec import TrialSpec
from experiments.trials.series.queries import series
from experiments.trials.series.series_encoding import SeriesColumns
from experiments.trials.series.services.metric_summaries import summary_statements
from workers.node.declared_series import (
    all_but_the_rate,
    circumstances,
    declared_series,
    learning_rate,
)

logger = logging.getLogger(__name__)

TRIES = 3  # of making findings; then that they cannot be made is recorded in their place
_BROKEN = Rule(
    name="rules-broke",
    version=1,
    severity=Severity.WARNING,
    question="Could the rules be applied?",
    meaning="Verdict's own rules failed here, so findings are missing: look at the curves.",
    advice="Tell the operator: the worker's log has the error in full.",
    section="Verdict",
    passed_title="The rules could be applied.",
)

SHARE = 0.02  # of the time in training functions that reading their results may take


@dataclass(slots=True)
class Account:
    """Budget of one experiment's findings: earned by its trials, spent on reading all of them.

    Seconds. `trial_sd` and `runner_up_gap` are those last seen. `stale`: a trial has finished
    since.
    """

    earned: float = 0.0
    cost: float = 0.0
    stale: bool = False
    trial_sd: float | None = None
    runner_up_gap: float | None = None


class FindingsRecorder:
    """Applies the rules; one for a worker process.

    Each finished search trial is read at once. The rules across trials follow after every trial
    as long as that takes no more than `SHARE` of the time spent in training; where trials are too
    short for that they wait for the next one, and always follow at the experiment's end.

    A rule that breaks is logged and costs its finding, never the trial; a finding says so.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._accounts: dict[int, Account] = {}
        self._cache = ReadingCache()
        self._broken: Counter[tuple[str, int]] = Counter()  # tries by kind and id
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

        False when the look is owed: the database went away, or it broke and is to be tried again.
        """
        with self._lock:
            account = self._accounts.pop(experiment_id, None)
            if account is not None and account.stale:
                self._look_across(experiment_id, account)
            return account is not None and not account.stale

    def look_again(self, experiment_id: int) -> bool:
        """Look at all trials of a search; False when the look is still owed."""
        with self._lock:
            account = Account()
            self._look_across(experiment_id, account)
            return not account.stale

    def _look_across(self, experiment_id: int, account: Account) -> None:
        began = self._clock()
        done = False

        def look() -> None:
            nonlocal done
            done = self._look_at_experiment(experiment_id, account)

        tried(f"the findings of experiment {experiment_id}", look)
        account.stale = not done
        account.cost = self._clock() - began
        account.earned = min(account.earned - account.cost, account.cost)

    def _look_at_experiment(self, experiment_id: int, account: Account) -> bool:
        errors: list[Exception] = []
        given_up = False
        try:
            view = experiment_view(experiment_id, self._cache)
            account.trial_sd, account.runner_up_gap = view.trial_sd, arm_gap(view)
            on_failure = _on_failure(f"experiment {experiment_id}", errors)
            diagnoses = list(diagnose_experiment(view, on_failure))
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:
            if not self.gives_up("experiment", experiment_id):
                raise
            logger.exception("the findings of experiment %s could not be made", experiment_id)
            diagnoses, errors = [], [error]
            given_up = True
        was_broken = ("experiment", experiment_id) in self._broken
        if errors or was_broken:
            diagnoses.append(broken(errors))
        findings.record(experiment_id=experiment_id, diagnoses=diagnoses)
        if errors and not given_up:
            self._broken["experiment", experiment_id] = 0  # to be said once all is well again
        elif not errors:
            self.succeeded("experiment", experiment_id)
        return True

    def gives_up(self, kind: str, subject: int) -> bool:
        """Count a try that broke; whether it was the last."""
        self._broken[kind, subject] += 1
        return self._broken[kind, subject] >= TRIES

    def succeeded(self, kind: str, subject: int) -> None:
        """Forget the tries that broke: the next one is the first again."""
        self._broken.pop((kind, subject), None)


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
        runner_up_gap=account.runner_up_gap,
        resumed_at=series.resumed_at(trial_id) if assignment.attempt > 1 else (),
    )
    errors: list[Exception] = []
    diagnoses = diagnose_trial(judged, about, _on_failure(f"trial {trial_id}", errors))
    if errors:
        diagnoses.append(broken(errors))
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
        summary=summary_statements(
            trial_id,
            read,
            official_metric=assignment.official_metric,
            direction=assignment.direction,
        ),
    )
    return True


def _on_failure(subject: str, errors: list[Exception]) -> Callable[[Exception], None]:
    def tell(error: Exception) -> None:
        logger.error("a rule broke on %s", subject, exc_info=error)
        errors.append(error)

    return tell


def broken(errors: Sequence[Exception]) -> Diagnosis:
    """Finding that rules could not be applied, or, without errors, could be again."""
    if not errors:
        return _BROKEN.passes("No rule broke.", {})
    kinds = ", ".join(dict.fromkeys(type(error).__name__ for error in errors))
    detail = f"{kinds}: {str(errors[0]) or 'no reason'}"
    return _BROKEN.fires(f"Rules could not be applied: {kinds}", detail[:1000], {"errors": kinds})


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
