"""Find a place by a few letters: projects, experiments, trials, decisions, reports, tags,
parameters, people and pages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import F, Q

from experiments.design.document.experiment_file import stored_or_none
from experiments.design.trial_names import parse_trial_name, trial_name
from experiments.models import (
    Decision,
    Experiment,
    ExperimentTag,
    Membership,
    ReportVersion,
    Study,
    Trial,
)
from experiments.models.project import Role
from experiments.models.trial import StudyKind
from experiments.team.queries.access import ROLES, find_project, listed_projects

MOST = 8  # of each kind
MOST_READ = 60  # experiments whose parameters are read, memberships
_NUMBER = re.compile(r"#?(0|[1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class Place:
    """Something that has a page; `kind` is project, experiment, trial, study, decision,
    report, tag, parameter, person or page.

    `project` and `experiment` are the slug and the name that its address is made of; `page` is
    the name of the address of a page.
    """

    kind: str
    title: str
    detail: str
    project: str
    experiment: str = ""
    trial: str = ""
    sequence: int = 0
    page: str = ""


# Pages by what people type: title, name of the address, the role that it takes ("" for anybody's).
_OF_PROJECT = (
    ("Experiments", "project", Role.VIEWER),
    ("Runs", "runs", Role.VIEWER),
    ("Studies of Optuna", "studies", Role.VIEWER),
    ("Reports", "reports", Role.VIEWER),
    ("New report", "new_report", Role.EDITOR),
    ("Champions", "champions", Role.VIEWER),
    ("Decisions", "decisions", Role.VIEWER),
    ("Compare experiments", "compare", Role.VIEWER),
    ("Batch sizes", "batch_sizes", Role.VIEWER),
    ("Members", "members", Role.VIEWER),
    ("Baseline", "baseline", Role.VIEWER),
    ("New experiment", "new_experiment", Role.EDITOR),
    ("Settings: metric, sealing, archive", "project_settings", Role.ADMIN),
    ("Sharing: read-only links", "sharing", Role.ADMIN),
    ("Webhooks and deliveries", "webhooks", Role.ADMIN),
    ("Tokens of the project", "project_tokens", Role.ADMIN),
)
_OF_ANYBODY = (
    ("Home, inbox and projects", "projects"),
    ("Workers and queues", "workers"),
    ("Account and password", "account"),
    ("API tokens", "tokens"),
    ("Messages by mail", "messages"),
)


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
    others = [
        *_tags(user, words),
        *_parameters(user, words, project),
        *(place for place in _decided(user, words) if place not in found),
        *_people(user, words),
        *_pages(user, words, project),
    ]
    matching = Q()
    for word in words:
        matching &= Q(name__icontains=word) | Q(goal__icontains=word)
    named = Q()
    for word in words:
        named &= Q(name__icontains=word) | Q(slug__icontains=word)
    experiments = _experiments(user, matching, project)
    reports = _reports(user, words)
    return [
        *found,
        *experiments,
        *reports,
        *_studies(user, words),
        *_projects(user, named),
        *others,
    ]


def _all_in(words: list[str], *fields: str) -> Q:
    """Every word stands in one of the columns."""
    found = Q()
    for word in words:
        some = Q()
        for field in fields:
            some |= Q(**{f"{field}__icontains": word})
        found &= some
    return found


def _tags(user: User, words: list[str]) -> list[Place]:
    rows = (
        ExperimentTag.objects.filter(
            _all_in([word.removeprefix("#") for word in words], "name"),
            experiment__project__in=listed_projects(user),
            experiment__archived_at__isnull=True,
        )
        .values_list("name", "experiment__project__name", "experiment__project__slug")
        .distinct()
        .order_by("name", "experiment__project__slug")[:MOST]
    )
    return [Place("tag", f"#{name}", project, slug, page=name) for name, project, slug in rows]


def _parameters(user: User, words: list[str], project: str) -> list[Place]:
    """Hyperparameters by name, each with the experiment that used it last."""
    rows = (
        Experiment.objects.filter(
            _all_in(words, "document"),
            project__in=listed_projects(user),
            archived_at__isnull=True,
            repeat_of__isnull=True,
        )
        .select_related("project")
        .annotate(is_here=Q(project__slug=project))
        .order_by(F("is_here").desc(), "-active_at")[:MOST_READ]
    )
    found: dict[tuple[str, str], Place] = {}
    for row in rows:
        file = stored_or_none(row.document)
        for hyperparameter in file.space.hyperparameters if file else ():
            if all(word.lower() in hyperparameter.name.lower() for word in words):
                place = Place(
                    "parameter", hyperparameter.name, row.name, row.project.slug, row.name
                )
                found.setdefault((hyperparameter.name, row.project.slug), place)
    return list(found.values())[:MOST]


def _decided(user: User, words: list[str]) -> list[Place]:
    """Decisions by their experiment, their reason or who made them."""
    rows = (
        Decision.objects.filter(
            _all_in(words, "reason", "experiment__name", "decided_by_name", "choice"),
            project__in=listed_projects(user),
        )
        .select_related("project", "experiment")
        .defer("evidence")
        .order_by("-decided_at")[:MOST]
    )
    return [_decision(row) for row in rows]


def _people(user: User, words: list[str]) -> list[Place]:
    """Members of projects that the person may see, each once."""
    rows = (
        Membership.objects.filter(
            _all_in(words, "user__username", "user__first_name", "user__last_name"),
            project__in=listed_projects(user),
        )
        .select_related("user", "project")
        .order_by("user__username", "project__slug")
    )
    found: dict[str, Place] = {}
    for row in rows[:MOST_READ]:
        name = row.user.get_username()
        detail = f"{row.role} of {row.project.name}"
        found.setdefault(name, Place("person", name, detail, row.project.slug))
    return list(found.values())[:MOST]


def _pages(user: User, words: list[str], project: str) -> list[Place]:
    found = [Place("page", title, "", "", page=name) for title, name in _OF_ANYBODY]
    access = find_project(user, project) if project else None
    if access is not None:
        mine = ROLES.index(Role(access.role))
        found += [
            Place("page", title, access.name, access.slug, page=name)
            for title, name, role in _OF_PROJECT
            if ROLES.index(role) <= mine
        ]
    return [place for place in found if all(word.lower() in place.title.lower() for word in words)]


def _projects(user: User, named: Q) -> list[Place]:
    rows = listed_projects(user).filter(named).order_by("name")[:MOST]
    return [Place("project", row.name, row.slug, row.slug) for row in rows]


def _experiments(user: User, matching: Q, project: str) -> list[Place]:
    """Those of the present project first, then by their last activity."""
    rows = (
        Experiment.objects.filter(
            matching,
            project__in=listed_projects(user),
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


def _studies(user: User, words: list[str]) -> list[Place]:
    """Free-standing studies, the newest first."""
    rows = Study.objects.filter(
        _all_in(words, "name"),
        kind=StudyKind.FREE,
        deleted_at__isnull=True,
        project__in=listed_projects(user),
    ).select_related("project")
    return [
        Place("study", row.name, row.project.name, row.project.slug, sequence=row.pk)
        for row in rows.order_by("-pk")[:MOST]
    ]


def _reports(user: User, words: list[str]) -> list[Place]:
    """Reports by the title of their present version, the newest change first."""
    rows = ReportVersion.objects.filter(
        _all_in(words, "title"),
        number=F("report__version"),
        report__archived_at__isnull=True,
        report__project__in=listed_projects(user),
    ).select_related("report__project")
    return [
        Place(
            "report",
            row.title,
            row.report.project.name,
            row.report.project.slug,
            sequence=row.report_id,
        )
        for row in rows.defer("text").order_by("-saved_at")[:MOST]
    ]


def _trials(user: User, words: list[str], project: str, experiment: str) -> list[Place]:
    *names, last = words
    called = parse_trial_name(last.removeprefix("#").upper())
    if called is None or called.arm is None or not (names or experiment):
        return []
    rows = Experiment.objects.filter(
        project__in=listed_projects(user), archived_at__isnull=True, repeat_of__isnull=True
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
        project__in=listed_projects(user), project__slug=project, sequence=int(match[1])
    ).select_related("project", "experiment")
    return [_decision(row) for row in rows]


def _decision(row: Decision) -> Place:
    return Place(
        "decision",
        f"Decision {row.sequence}",
        f"{row.choice}{f', {row.experiment.name}' if row.experiment else ''}",
        row.project.slug,
        sequence=row.sequence,
    )
