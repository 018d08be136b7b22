"""Free-standing studies: those of Optuna used from outside, written here or imported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Count, Max, Q, QuerySet
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from experiments.design.space.domains import Choices, Range, domain_of, same_scalar
from experiments.design.space.search_space import Hyperparameter
from experiments.models import Report, Study, Trial
from experiments.models import trial_encoding as encoding
from experiments.models.trial import FINISHED, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.trials.table.queries.search_points import SearchPoints, seconds_since_first
from experiments.trials.table.queries.trial_table import STATE_WORDS
from experiments.web.pagination import Page, PageOf, paged

_METRIC_NAMES = "study:metric_names"  # Optuna's own attribute
_FIELDS = (
    *("id", "name", "directions", "user_attributes", "system_attributes", "created_at", "last"),
    *("complete", "pruned", "failed", "trial_count"),
)
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Objective:
    """One of a study's objectives."""

    name: str
    direction: str

    @property
    def maximize(self) -> bool:
        return self.direction == "maximize"


@dataclass(frozen=True, slots=True)
class FreeStudy:
    """A study with its trials counted by state; `last` is when its newest trial began."""

    id: int
    name: str
    objectives: tuple[Objective, ...]
    attributes: dict[str, Any] = field(repr=False)
    created_at: datetime
    last: datetime | None
    trials: int
    complete: int
    pruned: int
    failed: int
    open: int


@dataclass(frozen=True, slots=True)
class Reports:
    """Intermediate values of one trial, by step."""

    number: int
    state: str
    steps: NDArray[np.float64] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)


def find_study(access: Access, study_id: int) -> FreeStudy | None:
    """A study of a project, None when it has none of that id."""
    row = _studies(access).filter(pk=study_id).first()
    return None if row is None else _study(row)


def list_studies(access: Access, text: str, wanted: PageOf) -> Page[FreeStudy]:
    """Studies of a project with a text in their names, the newest first."""
    rows = _studies(access).filter(name__icontains=text)
    return paged(rows, wanted, _study)


def newest_studies(access: Access, most: int) -> list[FreeStudy]:
    """The newest studies of a project; one query."""
    return [_study(row) for row in _studies(access)[:most]]


def _studies(access: Access) -> QuerySet[Study, dict[str, Any]]:
    studies = Study.objects.filter(
        project_id=access.project_id, kind=StudyKind.FREE, deleted_at__isnull=True
    )
    found: QuerySet[Study, dict[str, Any]] = (
        studies.annotate(
            last=Max("trials__started_at"),
            complete=Count("trials", filter=Q(trials__state=TrialState.COMPLETE)),
            pruned=Count("trials", filter=Q(trials__state=TrialState.PRUNED)),
            failed=Count("trials", filter=Q(trials__state=TrialState.FAILED)),
            trial_count=Count("trials"),
        )
        .order_by("-pk")
        .values(*_FIELDS)
    )
    return found


def _study(columns: dict[str, Any]) -> FreeStudy:
    ended = columns["complete"] + columns["pruned"] + columns["failed"]
    return FreeStudy(
        id=columns["id"],
        name=columns["name"],
        objectives=_objectives(columns["directions"], columns["system_attributes"]),
        attributes=encoding.decode(columns["user_attributes"]),
        created_at=columns["created_at"],
        last=columns["last"],
        trials=columns["trial_count"],
        complete=columns["complete"],
        pruned=columns["pruned"],
        failed=columns["failed"],
        open=columns["trial_count"] - ended,
    )


def _objectives(directions_text: str, system_attributes: str) -> tuple[Objective, ...]:
    directions = directions_text.split()
    names = encoding.decode(system_attributes).get(_METRIC_NAMES)
    if not isinstance(names, list) or len(names) != len(directions):
        several = len(directions) > 1
        names = [f"value {place}" if several else "value" for place in range(len(directions))]
    pairs = zip(names, directions, strict=True)
    return tuple(Objective(str(name)[:200], direction) for name, direction in pairs)


def points_of(study_id: int, objective: int) -> SearchPoints:
    """The finished trials of a study by one of its objectives, in the order of their numbers."""
    rows = list(
        Trial.objects.filter(study=study_id, state__in=FINISHED)
        .order_by("number")
        .values_list("number", "state", "values", "parameters", "started_at", "finished_at")
    )
    states = np.array([row[1] for row in rows], dtype=np.int64)
    scores = np.array([_score(row[2], objective) for row in rows], dtype=np.float64)
    scores[states != TrialState.COMPLETE] = math.nan
    started, finished = seconds_since_first([row[4] for row in rows], [row[5] for row in rows])
    return SearchPoints(
        names=[str(row[0]) for row in rows],
        states=states,
        arms=np.zeros(len(rows), dtype=np.int64),
        scores=scores,
        parameters=[
            {name: _plain(value) for name, value in values.items()}
            for values in encoding.decode_all([row[3] for row in rows])
        ],
        started=started,
        finished=finished,
    )


def _score(text: str | None, objective: int) -> float:
    values = encoding.decode_values(text)
    if values is None or objective >= len(values) or not math.isfinite(values[objective]):
        return math.nan
    return values[objective]


def _plain(value: Any) -> Any:
    """A value as charts take it; Optuna's choices may be anything that JSON holds."""
    is_number = isinstance(value, float) and not math.isfinite(value)
    return value if isinstance(value, _PLAIN) and not is_number else str(value)


def searched_in(study_id: int) -> list[Hyperparameter]:
    """Hyperparameters that varied, in the order in which they appeared; ranges that changed while
    the study ran are taken together.
    """
    texts = Trial.objects.filter(study=study_id).order_by().values_list("distributions").distinct()
    found: dict[str, list[BaseDistribution]] = {}
    for (text,) in texts.iterator(chunk_size=500):
        for name, distribution in encoding.decode_distributions(text).items():
            if distribution not in found.setdefault(name, []):
                found[name].append(distribution)
    domains = {name: _together(distributions) for name, distributions in found.items()}
    return [
        Hyperparameter(name, "nuisance", domain)
        for name, domain in domains.items()
        if not _is_single(domain)
    ]


def _together(distributions: Sequence[BaseDistribution]) -> Range | Choices:
    domains = [domain_of(distribution) for distribution in distributions]
    ranges = [candidate for candidate in domains if isinstance(candidate, Range)]
    if len(ranges) == len(domains):
        if len(ranges) == 1:
            return ranges[0]
        low, high = min(limits.low for limits in ranges), max(limits.high for limits in ranges)
        whole = all(limits.integer for limits in ranges)
        return Range(low, high, all(limits.log for limits in ranges), None, integer=whole)
    values: list[Any] = []
    for domain in domains:
        among = (
            [_plain(value) for value in domain.values]
            if isinstance(domain, Choices)
            else [domain.low, domain.high]
        )
        values += [v for v in among if not any(same_scalar(v, known) for known in values)]
    return Choices(tuple(values))


def _is_single(domain: Range | Choices) -> bool:
    return len(domain.values) < 2 if isinstance(domain, Choices) else domain.low == domain.high


def reports_of(study_id: int, most: int) -> tuple[list[Reports], int]:
    """Intermediate values of the newest trials that have any, and how many trials have."""
    trials = Trial.objects.filter(study=study_id)
    reported = trials.filter(
        Q(reports__isnull=False)
        | Q(pk__in=Report.objects.filter(trial__study=study_id).values("trial"))
    )
    count = reported.count()
    rows = list(
        reported.order_by("-number").values_list("pk", "number", "state", "reports")[:most]
    )
    waiting: dict[int, dict[int, float]] = {}
    open_reports = Report.objects.filter(trial__in=[row[0] for row in rows]).order_by("step")
    for trial_id, step, value in open_reports.values_list("trial", "step", "value"):
        waiting.setdefault(trial_id, {})[step] = math.nan if value is None else value
    found = []
    for trial_id, number, state, blob in reversed(rows):
        values = encoding.decode_reports(blob) or waiting.get(trial_id, {})
        steps = np.array(list(values), dtype=np.float64)
        column = np.array(list(values.values()), dtype=np.float64)
        found.append(Reports(number, STATE_WORDS[state], steps, column))
    return found, count
