"""Read replications over seeds and the findings that a decision has to answer for."""

from __future__ import annotations

from typing import Any

from experiments.design.queries.records import (
    WITH_EXPERIMENT,
    AnyConfiguration,
    AnyExperiment,
    ReplicationRecord,
    replication_record,
)
from experiments.models import Experiment, Finding, Replication, Study
from experiments.models.experiment import ExperimentState
from experiments.models.replication import Purpose
from experiments.models.trial import StudyKind
from experiments.trials.findings.queries.findings import FindingRow, findings_of

_EARLIER = 10
MUTED_BY = "the experiment's switch"
MUTED_WHY = "overfitting is muted here: members of an ensemble may overfit a little"


def past(experiment: AnyExperiment) -> list[ReplicationRecord]:
    """The project's newest replications in the same official metric, newest first."""
    return _in_the_same_metric(experiment, Purpose.VERDICT, _EARLIER)


def newest_baseline(experiment: AnyExperiment) -> ReplicationRecord | None:
    """The project's newest configuration run alone over seeds, in the same official metric."""
    return next(iter(_in_the_same_metric(experiment, Purpose.BASELINE, 1)), None)


def _in_the_same_metric(
    experiment: AnyExperiment, purpose: Purpose, count: int
) -> list[ReplicationRecord]:
    rows = Replication.objects.filter(
        experiment__project_id=experiment.project_id,
        experiment__official_metric=experiment.official_metric,
        purpose=purpose,
    ).select_related(*WITH_EXPERIMENT)
    return [replication_record(row) for row in rows.order_by("-pk")[:count]]


def measurements(
    experiment: AnyExperiment, candidate: AnyConfiguration
) -> list[ReplicationRecord]:
    """The newest measurement of each single source of variance of a candidate."""
    rows = (
        Replication.objects.filter(experiment=experiment.pk, candidate=candidate.pk)
        .exclude(purpose=Purpose.VERDICT)
        .select_related(*WITH_EXPERIMENT)
        .order_by("pk")
    )
    newest = {row.purpose: row for row in rows}
    return [replication_record(row) for row in newest.values()]


def searches_running(replication: ReplicationRecord) -> int:
    """Number of a measurement's repeated searches that have not ended."""
    ended = (ExperimentState.FINISHED, ExperimentState.STOPPED)
    searches = Experiment.objects.filter(repeat_of=replication.pk)
    return searches.exclude(state__in=ended).count()


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
