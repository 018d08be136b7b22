"""Stop rules of a running search, evaluated, with the reason in words."""

from __future__ import annotations

import json
import re
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from experiments.design.document.stop_rules import OUTLOOK_ATTRIBUTE, STOPPED_ATTRIBUTE
from experiments.design.queries.records import AnyExperiment, AnyTrial
from experiments.models import Study, Trial
from experiments.models.trial import FINISHED, FailureKind, StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.services import studies

FIRST_FAILURES = 3  # at least so many alike pause a search
_VARYING = re.compile(r"0[xX][0-9a-fA-F]+|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_ACCIDENTS = (FailureKind.EXCEPTION, FailureKind.LOST)


def reason(experiment: AnyExperiment) -> str:
    """Reason to stop a running experiment now; "" when there is none.

    The number of trials is no such reason: `may_start` holds further ones back, and those that
    run are let finish.
    """
    stop = _rules(experiment.document)
    minutes = stop.get("minutes")
    if minutes is not None:
        spent = (timezone.now() - experiment.created_at).total_seconds() / 60
        if spent >= minutes:
            return f"ran for {minutes:g} minutes"
    hours = stop.get("gpu_hours")
    if hours is not None and gpu_hours.of_search(experiment) >= hours:
        return f"used {hours:g} GPU hours"
    patience = stop.get("no_improvement_for")
    if patience is not None:
        since = _since_the_best(experiment)
        if since >= patience:
            return f"no improvement for {since} trials"
    return ""


def has_rules(document: str) -> bool:
    """Test whether an experiment's file holds any rule that could end it early."""
    return bool(_rules(document))


def may_start(experiment_id: int, document: str) -> bool:
    """Test whether the sampler may begin another trial under the rule on their number.

    `document` is the experiment's.
    """
    most = _rules(document).get("trials")
    return most is None or _search_trials(experiment_id).count() < most


def why_all_done(experiment: AnyExperiment) -> tuple[str, bool]:
    """Reason that nothing is left to run, and whether it is a rule."""
    most = _rules(experiment.document).get("trials")
    if most is not None and _search_trials(experiment.pk).count() >= most:
        return f"ran {most:g} trials, as many as its file allows", True
    ended = arms_ended(experiment)
    if not ended:
        outlooks = _arm_attributes(experiment, OUTLOOK_ATTRIBUTE)
        return "; ".join(["all trials done", *outlooks[:1]]), False
    arms = Study.objects.filter(experiment=experiment.pk, kind=StudyKind.SEARCH).count()
    where = f" in {len(ended)} of {arms} arms" if arms > 1 else ""
    return f"{ended[0]}{where}", True


def first_failures(experiment: AnyExperiment) -> list[Trial]:
    """First trials of a search when all of them failed with one cause, else none.

    `FIRST_FAILURES`, or twice as many as run at once where that is more. A cancelled trial tells
    nothing; one without a finite score has run, as a configuration that is merely bad does. None
    either while a trial trains beyond the step at which they failed, or when one has.
    """
    if experiment.failed_alike or experiment.is_from_outside:
        return []
    count = max(FIRST_FAILURES, 2 * experiment.parallel)
    finished = _search_trials(experiment.pk).filter(state__in=FINISHED)
    first = list(
        finished.exclude(failure_kind=FailureKind.CANCELLED).order_by("finished_at", "pk")[:count]
    )
    if len(first) < count or any(
        trial.state != TrialState.FAILED or trial.failure_kind not in _ACCIDENTS for trial in first
    ):
        return []
    if len({cause_of(trial.failure_reason) for trial in first}) > 1:
        return []
    return [] if _has_longer_trial(experiment, first) else first


def _has_longer_trial(experiment: AnyExperiment, failed: list[Trial]) -> bool:
    """Test whether a trial of the search logged later steps than those that failed."""
    steps = [trial.latest_step for trial in failed if trial.latest_step is not None]
    beyond = Q(latest_step__gt=max(steps)) if steps else Q(latest_value__isnull=False)
    return (
        _search_trials(experiment.pk)
        .filter(
            Q(beyond, state=TrialState.RUNNING)
            | Q(state__in=(TrialState.COMPLETE, TrialState.PRUNED))
            | Q(failure_kind=FailureKind.INFEASIBLE)
        )
        .exists()
    )


def cause_of(message: str) -> str:
    """A failure's message without its numbers and addresses, for comparison."""
    return _VARYING.sub("#", message)


def gpu_seconds_of_attempt(trial: AnyTrial) -> float:
    """GPU seconds that a running trial's attempt has held: until it was last heard of."""
    if trial.started_at is None or trial.heartbeat_at is None:
        return 0.0
    seconds = (trial.heartbeat_at - trial.started_at).total_seconds()
    return gpu_hours.gpus_in(trial.device) * max(0.0, seconds)


def arms_ended(experiment: AnyExperiment) -> list[str]:
    """Reasons that arms ended before their budget was used, one for each that did."""
    return _arm_attributes(experiment, STOPPED_ATTRIBUTE)


def _arm_attributes(experiment: AnyExperiment, attribute: str) -> list[str]:
    rows = Study.objects.filter(experiment=experiment.pk, kind=StudyKind.SEARCH)
    found = [
        decode(text).get(attribute)
        for text in rows.order_by("arm_index").values_list("system_attributes", flat=True)
    ]
    return [reason for reason in found if reason]


def end_arm(*, study_id: int, why: str) -> None:
    """Let an arm begin no further trials of its sampler; those that run are let finish."""
    with transaction.atomic():
        Study.objects.filter(pk=study_id).update(budget=F("next_row"))
        studies.set_system_attribute(study_id=study_id, key=STOPPED_ATTRIBUTE, value=why)


def record_outlook(*, study_id: int, why: str) -> None:
    """Keep why an arm's terminator has not ended it; said when its budget is used."""
    studies.set_system_attribute(study_id=study_id, key=OUTLOOK_ATTRIBUTE, value=why)


def is_ended(study: Study) -> bool:
    """Test whether an arm begins no further trials of its sampler."""
    return STOPPED_ATTRIBUTE in decode(study.system_attributes)


def _rules(document: str) -> dict[str, Any]:
    rules: dict[str, Any] = json.loads(document).get("stop", {})
    return rules


def _search_trials(experiment_id: int) -> QuerySet[Trial]:
    return Trial.objects.filter(
        study__experiment=experiment_id,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
    )


def _since_the_best(experiment: AnyExperiment) -> int:
    """Number of trials that finished after the best one; all of them when none is complete."""
    finished = _search_trials(experiment.pk).filter(state__in=FINISHED)
    best = experiment.best_trial
    return (
        finished.count()
        if best is None
        else finished.filter(finished_at__gt=best.finished_at).count()
    )
