"""Experiments as a project's table and their own page show them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from django.db.models import Case, Count, F, OrderBy, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from experiments.analysis.time_left import TimeLeft
from experiments.design.document.stop_rules import STOPPED_ATTRIBUTE
from experiments.design.queries.awaiting_decision import awaiting_decision
from experiments.design.queries.finding_counts import FindingCounts, count_findings
from experiments.design.queries.records import (
    OF_EXPERIMENT,
    AnyExperiment,
    ExperimentRecord,
    record_of,
)
from experiments.design.queries.time_left import searches_time_left
from experiments.design.space.search_space import values_in_words
from experiments.design.trial_names import arm_letter, trial_name
from experiments.errors import NotFound
from experiments.models import Decision, ExperimentTag, Study, Trial
from experiments.models import Experiment as Experiment
from experiments.models.decision import Choice
from experiments.models.experiment import HAS_FAILED, ExperimentState
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.team.queries.access import Access
from experiments.web.pagination import FIRST_PAGE, Page, PageOf, page_bounds

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

FAILED = "failed"  # of a state: the search ended, or was paused, without a complete trial
MOST_TAGS = 200  # offered to filter by
STATES: tuple[str, ...] = (*ExperimentState.values, FAILED)
ORDERS = {
    "activity": "-active_at",
    "name": "name",
    "created": "-created_at",
    "trials": "-trial_count",
    "best": "best_value",
}


@dataclass(frozen=True, slots=True)
class ExperimentFilter:
    """Filter of a project's table; `order` is one of `ORDERS`."""

    text: str = ""
    state: str = ""
    order: str = "activity"
    page: PageOf = FIRST_PAGE
    tag: str = ""
    archived: bool = False  # those that lists leave out, instead of the others


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    name: str
    goal: str
    state: str
    budget: int
    complete: int
    pruned: int
    failed: int
    running: int
    best_value: float | None
    findings: FindingCounts
    decision: str
    decision_sequence: int | None
    author: str
    active_at: datetime
    tags: tuple[str, ...] = ()
    wants_decision: bool = False
    has_failed: bool = False  # it ended, or was paused, without a complete trial
    reason: str = ""  # why it is paused or was stopped
    time_left: TimeLeft | None = None  # of a search that runs

    @property
    def done(self) -> int:
        return self.complete + self.pruned + self.failed


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm of a search: its letter, what it fixes, how far it is.

    `stopped` says why it begins no more trials before its budget is used, else it is empty.
    """

    study_id: int
    index: int
    letter: str
    label: str
    budget: int | None
    trials: int
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """Unfinished search trials and the time that finished ones took."""

    running: int
    waiting: int


def list_experiments(access: Access, wanted: ExperimentFilter) -> Page[ExperimentRow]:
    """A page of a project's experiments, narrowed and ordered by the database."""
    rows = Experiment.objects.filter(
        project_id=access.project_id,
        archived_at__isnull=not wanted.archived,
        repeat_of__isnull=True,
    )
    if wanted.tag:
        rows = rows.filter(tags__name=wanted.tag)
    if wanted.state == FAILED:
        rows = rows.filter(HAS_FAILED)
    elif wanted.state in STATES:
        rows = rows.filter(state=wanted.state)
    if wanted.text:
        rows = rows.filter(
            Q(name__icontains=wanted.text)
            | Q(goal__icontains=wanted.text)
            | Q(pk__in=_tagged(wanted.text))
        )
    total = rows.count()
    number, start, end = page_bounds(wanted.page, total)
    order: str | OrderBy = ORDERS.get(wanted.order, ORDERS["activity"])
    if wanted.order == "best":
        best = F("best_value")
        order = (best.asc if access.direction == "minimize" else best.desc)(nulls_last=True)
    decided = Decision.objects.filter(experiment=OuterRef("pk")).order_by(
        _ADOPT_FIRST, "-sequence"
    )
    page = (
        rows.select_related("created_by")
        .prefetch_related("tags")
        .annotate(
            running_count=_count_of(
                Trial.objects.filter(study__kind=StudyKind.SEARCH, state=TrialState.RUNNING),
                "study__experiment",
            ),
            decision_choice=Subquery(decided.values("choice")[:1]),
            decision_sequence=Subquery(decided.values("sequence")[:1]),
        )
        .order_by(order, "-pk")[start:end]
    )
    waiting = {
        awaiting.experiment
        for awaiting in awaiting_decision([access.project_id]).get(access.project_id, ())
    }
    findings = count_findings(experiment.pk for experiment in page)
    left = searches_time_left((experiment, experiment.running_count) for experiment in page)
    none = FindingCounts()
    shown = [_row(row, waiting, findings.get(row.pk, none), left.get(row.pk)) for row in page]
    return Page(shown, number, total, wanted.page.size)


# An experiment of which one candidate was adopted is adopted, whatever became of the others.
_ADOPT_FIRST = Case(When(choice=Choice.ADOPT, then=0), default=1)


def _count_of(rows: QuerySet[Trial], key: str) -> Coalesce:
    """Number of `rows` that belong to the outer experiment."""
    counts = rows.filter(**{key: OuterRef("pk")}).order_by().values(key).annotate(n=Count("pk"))
    return Coalesce(Subquery(counts.values("n")), 0)


def _tagged(text: str) -> QuerySet[Experiment]:
    return Experiment.objects.filter(tags__name__icontains=text)


class _Counts(TypedDict):
    running_count: int
    decision_choice: str | None
    decision_sequence: int | None


def _row(
    row: WithAnnotations[Experiment, _Counts],
    waiting: Collection[str],
    findings: FindingCounts,
    left: TimeLeft | None,
) -> ExperimentRow:
    return ExperimentRow(
        name=row.name,
        goal=row.goal,
        state=row.state,
        budget=row.budget,
        complete=row.complete_count,
        pruned=row.pruned_count,
        failed=row.failed_count,
        running=row.running_count,
        best_value=row.best_value,
        findings=findings,
        decision=row.decision_choice or "",
        decision_sequence=row.decision_sequence,
        author=row.created_by.get_username(),
        active_at=row.active_at,
        tags=tuple(sorted(tag.name for tag in row.tags.all())),
        wants_decision=row.name in waiting,
        has_failed=row.has_failed,
        reason=row.stop_reason if row.state in ("paused", "stopped") else "",
        time_left=left,
    )


def experiment_names(access: Access, wanted: Sequence[str] = (), most: int = 300) -> list[str]:
    """Names of a project's experiments, the latest activity first; `wanted` ones are kept."""
    rows = Experiment.objects.filter(project_id=access.project_id, repeat_of__isnull=True)
    names = list(
        rows.filter(archived_at__isnull=True)
        .order_by("-active_at", "-pk")
        .values_list("name", flat=True)[:most]
    )
    missing = [name for name in wanted if name and name not in names]
    return [*rows.filter(name__in=missing).values_list("name", flat=True), *names]


def copyable(access: Access, most: int = 100) -> list[str]:
    """Names of a project's experiments that have a file, the latest activity first."""
    rows = Experiment.objects.filter(
        project_id=access.project_id, repeat_of__isnull=True, archived_at__isnull=True
    )
    names = rows.exclude(source="").order_by("-active_at", "-pk").values_list("name", flat=True)
    return list(names[:most])


def free_name(project_id: int, name: str) -> str:
    """The name if nobody has it, else with the first number from 2 that makes it free."""
    stem = name[:190]
    rows = Experiment.objects.filter(project_id=project_id, name__startswith=stem)
    taken = set(rows.values_list("name", flat=True))
    if name not in taken:
        return name
    number = 2
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def find_experiment(access: Access, name: str) -> ExperimentRecord | None:
    """An experiment of a project by its name, with its best trial and who made it."""
    rows = Experiment.objects.select_related(*OF_EXPERIMENT)
    row = rows.filter(project_id=access.project_id, name=name).first()
    return record_of(row) if row else None


def get_experiment(access: Access, name: str) -> ExperimentRecord:
    """An experiment of a project by its name.

    Raises:
        NotFound: when there is none of that name.
    """
    found = find_experiment(access, name)
    if found is None:
        raise NotFound(f"{access.slug} has no experiment {name}.")
    return found


def tags_in(access: Access) -> tuple[str, ...]:
    """Tags of a project's listed experiments, the most used of very many, in the order of the
    alphabet."""
    rows = ExperimentTag.objects.filter(
        experiment__project_id=access.project_id, experiment__archived_at__isnull=True
    )
    counted = rows.order_by().values_list("name").annotate(n=Count("pk")).order_by("-n", "name")
    return tuple(sorted(name for name, _ in counted[:MOST_TAGS]))


def archived_count(access: Access) -> int:
    """Number of a project's experiments that lists leave out."""
    return Experiment.objects.filter(
        project_id=access.project_id, archived_at__isnull=False, repeat_of__isnull=True
    ).count()


def tags_of(experiment_id: int) -> tuple[str, ...]:
    """An experiment's tags, in the order of the alphabet."""
    rows = ExperimentTag.objects.filter(experiment_id=experiment_id).order_by("name")
    return tuple(rows.values_list("name", flat=True))


def arms_of(experiment_id: int) -> tuple[ArmRow, ...]:
    """The arms of an experiment's search, in the file's order."""
    rows = Study.objects.filter(
        experiment_id=experiment_id, kind=StudyKind.SEARCH, deleted_at__isnull=True
    ).order_by("arm_index", "pk")
    return tuple(
        ArmRow(
            study_id=row.pk,
            index=row.arm_index,
            letter=arm_letter(row.arm_index),
            label=arm_label(row.arm),
            budget=row.budget,
            trials=row.next_number,
            stopped=decode(row.system_attributes).get(STOPPED_ATTRIBUTE, ""),
        )
        for row in rows
    )


def arm_label(document: str) -> str:
    """The scientific values of an arm in words: "label_smoothing = 0.1"."""
    return values_in_words(json.loads(document))


def best_trial_name(experiment: AnyExperiment, arms: int) -> str:
    """The name of the best trial, empty before there is one."""
    best = experiment.best_trial
    if best is None:
        return ""
    return trial_name(best.number, arm=best.study.arm_index, arms=arms)


def tally(experiment_id: int) -> Tally:
    """Count the search trials that run and wait."""
    counts = (
        Trial.objects.filter(
            study__experiment_id=experiment_id,
            study__kind=StudyKind.SEARCH,
            study__deleted_at__isnull=True,
            state__in=(TrialState.RUNNING, TrialState.WAITING),
        )
        .values("state")
        .annotate(n=Count("pk"))
    )
    found = {row["state"]: row["n"] for row in counts}
    return Tally(found.get(TrialState.RUNNING, 0), found.get(TrialState.WAITING, 0))
