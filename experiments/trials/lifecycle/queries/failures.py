"""Failure of a search of which no trial completed: its message and the log that tells of it."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.design.queries.records import AnyExperiment
from experiments.design.trial_names import trial_name
from experiments.models import Study, Trial
from experiments.models.trial import FailureKind, StudyKind, TrialState

LINES = 12  # of the end of a log


@dataclass(frozen=True, slots=True)
class SearchFailure:
    """Newest failed trial of a search without a complete one.

    `trials` counts the first ones that failed alike where the search is paused for them, else 0.
    `log`: the last lines that the trial printed, of its traceback where it printed none.
    """

    trial: str
    trials: int
    message: str
    log: str


def search_failure(experiment: AnyExperiment) -> SearchFailure | None:
    """Failure of an experiment, None for one that has not failed."""
    if not experiment.has_failed:
        return None
    failed = Trial.objects.filter(
        study__experiment=experiment.pk,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
        state=TrialState.FAILED,
    ).exclude(failure_kind=FailureKind.CANCELLED)
    trial = failed.select_related("study").order_by("-finished_at", "-pk").first()
    if trial is None:
        return None
    arms = Study.objects.filter(
        experiment=experiment.pk, kind=StudyKind.SEARCH, deleted_at__isnull=True
    ).count()
    return SearchFailure(
        trial=trial_name(trial.number, arm=trial.study.arm_index, arms=arms),
        trials=experiment.failed_alike if experiment.state == "paused" else 0,
        message=trial.failure_reason,
        log="\n".join((trial.log_tail.strip() or trial.traceback.strip()).splitlines()[-LINES:]),
    )
