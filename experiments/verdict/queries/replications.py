"""Read replications over seeds and the findings that a decision has to answer for."""

from __future__ import annotations

from typing import Any

from experiments.design.queries.records import AnyConfiguration, AnyExperiment
from experiments.models import Finding, Replication, Study
from experiments.models.experiment import ExperimentState
from experiments.models.replication import Purpose
from experiments.models.trial import StudyKind
from experiments.trials.findings.queries.findings import FindingRow, findings_of

_EARLIER = 10
MUTED_BY = "the experiment's switch"
MUTED_WHY = "overfitting is muted here: members of an ensemble may overfit a little"


def past(experiment: AnyExperiment) -> list[Replication]:
    """The project's newest replications in the same official metric, newest first."""
    return list(
        Replication.objects.filter(
            experiment__project_id=experiment.project_id,
            experiment__official_metric=experiment.official_metric,
            purpose=Purpose.VERDICT,
        )
        .select_related("experiment")
        .order_by("-pk")[:_EARLIER]
    )


def baselines(experiment: AnyExperiment) -> list[Replication]:
    """The project's first configuration over seeds, in the same official metric, newest first."""
    return list(
        Replication.objects.filter(
            experiment__project_id=experiment.project_id,
            experiment__official_metric=experiment.official_metric,
            purpose=Purpose.BASELINE,
        )
        .select_related("experiment")
        .order_by("-pk")[:1]
    )


def measurements(experiment: AnyExperiment, candidate: AnyConfiguration) -> list[Replication]:
    """The newest measurement of each single source of variance of a candidate."""
    rows = (
        Replication.objects.filter(experiment=experiment.pk, candidate=candidate.pk)
        .exclude(purpose=Purpose.VERDICT)
        .select_related("experiment")
        .order_by("pk")
    )
    return list({row.purpose: row for row in rows}.values())


def searches_running(replication: Replication) -> int:
    """Number of a measurement's repeated searches that have not ended."""
    ended = (ExperimentState.FINISHED, ExperimentState.STOPPED)
    return replication.searches.exclude(state__in=ended).count()


def fired_findings(experiment: AnyExperiment) -> tuple[list[dict[str, Any]], ...]:
    """Findings that fired, open and dismissed ones, as plain data for a decision's evidence.

    They are the experiment's page's, with the names of all trials.
    """
    arms = Study.objects.filter(experiment=experiment.pk, kind=StudyKind.SEARCH).count()
    found = findings_of(experiment, arms, named=experiment.trial_count + experiment.parallel)
    return [_plain(row) for row in found.open], [_plain(row) for row in found.dismissed]


def passed_checks(experiment: AnyExperiment) -> list[str]:
    """Rules that found everything in order, each rule once."""
    rows = Finding.objects.filter(experiment=experiment.pk, status="passed", trial__isnull=True)
    return list(dict.fromkeys(rows.order_by("pk").values_list("title", flat=True)))


def _plain(row: FindingRow) -> dict[str, Any]:
    trials = [row.trial, *row.others] if row.trial else list(row.others)
    return {
        "rule": row.rule,
        "version": row.version,
        "subject": row.subject,
        "severity": row.severity,
        "title": row.title,
        "trials": trials if row.trials else [],
        "dismissed_by": MUTED_BY if row.is_muted else row.dismissed_by or None,
        "dismiss_reason": MUTED_WHY if row.is_muted else row.dismiss_reason,
    }
