"""Projects as Home and their front page show them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from django.contrib.auth.models import User
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Value, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from experiments.analysis.time_left import TimeLeft
from experiments.charts.sparkline import Sparkline, sparkline
from experiments.decisions.queries.proposals import ProposalRow, pending_by_project
from experiments.design.queries.awaiting_decision import AwaitingDecision, awaiting_decision
from experiments.design.queries.time_left import searches_time_left
from experiments.models import Decision, Experiment, Membership, Project, Trial
from experiments.models.decision import CHAMPION_CHOICES, Choice
from experiments.models.experiment import HAS_FAILED, ExperimentState
from experiments.models.project import Role
from experiments.models.trial import StudyKind, TrialState
from experiments.team.queries.access import ROLES, listed_projects
from experiments.verdict.queries.chain_check import check_logs
from experiments.verdict.queries.current_champion import Champion, as_champion
from experiments.web.pagination import EVERY_ROW, Page, PageOf, paged

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

MOST_DECIDED = 3
MOST_DUE = 50  # decisions that the inbox lists
MOST_ADOPTS = 50  # in the chart of a project
MOST_CHAMPIONS = 8  # in a sparkline
FAILED_FOR = dt.timedelta(days=7)  # how long Home shows a search that ended without a trial
Each = TypeVar("Each")
_RUNNING_SEARCH = Q(studies__trials__state=TrialState.RUNNING, studies__kind=StudyKind.SEARCH)
_OPEN = (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A search that runs now, or an experiment whose replicates do (`repeats`).

    `done` of `budget` trials or replicates; `best` in the official metric's unit.
    """

    name: str
    goal: str
    done: int
    budget: int
    failed: int
    best: float | None
    repeats: bool = False
    time_left: TimeLeft | None = None  # of a search


@dataclass(frozen=True, slots=True)
class RecentDecision:
    sequence: int
    choice: str
    override: str
    experiment: str
    decided_by: str
    decided_at: dt.datetime


@dataclass(frozen=True, slots=True)
class ProjectRow:
    slug: str
    name: str
    official_metric: str
    direction: str
    experiments: int
    running: int
    under_way: tuple[UnderWay, ...]
    active_at: dt.datetime | None
    champion: Champion | None
    champions: tuple[Champion, ...]  # the latest, oldest first
    decided: tuple[RecentDecision, ...]  # the latest, newest first
    to_decide: tuple[AwaitingDecision, ...]
    proposals: tuple[ProposalRow, ...]  # that wait for a second approver
    failing: tuple[str, ...]  # searches without a complete trial: paused for it, or ended lately
    can_decide: bool
    log_problems: tuple[str, ...] = ()  # of a decision log that was altered

    @property
    def sparkline(self) -> Sparkline | None:
        """Mean and spread of the latest champions; None before there is one with scores."""
        scores = [champion.scores for champion in self.champions]
        return sparkline([s.mean for s in scores], [s.deviation for s in scores])


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A decision that is due, or proposed and to be confirmed; `may_act`: the person who looks
    may do so. `since`: the last replicate's end, or the proposal."""

    project: str
    project_name: str
    experiment: str
    pairs: int
    since: dt.datetime | None
    may_act: bool
    proposal: ProposalRow | None = None


@dataclass(frozen=True, slots=True)
class LineageStep:
    """One adoption: its gain over the champion before it, with the interval that decided."""

    sequence: int
    experiment: str
    decided_at: dt.datetime
    gain: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Due:
    """Decisions that are due, and those proposed that wait for a second approver; by project."""

    awaiting: dict[int, tuple[AwaitingDecision, ...]]
    proposals: dict[int, tuple[ProposalRow, ...]]


def due_in(project_ids: Iterable[int]) -> Due:
    """Read what is due in projects. Two queries."""
    return Due(awaiting_decision(project_ids), pending_by_project(project_ids))


def due_for(user: User) -> Due:
    """Read what is due in every listed project of a person. Two queries."""
    return due_in(listed_projects(user).values_list("pk", flat=True))


def list_projects(
    user: User, wanted: PageOf = EVERY_ROW, due: Due | None = None
) -> Page[ProjectRow]:
    """Projects that this person may see: champion, what runs, failed, waits, was decided.

    The same number of queries however many they are; two fewer where `due` is given.
    """
    page = paged(_of(user), wanted, lambda project: project)
    projects = page.rows
    counts = _counts(projects)
    champions = _champions(projects)
    decided = _decided(projects)
    under_way = _under_way(projects)
    due = due or due_in([project.pk for project in projects])
    logs = check_logs({project.pk: project.slug for project in projects})
    failing = _failing(projects)
    rows = [
        ProjectRow(
            slug=project.slug,
            name=project.name,
            official_metric=project.official_metric,
            direction=project.direction,
            experiments=counts[project.pk].experiments if project.pk in counts else 0,
            running=counts[project.pk].running if project.pk in counts else 0,
            under_way=under_way.get(project.pk, ()),
            active_at=counts[project.pk].active_at if project.pk in counts else None,
            champion=champions[project.pk][-1] if project.pk in champions else None,
            champions=champions.get(project.pk, ()),
            decided=decided.get(project.pk, ()),
            to_decide=due.awaiting.get(project.pk, ()),
            proposals=due.proposals.get(project.pk, ()),
            failing=failing.get(project.pk, ()),
            can_decide=_may_decide(project),
            log_problems=logs[project.pk].problems,
        )
        for project in projects
    ]
    return Page(rows, page.number, page.total, page.size)


@dataclass(frozen=True, slots=True)
class Inbox:
    """Decisions that are due: those that the person may make first, the oldest first. `items`
    are the first `MOST_DUE` of all `total`."""

    items: tuple[InboxItem, ...]
    total: int


def inbox_of(user: User, due: Due) -> Inbox:
    """Decisions that are due, as the person meets them. One query."""
    projects = (
        {project.pk: project for project in _of(user)} if due.awaiting or due.proposals else {}
    )
    found = [
        InboxItem(
            of.slug, of.name, awaiting.experiment, awaiting.pairs, awaiting.since, _may_decide(of)
        )
        for pk, rows in due.awaiting.items()
        if (of := projects.get(pk))
        for awaiting in rows
    ]
    found += [
        InboxItem(
            of.slug,
            of.name,
            wish.experiment,
            0,
            wish.proposed_at,
            _may_decide(of) and wish.proposed_by != user.get_username(),
            proposal=wish,
        )
        for pk, wishes in due.proposals.items()
        if (of := projects.get(pk))
        for wish in wishes
    ]
    return Inbox(tuple(sorted(found, key=_by_age)[:MOST_DUE]), len(found))


def _by_age(item: InboxItem) -> tuple[bool, float]:
    return not item.may_act, item.since.timestamp() if item.since else 0.0


class _Role(TypedDict):
    role: str


def _of(user: User) -> QuerySet[WithAnnotations[Project, _Role]]:
    """The projects by slug, with the person's role."""
    own = Membership.objects.filter(project=OuterRef("pk"), user_id=user.pk).values("role")[:1]
    role = Value(str(Role.ADMIN)) if user.is_superuser else Subquery(own)
    return listed_projects(user).annotate(role=role).order_by("slug")


def _may_decide(project: WithAnnotations[Project, _Role]) -> bool:
    return _includes(project.role, Role.APPROVER)


@dataclass(frozen=True, slots=True)
class _Counts:
    experiments: int
    running: int
    active_at: dt.datetime | None


def _counts(projects: Sequence[Project]) -> dict[int, _Counts]:
    """Experiments of each project that has any. One query."""
    running = Count("pk", filter=Q(state=ExperimentState.RUNNING))
    rows = (
        Experiment.objects.filter(project__in=projects)
        .order_by()
        .values_list("project")
        .annotate(n=Count("pk"), running=running, active=Max("active_at"))
    )
    return {project: _Counts(*found) for project, *found in rows}


def _includes(role: str, wanted: Role) -> bool:
    return ROLES.index(Role(role)) >= ROLES.index(wanted)


def _under_way(projects: Sequence[Project]) -> dict[int, tuple[UnderWay, ...]]:
    """Running searches and replicates by project, the latest activity first.

    Three queries.
    """
    running = Count("studies__trials", filter=_RUNNING_SEARCH)
    rows = Experiment.objects.filter(
        project__in=projects, state=ExperimentState.RUNNING, repeat_of__isnull=True
    ).order_by("-active_at", "-pk")
    found = list(rows.annotate(running=running))
    left = searches_time_left((row, row.running) for row in found)
    searches = ((row.project_id, _search_under_way(row, left.get(row.pk))) for row in found)
    return _by_project([*searches, *_repeating(projects)])


def _search_under_way(row: Experiment, left: TimeLeft | None) -> UnderWay:
    return UnderWay(
        row.name,
        row.goal,
        row.trial_count,
        row.budget,
        row.failed_count,
        row.best_value,
        time_left=left,
    )


def _repeating(projects: Sequence[Project]) -> Iterator[tuple[int, UnderWay]]:
    """Experiments whose replicates wait or run. One query."""
    of = "study__replication__experiment"
    is_open = Trial.objects.filter(study__replication__experiment=OuterRef(of), state__in=_OPEN)
    rows = (
        Trial.objects.filter(
            Exists(is_open), retries__isnull=True, **{f"{of}__project__in": projects}
        )
        .values_list(f"{of}__project", f"{of}__name", f"{of}__goal")
        .annotate(
            done=Count("pk", filter=~Q(state__in=_OPEN)),
            runs=Count("pk"),
            failed=Count("pk", filter=Q(state=TrialState.FAILED)),
            latest=Max(f"{of}__active_at"),
        )
        .order_by("-latest")
    )
    for project, name, goal, done, runs, failed, _ in rows:
        yield project, UnderWay(name, goal, done, runs, failed, best=None, repeats=True)


def _failing(projects: Sequence[Project]) -> dict[int, tuple[str, ...]]:
    """Searches without a complete trial by project, the latest activity first. One query."""
    lately = timezone.now() - FAILED_FOR
    rows = Experiment.objects.filter(
        HAS_FAILED,
        Q(state=ExperimentState.PAUSED) | Q(finished_at__gte=lately),
        project__in=projects,
        archived_at__isnull=True,
        repeat_of__isnull=True,
    ).order_by("-active_at", "-pk")
    return _by_project(rows.values_list("project_id", "name"))


def _by_project(pairs: Iterable[tuple[int, Each]]) -> dict[int, tuple[Each, ...]]:
    found: dict[int, list[Each]] = {}
    for project, item in pairs:
        found.setdefault(project, []).append(item)
    return {project: tuple(some) for project, some in found.items()}


def _newest(
    decisions: QuerySet[Decision], projects: Sequence[Project], most: int
) -> QuerySet[Decision]:
    """The newest `most` decisions of each project, newest first."""
    place = Window(RowNumber(), partition_by=F("project_id"), order_by=F("sequence").desc())
    return (
        decisions.filter(project__in=projects)
        .annotate(place=place)
        .filter(place__lte=most)
        .order_by("project", "-sequence")
    )


def _decided(projects: Sequence[Project]) -> dict[int, tuple[RecentDecision, ...]]:
    """The latest decisions by project, newest first. One query."""
    rows = _newest(Decision.objects.defer("evidence", "reason"), projects, MOST_DECIDED)
    return _by_project(
        (
            row.project_id,
            RecentDecision(
                row.sequence,
                row.choice,
                row.override,
                row.experiment.name if row.experiment else "",
                row.decided_by_name,
                row.decided_at,
            ),
        )
        for row in rows.select_related("experiment")
    )


def _champions(projects: Sequence[Project]) -> dict[int, tuple[Champion, ...]]:
    """The latest champions of production by project, oldest first. One query."""
    made = Decision.objects.filter(target="production", choice__in=CHAMPION_CHOICES)
    rows = _newest(made, projects, MOST_CHAMPIONS).select_related("experiment", "candidate")
    return _by_project((row.project_id, as_champion(row)) for row in reversed(rows))


def lineage(project_id: int) -> tuple[LineageStep, ...]:
    """The latest adopts of a project, oldest first."""
    rows = (
        Decision.objects.filter(project_id=project_id, choice=Choice.ADOPT)
        .select_related("experiment")
        .order_by("-sequence")[:MOST_ADOPTS]
    )
    return tuple(_step(row) for row in reversed(rows))


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
