"""Projects as their list and their front page show them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Max, OuterRef, Q, Subquery

from experiments.design.queries.awaiting_decision import awaiting_decision
from experiments.models import Decision, Experiment, Project
from experiments.models.decision import CHAMPION_CHOICES, Choice
from experiments.models.experiment import HAS_FAILED, ExperimentState
from experiments.team.queries.access import visible_projects
from experiments.verdict.queries.chain_check import check_logs
from experiments.verdict.queries.current_champion import Champion, as_champion

MOST_UNDER_WAY = 3  # on a project's card


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A search that runs now; `best` in the official metric's unit."""

    name: str
    goal: str
    done: int
    budget: int
    best: float | None


@dataclass(frozen=True, slots=True)
class ProjectRow:
    slug: str
    name: str
    official_metric: str
    direction: str
    experiments: int
    running: int
    under_way: tuple[UnderWay, ...]
    active_at: datetime | None
    champion: Champion | None
    last_choice: str
    last_decided_at: datetime | None
    to_decide: tuple[str, ...] = ()  # experiments that wait for a person's decision
    log_problems: tuple[str, ...] = ()  # of a decision log that is not what was written
    failing: tuple[str, ...] = ()  # experiments that are paused because their first trials failed


@dataclass(frozen=True, slots=True)
class LineageStep:
    """One adoption: its gain over the champion before it, with the interval that decided."""

    sequence: int
    experiment: str
    decided_at: datetime
    gain: float | None
    lower: float | None
    upper: float | None


def list_projects(user: User) -> tuple[ProjectRow, ...]:
    """Every project this person may see, what is under way in it, and its champion."""
    newest = Decision.objects.filter(project=OuterRef("pk")).order_by("-sequence")
    projects = list(
        visible_projects(user)
        .filter(archived_at__isnull=True)
        .annotate(
            experiment_count=Count("experiments", distinct=True),
            running_count=Count(
                "experiments",
                distinct=True,
                filter=Q(experiments__state=ExperimentState.RUNNING),
            ),
            active=Max("experiments__active_at"),
            last_choice=Subquery(newest.values("choice")[:1]),
            last_decided_at=Subquery(newest.values("decided_at")[:1]),
        )
        .order_by("slug")
    )
    champions = _champions(projects)
    under_way = _under_way(projects)
    wanted = awaiting_decision(each.pk for each in projects)
    logs = check_logs({each.pk: each.slug for each in projects})
    failing = _failing(projects)
    return tuple(
        ProjectRow(
            slug=each.slug,
            name=each.name,
            official_metric=each.official_metric,
            direction=each.direction,
            experiments=each.experiment_count,
            running=each.running_count,
            under_way=tuple(under_way.get(each.pk, ())[:MOST_UNDER_WAY]),
            active_at=each.active,
            champion=champions.get(each.pk),
            last_choice=each.last_choice or "",
            last_decided_at=each.last_decided_at,
            to_decide=wanted.get(each.pk, ()),
            log_problems=logs[each.pk].problems,
            failing=tuple(failing.get(each.pk, ())),
        )
        for each in projects
    )


def _under_way(projects: Sequence[Project]) -> dict[int, list[UnderWay]]:
    """Running searches by project, the latest activity first. One query."""
    rows = Experiment.objects.filter(
        project__in=projects, state=ExperimentState.RUNNING, repeat_of__isnull=True
    ).order_by("-active_at", "-pk")
    found: dict[int, list[UnderWay]] = {}
    for row in rows.only("project_id", "name", "goal", "trial_count", "budget", "best_value"):
        one = UnderWay(row.name, row.goal, row.trial_count, row.budget, row.best_value)
        found.setdefault(row.project_id, []).append(one)
    return found


def _failing(projects: Sequence[Project]) -> dict[int, list[str]]:
    """Names of paused experiments without a complete trial by project. One query."""
    rows = Experiment.objects.filter(
        HAS_FAILED,
        project__in=projects,
        state=ExperimentState.PAUSED,
        archived_at__isnull=True,
        repeat_of__isnull=True,
    )
    found: dict[int, list[str]] = {}
    for project, name in rows.order_by("-active_at", "-pk").values_list("project_id", "name"):
        found.setdefault(project, []).append(name)
    return found


def lineage(project_id: int) -> tuple[LineageStep, ...]:
    """Every adopt of a project, oldest first."""
    rows = (
        Decision.objects.filter(project_id=project_id, choice=Choice.ADOPT)
        .select_related("experiment")
        .order_by("sequence")
    )
    return tuple(_step(row) for row in rows)


def _champions(projects: Sequence[Project]) -> dict[int, Champion]:
    newest = (
        Decision.objects.filter(
            project__in=projects, target="production", choice__in=CHAMPION_CHOICES
        )
        .values("project")
        .annotate(newest=Max("sequence"))
    )
    wanted = Q(pk__in=())
    for row in newest:
        wanted |= Q(project=row["project"], sequence=row["newest"])
    rows = Decision.objects.filter(wanted).select_related("experiment", "candidate")
    return {row.project_id: as_champion(row) for row in rows}


def _step(decision: Decision) -> LineageStep:
    verdict = _verdict_of(decision)
    return LineageStep(
        sequence=decision.sequence,
        experiment=decision.experiment.name if decision.experiment else "",
        decided_at=decision.decided_at,
        gain=verdict.get("gain"),
        lower=verdict.get("lower"),
        upper=verdict.get("upper"),
    )


def _verdict_of(decision: Decision) -> dict[str, Any]:
    evidence = json.loads(decision.evidence or "{}")
    found = evidence.get("verdict") if isinstance(evidence, dict) else None
    return found if isinstance(found, dict) else {}
