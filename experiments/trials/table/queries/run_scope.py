"""Scope of a runs table: the runs of a project, or of some of its experiments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.expressions import OrderBy

from experiments.design.metrics import Metric, declared_metrics, guess
from experiments.design.trial_names import other_trial_name, trial_name
from experiments.errors import NotFound
from experiments.models import Experiment, LatestMetric, Study, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.team.queries.access import Access
from experiments.trials.table.filter_language import InvalidFilter, Order, field_of
from experiments.trials.table.queries.filtered_trials import (
    NOTE,
    condition_of,
    in_tables,
    order_of,
)
from experiments.trials.table.run_tags import is_shown
from experiments.trials.table.runs_state import RunsState, SortKey

SAMPLED = 300  # newest runs whose names of parameters, metrics and tags are offered
MOST_NAMES = 400
MOST_VALUES = 12  # of a parameter, offered while a filter is typed
# Runs that a table shows. Replicates and probes are read where they are judged, at their looks.
_KINDS = (StudyKind.SEARCH, StudyKind.FREE)


@dataclass(frozen=True, slots=True)
class ScopedExperiment:
    """An experiment of a scope; `parameters` are the searched ones, in the file's order."""

    pk: int
    name: str
    official_metric: str
    direction: str
    metrics: Mapping[str, Metric]
    parameters: tuple[str, ...]
    code_versions: int
    best_trial_id: int | None


@dataclass(frozen=True, slots=True)
class RunScope:
    """Runs of a project, or of its named experiments (which may be archived)."""

    project_id: int
    slug: str
    official_metric: str
    direction: str
    experiments: tuple[ScopedExperiment, ...] = ()

    @property
    def single(self) -> ScopedExperiment | None:
        return self.experiments[0] if len(self.experiments) == 1 else None

    @property
    def metric(self) -> str:
        """The official metric of what the scope holds, empty where it differs."""
        names = {experiment.official_metric for experiment in self.experiments} or {
            self.official_metric
        }
        return names.pop() if len(names) == 1 else ""

    @property
    def score_direction(self) -> str:
        """The direction of scores; the project's where its experiments differ."""
        found = {experiment.direction for experiment in self.experiments}
        return found.pop() if len(found) == 1 else self.direction

    @property
    def declared(self) -> dict[str, Metric]:
        """Metrics that its experiments declare."""
        return {name: metric for one in self.experiments for name, metric in one.metrics.items()}

    def maximized(self) -> Callable[[str], bool]:
        """Test of a metric's name: whether larger is better."""
        declared = self.declared

        def test(name: str) -> bool:
            if name == self.metric:
                return self.score_direction == "maximize"
            return (declared.get(name) or guess(name)).direction == "maximize"

        return test


def scope_of(access: Access, names: Sequence[str]) -> RunScope:
    """The scope that an address names. At most one query.

    Raises:
        NotFound: for an experiment that the project does not have.
    """
    found: dict[str, ScopedExperiment] = {}
    if names:
        rows = Experiment.objects.filter(project_id=access.project_id, name__in=names)
        for row in rows.only(
            "name", "official_metric", "direction", "document", "codes", "best_trial_id"
        ):
            found[row.name] = _scoped(row)
    missing = [name for name in names if name not in found]
    if missing:
        raise NotFound(f"{access.slug} has no experiment {missing[0]}.")
    return RunScope(
        access.project_id,
        access.slug,
        access.official_metric,
        access.direction,
        tuple(found[name] for name in names),
    )


def _scoped(row: Experiment) -> ScopedExperiment:
    document = json.loads(row.document)
    hyperparameters = document.get("space", {}).get("hyperparameters", ())
    searched = [
        hyperparameter["name"]
        for hyperparameter in hyperparameters
        if hyperparameter.get("role") != "fixed"
    ]
    return ScopedExperiment(
        pk=row.pk,
        name=row.name,
        official_metric=row.official_metric,
        direction=row.direction,
        metrics=declared_metrics(row.document),
        parameters=tuple(searched),
        code_versions=len(row.code_versions),
        best_trial_id=row.best_trial_id,
    )


def runs_in(scope: RunScope, *, archived: bool = False) -> QuerySet[Trial]:
    """Every run of a scope, in no order; of archived experiments only where it names them."""
    studies = Study.objects.filter(
        project_id=scope.project_id, deleted_at__isnull=True, kind__in=_KINDS
    )
    if scope.experiments:
        studies = studies.filter(
            experiment_id__in=[experiment.pk for experiment in scope.experiments]
        )
    else:
        listed = Q(experiment__archived_at__isnull=True, experiment__repeat_of__isnull=True)
        studies = studies.filter(Q(experiment__isnull=True) | listed)
    return Trial.objects.filter(
        study_id__in=studies.order_by().values("pk"), archived_at__isnull=not archived
    )


def shown_runs(project_id: int) -> QuerySet[Trial]:
    """Every run of a project that a table may show, archived ones too."""
    return Trial.objects.filter(
        study__project_id=project_id, study__deleted_at__isnull=True, study__kind__in=_KINDS
    )


def matching(scope: RunScope, state: RunsState) -> QuerySet[Trial]:
    """The runs of a scope that the filter lets through, in no order.

    Raises:
        InvalidFilter: saying what is wrong with the filter.
    """
    rows = runs_in(scope, archived=state.archived)
    if state.only_ticked:
        rows = rows.filter(pk__in=state.ticked)
    condition = state.condition()
    if condition is not None:
        rows = rows.filter(condition_of(in_tables(condition, scope.maximized())))
    return rows


def in_order(rows: QuerySet[Trial], scope: RunScope, state: RunsState) -> QuerySet[Trial]:
    """Runs by the keys of a state, the best score first without any; ties by experiment, number.

    A key that rows cannot be ordered by is left out.
    """
    keys = state.sort or (SortKey("score", descending=False),)
    by = [order for key in keys for order in _order(key, scope)]
    return rows.order_by(*by, "-study__experiment_id", "number", "study__arm_index", "pk")


def _order(key: SortKey, scope: RunScope) -> list[OrderBy | Case]:
    if key.key == "score":
        best_first = scope.score_direction == "minimize"
        rising = best_first != key.descending
        value = F("value").asc(nulls_last=True) if rising else F("value").desc(nulls_last=True)
        # Running trials stand above those that never got a score.
        unfinished = Case(
            When(state=TrialState.RUNNING, then=Value(0)),
            When(state=TrialState.WAITING, then=Value(2)),
            default=Value(1),
            output_field=IntegerField(),
        )
        return [value, unfinished]
    try:
        field = field_of(key.key)
        if field.entity == "best":
            end = "highest" if scope.maximized()(field.name) else "lowest"
            field = type(field)(end, field.name)
        return list(order_of(Order(field, key.descending)))
    except InvalidFilter:
        return []


@dataclass(frozen=True, slots=True)
class RunFields:
    """Names that runs of a scope have, by what they name; `values` of parameters that are texts
    or few numbers.
    """

    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    tags: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    has_notes: bool = False


def fields_in(scope: RunScope) -> RunFields:
    """Names of parameters, metrics and tags among the newest runs of a scope. Three queries."""
    rows = list(
        runs_in(scope)
        .filter(number__gte=F("study__next_number") - SAMPLED)  # no more are read of a big search
        .order_by("-pk")
        .values_list("pk", "parameters", "study__arm", "user_attributes")[:SAMPLED]
    )
    parameters = dict.fromkeys(name for one in scope.experiments for name in one.parameters)
    tags: dict[str, None] = {}
    seen: dict[str, dict[str, None]] = {}
    has_notes = False
    for _, own, arm, attributes in rows:
        for name, value in {**decode(arm), **decode(own)}.items():
            parameters.setdefault(name)
            if len(seen.setdefault(name, {})) <= MOST_VALUES:
                seen[name].setdefault(str(value))
        if attributes != "{}":
            named = decode(attributes)
            tags |= dict.fromkeys(name for name in named if is_shown(name))
            has_notes = has_notes or NOTE in named
    # Of a machine's own measures last.
    names = (
        LatestMetric.objects.filter(trial_id__in=[row[0] for row in rows])
        .order_by("name")
        .values_list("name", flat=True)
        .distinct()[:MOST_NAMES]
    )
    metrics = sorted(names, key=lambda name: (name.startswith("system/"), name))
    few = {name: tuple(values) for name, values in seen.items() if len(values) <= MOST_VALUES}
    return RunFields(
        tuple(parameters)[:MOST_NAMES],
        tuple(metrics),
        tuple(sorted(tags))[:MOST_NAMES],
        few,
        has_notes,
    )


def count_arms_of(experiment_ids: Sequence[int]) -> dict[int, int]:
    """Number of arms of each experiment. One query."""
    rows = Study.objects.filter(
        experiment_id__in=experiment_ids, kind=StudyKind.SEARCH, deleted_at__isnull=True
    )
    counted = rows.order_by().values_list("experiment_id").annotate(Count("pk"))
    return {key: count for key, count in counted if key is not None}


def run_name(row: Mapping[str, Any], arms: int) -> str:
    """Name of a run from columns of its trial and study, in an experiment of so many arms."""
    if row["study__kind"] == StudyKind.SEARCH:
        return trial_name(row["number"], arm=row["study__arm_index"], arms=arms)
    return other_trial_name(row["study_id"], row["number"])
