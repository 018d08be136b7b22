"""Read repetitions over seeds and the findings that a decision has to answer for."""

from __future__ import annotations

from typing import Any

from experiments.models import Configuration, Experiment, Finding, Replication
from experiments.models.experiment import ExperimentState
from experiments.models.replication import Purpose

_EARLIER = 10


def latest(experiment: Experiment) -> Replication | None:
    """The experiment's newest repetition for a verdict."""
    return (
        experiment.replications.filter(purpose=Purpose.VERDICT)
        .select_related("experiment__project", "candidate", "baseline", "candidate_trial")
        .first()
    )


def past(experiment: Experiment) -> list[Replication]:
    """The project's newest repetitions in the same official metric, newest first."""
    return list(
        Replication.objects.filter(
            experiment__project_id=experiment.project_id,
            experiment__official_metric=experiment.official_metric,
            purpose=Purpose.VERDICT,
        )
        .select_related("experiment")
        .order_by("-pk")[:_EARLIER]
    )


def measurements(experiment: Experiment, candidate: Configuration) -> list[Replication]:
    """The newest measurement of each single source of variance of a candidate."""
    rows = (
        Replication.objects.filter(experiment=experiment, candidate=candidate)
        .exclude(purpose=Purpose.VERDICT)
        .select_related("experiment")
        .order_by("pk")
    )
    return list({row.purpose: row for row in rows}.values())


def searches_running(replication: Replication) -> int:
    """How many repeated searches of a measurement have not ended."""
    ended = (ExperimentState.FINISHED, ExperimentState.STOPPED)
    return replication.searches.exclude(state__in=ended).count()


def fired_findings(experiment: Experiment, *, dismissed: bool) -> list[dict[str, Any]]:
    """Findings that fired, still open or dismissed, as plain data for a decision's evidence."""
    found = (
        Finding.objects.filter(experiment=experiment, status="fired")
        .filter(dismissed_at__isnull=not dismissed)
        .select_related("dismissed_by", "trial")
        .order_by("pk")
    )
    return [
        {
            "rule": each.rule,
            "version": each.version,
            "subject": each.subject,
            "severity": each.severity,
            "title": each.title,
            "trial": each.trial_id,
            "dismissed_by": each.dismissed_by.get_username() if each.dismissed_by else None,
            "dismiss_reason": each.dismiss_reason,
        }
        for each in found
    ]
