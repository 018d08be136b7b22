"""Runs as MLflow's clients read them: found by id, listed by a filter, histories of metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import F, FilteredRelation, Q, QuerySet
from django.db.models.expressions import OrderBy

from experiments.design import metrics
from experiments.design.metrics import Metric
from experiments.errors import NotAllowed
from experiments.models import ApiToken, LatestMetric, LoggedModel, RunDataset, Trial
from experiments.models.experiment import OUTSIDE
from experiments.models.project import Role
from experiments.models.trial import FINISHED, FailureKind, StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.team.queries import access
from experiments.tracking.mlflow_errors import UNKNOWN, MlflowError
from experiments.tracking.run_texts import milliseconds, parameters_of
from experiments.trials.series.queries import series
from experiments.trials.table import filter_language
from experiments.trials.table.filter_language import Order
from experiments.trials.table.queries.filtered_trials import (
    USER,
    condition_of,
    order_of,
    run_id_of,
)

ACTIVE, DELETED, ALL = "ACTIVE_ONLY", "DELETED_ONLY", "ALL"
_PORTION = 5000  # trials of one statement
# Every call about a run asks this; the ORM takes longer to say it than the database to answer.
_FIND = """
SELECT m.role, t.id, t.state, t.failure_kind,
    s.deleted_at IS NOT NULL OR e.archived_at IS NOT NULL, s.project_id, p.slug,
    e.id, e.official_metric, e.document, p.archived_at IS NOT NULL
FROM experiments_trial t
JOIN experiments_study s ON s.id = t.study_id
JOIN experiments_project p ON p.id = s.project_id
JOIN experiments_experiment e ON e.id = s.experiment_id
LEFT JOIN experiments_membership m ON m.project_id = s.project_id AND m.user_id = %s
WHERE t.run_id = %s
"""
_COLUMNS = (
    "pk",
    "run_id",
    "run_name",
    "state",
    "failure_kind",
    "started_at",
    "finished_at",
    "parameters",
    "user_attributes",
    "system_attributes",
    "study__experiment_id",
    "study__deleted_at",
    "study__experiment__archived_at",
    "study__project__archived_at",
)


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run as a request that names it meets it."""

    id: int
    run_id: str
    state: int
    failure_kind: str
    deleted: bool
    project_id: int
    slug: str
    experiment_id: int
    official_metric: str
    declared: Mapping[str, Metric]
    project_archived: bool
    role: str

    def require_write(self) -> None:
        """Pass for an editor; in an archived project only while the run has not ended.

        Raises:
            NotAllowed: otherwise.
        """
        if access.ROLES.index(Role(self.role)) < access.ROLES.index(Role.EDITOR):
            raise NotAllowed(
                f"Only an editor of {self.slug} may do this; your role is {self.role}."
            )
        if self.project_archived and self.state in FINISHED:
            raise NotAllowed(f"{self.slug} is archived; an admin can restore it.")


def find(token: ApiToken, slug: str, run_id: str) -> FoundRun:
    """The run behind an id, of one project or, without a slug, of any that the token opens.

    Raises:
        MlflowError: when there is none that the token may know of.
    """
    key = run_id_of(run_id)
    found = None
    if key is not None:
        column = Trial._meta.get_field("run_id").get_db_prep_value(key, connection)
        with connection.cursor() as cursor:
            cursor.execute(_FIND, [token.owner_id, column])
            found = cursor.fetchone()
    if (
        found is None
        or (found[0] is None and not token.owner.is_superuser)
        or token.project_id not in (None, found[5])
        or (slug and slug != found[6])
    ):
        raise MlflowError(f"Run with id={run_id[:256]} not found", UNKNOWN)
    role, pk, state, failure, deleted, project_id, its_slug, *rest = found
    experiment_id, metric, document, archived = rest
    return FoundRun(
        id=pk,
        run_id=key.hex if key else "",
        state=state,
        failure_kind=failure,
        deleted=bool(deleted),
        project_id=project_id,
        slug=its_slug,
        experiment_id=experiment_id,
        official_metric=metric,
        declared=metrics.declared_metrics(document),
        project_archived=bool(archived),
        role=role or Role.ADMIN,  # a superuser sees it without being a member
    )


def status_of(state: int, failure_kind: str) -> str:
    """MLflow's status of a trial."""
    if state == TrialState.FAILED:
        if failure_kind == FailureKind.INFEASIBLE:
            return "FINISHED"
        return "KILLED" if failure_kind == FailureKind.CANCELLED else "FAILED"
    return {
        TrialState.RUNNING: "RUNNING",
        TrialState.WAITING: "SCHEDULED",
        TrialState.COMPLETE: "FINISHED",
        TrialState.PRUNED: "KILLED",
    }[TrialState(state)]


def read(trial_ids: Sequence[int], *, new: bool = False) -> list[dict[str, Any]]:
    """Whole runs in MLflow's shape, in the order of their ids. Four queries for every
    `_PORTION` of them; one where they are `new`: nothing has been logged to them.
    """
    runs: dict[int, dict[str, Any]] = {}
    latest: dict[int, list[dict[str, Any]]] = {}
    datasets: dict[int, list[dict[str, Any]]] = {}
    outputs: dict[int, list[dict[str, Any]]] = {}
    for some in _portions(trial_ids):
        for row in Trial.objects.filter(pk__in=some).values_list(*_COLUMNS):
            runs[row[0]] = _run(row)
        if new:
            continue
        of_some = LatestMetric.objects.filter(trial_id__in=some).order_by("trial_id", "name")
        for pk, key, value, step, time_ms in of_some.values_list(
            "trial_id", "name", "value", "step", "time_ms"
        ):
            latest.setdefault(pk, []).append(_point(key, value, time_ms, step))
        for dataset in RunDataset.objects.filter(trial_id__in=some).order_by("pk"):
            datasets.setdefault(dataset.trial_id, []).append(_dataset(dataset))
        models = LoggedModel.objects.filter(trial_id__in=some, deleted_at__isnull=True)
        for pk, key, step in models.order_by("pk").values_list("trial_id", "key", "step"):
            outputs.setdefault(pk, []).append({"model_id": key, "step": step})
    for pk, run in runs.items():
        run["outputs"] = {"model_outputs": outputs.get(pk, [])}
        run["data"]["metrics"] = latest.get(pk, [])
        run["inputs"]["dataset_inputs"] = datasets.get(pk, [])
    return [runs[pk] for pk in trial_ids if pk in runs]


def _portions(trial_ids: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(trial_ids)
    while some := list(islice(rest, _PORTION)):
        yield some


def artifact_uri(experiment_id: int, run_id: str) -> str:
    """Address to which a client sends a run's files: through this server."""
    return f"mlflow-artifacts:/{experiment_id}/{run_id}/artifacts"


def _run(row: tuple[Any, ...]) -> dict[str, Any]:
    _, key, name, state, failure, started, ended, parameters, user, system, *study = row
    experiment_id, deleted, archived, project_archived = study
    gone = deleted or archived or (project_archived and state in FINISHED)
    tags, facts = decode(user), decode(system)
    run_id = key.hex
    info = {
        "run_id": run_id,
        "run_uuid": run_id,
        "run_name": name,
        "experiment_id": str(experiment_id),
        "user_id": str(facts.get(USER, "")),
        "status": status_of(state, failure),
        "start_time": milliseconds(started),
        "artifact_uri": artifact_uri(experiment_id, run_id),
        "lifecycle_stage": "deleted" if gone else "active",
    }
    if ended is not None:
        info["end_time"] = milliseconds(ended)
    texts = parameters_of(decode(parameters), facts)
    return {
        "info": info,
        "data": {
            "params": [{"key": key, "value": value} for key, value in texts.items()],
            "tags": [{"key": key, "value": str(value)} for key, value in tags.items()],
        },
        "inputs": {},
    }


def number(value: float | None) -> float | str:
    """A number as protocol buffers write it into JSON; None is NaN."""
    if value is None or value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _point(key: str, value: float | None, time_ms: int, step: int) -> dict[str, Any]:
    return {"key": key, "value": number(value), "timestamp": time_ms, "step": step}


def _dataset(row: RunDataset) -> dict[str, Any]:
    dataset = {
        name: value
        for name in ("name", "digest", "source_type", "source", "schema", "profile")
        if (value := getattr(row, name))
    }
    tags = [{"key": key, "value": value} for key, value in decode(row.tags).items()]
    return {"tags": tags, "dataset": dataset}


def search(
    experiment_ids: Sequence[int],
    *,
    filter_text: str,
    order_by: Sequence[str],
    view: str,
    offset: int,
    most: int,
) -> tuple[list[int], bool]:
    """Ids of the trials of a page, and whether there are more.

    Raises:
        InvalidFilter: for a filter or an order that cannot be read.
    """
    rows = _of_view(experiment_ids, view)
    condition = filter_language.parse(filter_text)
    if condition is not None:
        rows = rows.filter(condition_of(condition))
    orders: list[OrderBy] = []
    for place, text in enumerate(order_by):
        rows, ordering = _ordered(rows, filter_language.parse_order(text), f"sorted_{place}")
        orders += ordering
    ordered = rows.order_by(*orders, "-started_at", "run_id")
    found = list(ordered.values_list("pk", flat=True)[offset : offset + most + 1])
    return found[:most], len(found) > most


def _ordered(
    rows: QuerySet[Trial], order: Order, alias: str
) -> tuple[QuerySet[Trial], list[OrderBy]]:
    """Rows with what an order needs, and its arguments; a metric is joined for all rows at once,
    which is quicker than looking it up for each.
    """
    if order.field.entity != "metric":
        return rows, order_of(order)
    of_name = FilteredRelation(
        "latest_metrics", condition=Q(latest_metrics__name=order.field.name)
    )
    by = F(f"{alias}__value")
    return rows.annotate(**{alias: of_name}), [
        OrderBy(by, descending=order.descending, nulls_last=True)
    ]


def _of_view(experiment_ids: Sequence[int], view: str) -> QuerySet[Trial]:
    rows = Trial.objects.filter(
        study__experiment_id__in=experiment_ids,
        study__experiment__sampler=OUTSIDE,
        study__kind=StudyKind.SEARCH,
        run_id__isnull=False,
    )
    active = Q(study__deleted_at__isnull=True, study__experiment__archived_at__isnull=True)
    # What still runs in an archived project is written to until it ends, and resumed.
    active &= Q(study__project__archived_at__isnull=True) | ~Q(state__in=FINISHED)
    if view == ACTIVE:
        return rows.filter(active)
    return rows.exclude(active) if view == DELETED else rows


def history(
    run: FoundRun,
    key: str,
    *,
    steps: tuple[int, int] | None = None,
    page: slice = slice(None),
) -> list[tuple[int, int, float]]:
    """Points of a metric as (time in ms, step, value), by time, step and value; one that was sent
    twice comes once. `page`: which of them.
    """
    found_series = series.read([run.id], names={key}, declared=run.declared, steps=steps)
    columns = found_series.get(run.id, {}).get(key)
    if columns is None:
        return []
    bits = np.ascontiguousarray(columns.values, dtype="<f8").view("<i8")  # tells 0.0 from -0.0
    order = np.lexsort((bits, columns.values, columns.steps, columns.times_ms))
    times, numbers, values = columns.times_ms[order], columns.steps[order], columns.values[order]
    new = np.ones(len(order), dtype=bool)
    # Of NaN each is another to a comparison, and its bits may differ.
    same = (bits[order][1:] == bits[order][:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    new[1:] = (times[1:] != times[:-1]) | (numbers[1:] != numbers[:-1]) | ~same
    shown = np.flatnonzero(new)[page]
    return list(
        zip(times[shown].tolist(), numbers[shown].tolist(), values[shown].tolist(), strict=True)
    )
