"""Read replications over seeds and the findings that a decision has to answer for."""

from __future__ import annotations

from typing import Any

from experiments.design.queries.records import AnyConfiguration, AnyExperiment
from experiments.design.trial_names import trial_name
from experiments.models import Finding, Replication, Study
from experiments.models.experiment import ExperimentState
from experiments.models.finding import MUTED
from experiments.models.replication import Purpose
from experiments.models.trial import StudyKind

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


def fired_findings(experiment: AnyExperiment, *, dismissed: bool) -> list[dict[str, Any]]:
    """Findings that fired, still open or dismissed, as plain data for a decision's evidence.

    What one rule saw in several trials stands there once, with the trials' names.
    """
    every = Finding.objects.filter(experiment=experiment.pk)
    found = (
        (every.dismissed() if dismissed else every.asking())
        .select_related("dismissed_by", "trial__study", "experiment")
        .order_by("trial__study__arm_index", "trial__number", "pk")
    )
    arms = Study.objects.filter(experiment=experiment.pk, kind=StudyKind.SEARCH).count()
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for each in found:
        own = each.pk if each.trial is None else None
        key = (each.trial is None, own, each.rule, each.severity, each.dismiss_reason)
        groups.setdefault(key, []).append(each)
    return [_group(group, arms) for group in groups.values()]


def passed_checks(experiment: AnyExperiment) -> list[str]:
    """Rules that found everything in order, each rule once."""
    rows = Finding.objects.filter(experiment=experiment.pk, status="passed", trial__isnull=True)
    return list(dict.fromkeys(rows.order_by("pk").values_list("title", flat=True)))


def _group(group: list[Finding], arms: int) -> dict[str, Any]:
    first = group[0]
    names = [
        trial_name(each.trial.number, arm=each.trial.study.arm_index, arms=arms)
        for each in group
        if each.trial is not None
    ]
    title = first.title
    if len(group) > 1:
        title = f"{first.rule.replace('_', ' ').capitalize()} in {len(group)} trials"
    elif names:
        title = f"Trial {names[0]}: {title}"
    return {
        "rule": first.rule,
        "version": first.version,
        "subject": first.subject,
        "severity": first.severity,
        "title": title,
        "trials": names,
        **_why_dismissed(first),
    }


def _why_dismissed(finding: Finding) -> dict[str, str | None]:
    """Person and reason behind a dismissal; the experiment's own switch, where that mutes it."""
    if finding.dismissed_by is not None:
        by: str | None = finding.dismissed_by.get_username()
        return {"dismissed_by": by, "dismiss_reason": finding.dismiss_reason}
    if finding.rule == MUTED and finding.experiment.mutes_overfitting:
        return {"dismissed_by": MUTED_BY, "dismiss_reason": MUTED_WHY}
    return {"dismissed_by": None, "dismiss_reason": finding.dismiss_reason}
