"""Find a place by a few letters: projects, experiments, trials by number, decisions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import F, Q

from experiments.design.trial_names import parse_trial_name, trial_name
from experiments.models import Decision, Experiment, Trial
from experiments.models.trial import StudyKind
from experiments.team.queries.access import visible_projects

MOST = 8  # of each kind
_NUMBER = re.compile(r"#?(0|[1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class Place:
    """Something that has a page; `kind` is project, experiment, trial or decision.

    `project` and `experiment` are the slug and the name that its address is made of.
    """

    kind: str
    title: str
    detail: str
    project: str
    experiment: str = ""
    trial: str = ""
    sequence: int = 0


def places(user: User, text: str, *, project: str = "", experiment: str = "") -> list[Place]:
    """Places that a person may see and that match a text, the nearest first.

    `project` and `experiment` say where the person is: trials and decisions by number are looked
    for there; "wider B12" finds trial B12 of experiments with "wider" in their name.
    """
    words = text.split()
    if not words:
        return _experiments(user, Q(), project)
    found = _trials(user, words, project, experiment)
    if len(words) == 1 and project:
        found += _decisions(user, words[0], project)
    matching = Q()
    for word in words:
        matching &= Q(name__icontains=word) | Q(goal__icontains=word)
    named = Q()
    for word in words:
        named &= Q(name__icontains=word) | Q(slug__icontains=word)
    return [*found, *_experiments(user, matching, project), *_projects(user, named)]


def _projects(user: User, named: Q) -> list[Place]:
    rows = visible_projects(user).filter(named, archived_at__isnull=True).order_by("name")[:MOST]
    return [Place("project", row.name, row.slug, row.slug) for row in rows]


def _experiments(user: User, matching: Q, project: str) -> list[Place]:
    """Those of the present project first, then by their last activity."""
    rows = (
        Experiment.objects.filter(
            matching,
            project__in=visible_projects(user),
            archived_at__isnull=True,
            repeat_of__isnull=True,
        )
        .select_related("project")
        .annotate(is_here=Q(project__slug=project))
        .order_by(F("is_here").desc(), "-active_at", "-pk")[:MOST]
    )
    return [
        Place("experiment", row.name, row.project.name, row.project.slug, row.name) for row in rows
    ]


def _trials(user: User, words: list[str], project: str, experiment: str) -> list[Place]:
    *names, last = words
    called = parse_trial_name(last.removeprefix("#").upper())
    if called is None or called.arm is None or not (names or experiment):
        return []
    rows = Experiment.objects.filter(
        project__in=visible_projects(user), archived_at__isnull=True, repeat_of__isnull=True
    )
    if names:
        for word in names:
            rows = rows.filter(name__icontains=word)
    else:
        rows = rows.filter(project__slug=project, name=experiment)
    recent = list(rows.order_by("-active_at").values_list("pk", flat=True)[:MOST])
    trials = Trial.objects.filter(
        study__experiment__in=recent,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
        number=called.number,
    ).select_related("study__experiment__project")
    if not last.removeprefix("#").isdecimal():
        trials = trials.filter(study__arm_index=called.arm)
    arms = _arms(recent)
    return [
        _trial(row, arms.get(row.study.experiment_id or 0, 1))
        for row in trials.order_by("study__experiment", "study__arm_index")[:MOST]
    ]


def _arms(experiments: list[int]) -> dict[int, int]:
    rows = Experiment.objects.filter(pk__in=experiments).prefetch_related("studies")
    return {
        row.pk: sum(
            study.kind == StudyKind.SEARCH and study.deleted_at is None
            for study in row.studies.all()
        )
        for row in rows
    }


def _trial(row: Trial, arms: int) -> Place:
    experiment = row.study.experiment
    assert experiment is not None  # the query goes by it
    name = trial_name(row.number, arm=row.study.arm_index, arms=arms)
    return Place(
        "trial",
        f"Trial {name}",
        experiment.name,
        experiment.project.slug,
        experiment.name,
        trial=name,
    )


def _decisions(user: User, word: str, project: str) -> list[Place]:
    match = _NUMBER.fullmatch(word)
    if match is None:
        return []
    rows = Decision.objects.filter(
        project__in=visible_projects(user), project__slug=project, sequence=int(match[1])
    ).select_related("project", "experiment")
    return [
        Place(
            "decision",
            f"Decision {row.sequence}",
            f"{row.choice}{f', {row.experiment.name}' if row.experiment else ''}",
            row.project.slug,
            sequence=row.sequence,
        )
        for row in rows
    ]
