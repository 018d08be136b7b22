"""Findings of a trial and of its search: applies the method's rules and records the result."""

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
from experiments.design.queries.ended_trials import TrialCache
from experiments.design.queries.experiment_view import experiment_view
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

TRIES = 3  # to derive findings; then a finding records that it failed
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
class TimeBudget:
    """Time budget of one experiment's findings, in seconds: earned by its trials, spent on reading
    all of them. `trial_sd` and `runner_up_gap` are the last ones derived; `stale`: a trial has
    finished since.
    """

    earned: float = 0.0
    cost: float = 0.0
    stale: bool = False
    trial_sd: float | None = None
    runner_up_gap: float | None = None


class FindingsRecorder:
    """Derives and records findings; one for a worker process.

    Each finished search trial is read at once. The rules across trials follow after every trial
    as long as that takes no more than `SHARE` of the time spent in training; where trials are too
    short for that they wait for the next one, and always follow at the experiment's end.

    A rule that raises is logged and recorded as a finding; it never fails the trial.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._budgets: dict[int, TimeBudget] = {}
        self._cache = TrialCache()
        self._broken: Counter[tuple[str, int]] = Counter()  # tries by kind and id
        self._lock = threading.Lock()

    def after_trial(
        self,
        spec: TrialSpec,
        parameters: Mapping[str, Any],
        *,
        seconds: float,
        pruned: bool,
        logged: Mapping[str, SeriesColumns] | None = None,
    ) -> None:
        """Derive the findings of a finished search trial, and of its experiment when due.

        `logged`: its series where the caller has all of them; else they are read.
        """
        if spec.kind != "search":
            return
        with self._lock:
            budget = self._budgets.setdefault(spec.experiment_id, TimeBudget())
            began = self._clock()
            run_logged(
                f"the findings of trial {spec.trial_id}",
                lambda: derive_trial(spec, parameters, pruned, budget, logged),
            )
            budget.stale = True
            budget.earned += SHARE * seconds - (self._clock() - began)
            if budget.cost == 0.0 or budget.earned >= budget.cost:  # the first time, always
                self._derive_within_budget(spec.experiment_id, budget)

    def after_search(self, experiment_id: int) -> bool:
        """Derive findings at the end of a search where its last trials are not covered yet.

        False when they are owed: the database went away, or deriving failed and is retried.
        """
        with self._lock:
            budget = self._budgets.pop(experiment_id, None)
            if budget is not None and budget.stale:
                self._derive_within_budget(experiment_id, budget)
            return budget is not None and not budget.stale

    def derive_again(self, experiment_id: int) -> bool:
        """Derive the findings across all trials of a search; False when they are still owed."""
        with self._lock:
            self._cache.forget(experiment_id)  # something came late, maybe to an early trial
            budget = TimeBudget()
            self._derive_within_budget(experiment_id, budget)
            return not budget.stale

    def _derive_within_budget(self, experiment_id: int, budget: TimeBudget) -> None:
        began = self._clock()
        done = False

        def derive() -> None:
            nonlocal done
            done = self._derive_experiment(experiment_id, budget)

        run_logged(f"the findings of experiment {experiment_id}", derive)
        budget.stale = not done
        budget.cost = self._clock() - began
        budget.earned = min(budget.earned - budget.cost, budget.cost)

    def _derive_experiment(self, experiment_id: int, budget: TimeBudget) -> bool:
        errors: list[Exception] = []
        given_up = False
        try:
            view = experiment_view(experiment_id, self._cache)
            budget.trial_sd, budget.runner_up_gap = view.trial_sd, arm_gap(view)
            on_failure = _on_failure(f"experiment {experiment_id}", errors)
            diagnoses = list(diagnose_experiment(view, on_failure))
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:
            if not self.count_failure("experiment", experiment_id):
                raise
            logger.exception("the findings of experiment %s could not be made", experiment_id)
            diagnoses, errors = [], [error]
            given_up = True
        was_broken = ("experiment", experiment_id) in self._broken
        if errors or was_broken:
            diagnoses.append(rules_broke(errors))
        findings.record(experiment_id=experiment_id, diagnoses=diagnoses)
        if errors and not given_up:
            self._broken["experiment", experiment_id] = 0  # to be said once all is well again
        elif not errors:
            self.succeeded("experiment", experiment_id)
        return True

    def count_failure(self, kind: str, subject: int) -> bool:
        """Count a failed try; True for the last one."""
        self._broken[kind, subject] += 1
        return self._broken[kind, subject] >= TRIES

    def succeeded(self, kind: str, subject: int) -> None:
        """Reset the count of failed tries."""
        self._broken.pop((kind, subject), None)


def derive_trial(
    spec: TrialSpec | DueTrial,
    parameters: Mapping[str, Any],
    pruned: bool,
    budget: TimeBudget,
    logged: Mapping[str, SeriesColumns] | None = None,
) -> bool:
    """Apply the rules to one trial's curves and record its findings."""
    trial_id = spec.trial_id
    read = logged
    if read is None:
        read = series.read([trial_id], declared=dict(spec.metrics)).get(trial_id, {})
    judged = declared_series(read, spec)
    about = circumstances(
        read,
        parameters,
        pruned=pruned,
        trial_sd=budget.trial_sd,
        runner_up_gap=budget.runner_up_gap,
        resumed_at=series.resumed_at(trial_id) if spec.attempt > 1 else (),
    )
    errors: list[Exception] = []
    diagnoses = diagnose_trial(judged, about, _on_failure(f"trial {trial_id}", errors))
    if errors:
        diagnoses.append(rules_broke(errors))
    reading = read_trial(
        judged,
        diagnoses,
        direction=Direction(spec.direction),
        rate=learning_rate(parameters),
        others=all_but_the_rate(parameters),
        pruned=pruned,
    )
    findings.record_trial(
        experiment_id=spec.experiment_id,
        trial_id=trial_id,
        diagnoses=diagnoses,
        reading=reading.document(),
        summary=summary_statements(
            trial_id,
            read,
            official_metric=spec.official_metric,
            direction=spec.direction,
        ),
    )
    return True


def _on_failure(subject: str, errors: list[Exception]) -> Callable[[Exception], None]:
    def tell(error: Exception) -> None:
        logger.error("a rule broke on %s", subject, exc_info=error)
        errors.append(error)

    return tell


def rules_broke(errors: Sequence[Exception]) -> Diagnosis:
    """Finding that rules could not be applied; resolved when there are no errors."""
    if not errors:
        return _BROKEN.passes("No rule broke.", {})
    kinds = ", ".join(dict.fromkeys(type(error).__name__ for error in errors))
    detail = f"{kinds}: {str(errors[0]) or 'no reason'}"
    return _BROKEN.fires(f"Rules could not be applied: {kinds}", detail[:1000], {"errors": kinds})


def run_logged(what: str, action: Callable[[], object]) -> bool:
    """Run an action and log its errors; False when the database is away."""
    try:
        action()
    except (DatabaseError, InterfaceError):
        logger.exception("%s: the database is away", what)
        close_old_connections()
        return False
    except Exception:
        logger.exception("%s could not be made", what)
    return True
