"""Calls about runs and the histories of their metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.tracking.api.mlflow_call import MOST_RESULTS, Call, Handler, next_page
from experiments.tracking.api.mlflow_experiments import experiment_id
from experiments.tracking.mlflow_errors import MlflowError, missing, too_long
from experiments.tracking.mlflow_fields import (
    Fields,
    LoggedBatch,
    batch_of,
    parameter_of,
    point_of,
    tag_of,
)
from experiments.tracking.queries import mlflow_experiments, mlflow_runs
from experiments.tracking.run_texts import moment
from experiments.tracking.services import mlflow_runs as services
from experiments.tracking.services.mlflow_runs import ENDS, NewRun

MOST_POINTS = 25_000  # of a page of a history
_INT64 = 2**63 - 1
MOST_RUNS = 100  # of one request for histories
_STATUSES = (*ENDS, "RUNNING", "SCHEDULED")
_DATASET = {"name": 500, "digest": 36, "source_type": 200, "source": 65_535,
            "schema": 1_048_575, "profile": 2_000_000}  # fmt: skip


def create(call: Call) -> dict[str, Any]:
    call.need("write")
    tags = [tag_of(tag, f"tags[{index}]") for index, tag in enumerate(call.fields.items("tags"))]
    started = call.fields.whole("start_time")
    new = NewRun(
        name=call.fields.text("run_name"),
        user=call.fields.text("user_id")[:500],
        started_at=moment(started) if started else None,
        tags=dict(tags),
    )
    key, access = mlflow_experiments.find_with_access(call.token, call.slug, experiment_id(call))
    made = services.create(access=access, experiment_id=key, new=new)
    return {"run": mlflow_runs.read([made], new=True)[0]}


def get(call: Call) -> dict[str, Any]:
    return {"run": mlflow_runs.read([call.run().id])[0]}


def update(call: Call) -> dict[str, Any]:
    status = call.fields.entry.get("status")
    if status is not None and status not in _STATUSES:
        raise MlflowError(f"Invalid value {str(status)[:60]!r} for parameter 'status' supplied.")
    ended = call.fields.whole("end_time")
    name = call.fields.text("run_name")
    run = call.run_to_write()
    services.update(run=run, status=status or "", ended_at=moment(ended), name=name)
    return {"run_info": mlflow_runs.read([run.id])[0]["info"]}


def delete(call: Call) -> None:
    services.delete(run=call.run_to_write())


def restore(call: Call) -> None:
    services.restore(run=call.run_to_write())


def log_metric(call: Call) -> None:
    call.fields.run_id()
    point = point_of(call.fields.entry)
    services.log(run=call.run_to_write(), batch=LoggedBatch(points=(point,)))


def log_parameter(call: Call) -> None:
    call.fields.run_id()
    key, value = parameter_of(call.fields.entry)
    services.log(run=call.run_to_write(), batch=LoggedBatch(parameters={key: value}))


def set_tag(call: Call) -> None:
    call.fields.run_id()
    key, value = tag_of(call.fields.entry)
    services.log(run=call.run_to_write(), batch=LoggedBatch(tags={key: value}))


def log_batch(call: Call) -> None:
    call.fields.run_id()
    batch = batch_of(call.fields)
    services.log(run=call.run_to_write(), batch=batch)


def delete_tag(call: Call) -> None:
    services.delete_tag(run=call.run_to_write(), key=call.fields.text("key", needed=True))


def search(call: Call) -> dict[str, Any]:
    call.check_project()
    offset = call.offset()
    most = call.fields.within("max_results", 1, MOST_RESULTS, 1000)
    opened = mlflow_experiments.opened(call.token, call.slug).filter(pk__in=call.experiment_ids())
    found, more = mlflow_runs.search(
        list(opened.values_list("pk", flat=True)),
        filter_text=call.fields.text("filter"),
        order_by=call.fields.texts("order_by"),
        view=call.view("run_view_type"),
        offset=offset,
        most=most,
    )
    answer: dict[str, Any] = {"runs": mlflow_runs.read(found)}
    return answer | (next_page(offset + most) if more else {})


def log_inputs(call: Call) -> None:
    call.fields.run_id()
    if not call.fields.items("datasets") and not call.fields.items("models"):
        raise missing("datasets")
    datasets = []
    for index, item in enumerate(call.fields.items("datasets")):
        dataset = item.get("dataset")
        if not isinstance(dataset, dict):
            raise missing(f"datasets[{index}].dataset")
        fields = Fields(dataset)
        texts = {name: fields.text(name) for name in _DATASET}
        for name, most in _DATASET.items():
            if name in ("name", "digest") and not texts[name]:
                raise missing(f"datasets[{index}].dataset.{name}")
            if len(texts[name]) > most:
                raise too_long(f"datasets[{index}].dataset.{name}", most)
        tags = [
            tag_of(tag, f"datasets[{index}].tags[{place}]", longest=500)
            for place, tag in enumerate(Fields(item).items("tags"))
        ]
        datasets.append(services.dataset_of(texts, dict(tags)))
    services.log_inputs(run=call.run_to_write(), datasets=datasets)


def get_history(call: Call) -> dict[str, Any]:
    run = call.run()
    key = call.fields.text("metric_key", needed=True)
    offset = call.offset()
    most = call.fields.within("max_results", 1, MOST_RESULTS, MOST_POINTS)
    points = mlflow_runs.history(run, key, page=slice(offset, offset + most + 1))
    answer: dict[str, Any] = {"metrics": _points(key, points[:most])}
    return answer | (next_page(offset + most) if len(points) > most else {})


def get_history_bulk(call: Call) -> dict[str, Any]:
    """Whole histories of several runs, in the order of their ids."""
    value = call.fields.entry.get("run_id")
    named = [value] if isinstance(value, str) else call.fields.texts("run_id")
    if not named:
        raise MlflowError("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(named) > MOST_RUNS:
        raise MlflowError(
            f"GetMetricHistoryBulk request cannot specify more than {MOST_RUNS} run_ids. "
            f"Received {len(named)} run_ids."
        )
    key = call.fields.text("metric_key")
    if not key:
        raise MlflowError("GetMetricHistoryBulk request must specify a metric_key.")
    most = min(call.fields.within("max_results", 1, _INT64, MOST_POINTS), MOST_POINTS)
    points: list[dict[str, Any]] = []
    for run_id in sorted(set(named)):
        run = mlflow_runs.find(call.token, call.slug, run_id)
        history = mlflow_runs.history(run, key, page=slice(most - len(points)))
        points += [{**point, "run_id": run_id} for point in _points(key, history)]
    return {"metrics": points}


def _points(key: str, points: Sequence[tuple[int, int, float]]) -> list[dict[str, Any]]:
    number = mlflow_runs.number
    return [
        {"key": key, "value": number(value), "timestamp": time_ms, "step": step}
        for time_ms, step, value in points
    ]


def get_history_bulk_interval(call: Call) -> dict[str, Any]:
    """Histories of several runs, thinned to evenly spaced steps."""
    named = call.fields.texts("run_ids")
    if not named:
        raise missing("run_ids")
    if len(named) > MOST_RUNS:
        raise MlflowError(
            f"GetMetricHistoryBulkInterval request must specify at most {MOST_RUNS} run_ids. "
            f"Received {len(named)} run_ids."
        )
    key = call.fields.text("metric_key", needed=True)
    most = call.fields.whole("max_results", 2500)
    if most is None or not 1 <= most <= 2500:
        raise MlflowError(f"max_results must be between 1 and 2500, but received {most}.")
    first, last = call.fields.whole("start_step"), call.fields.whole("end_step")
    if (first is None) != (last is None):
        raise MlflowError(
            "If either start step or end step are specified, both must be specified."
        )
    if first is not None and last is not None and first > last:
        raise MlflowError(
            "end_step must be greater than start_step. "
            f"Found start_step={first} and end_step={last}."
        )
    steps = None if first is None or last is None else (first, last)
    histories = {
        run_id: mlflow_runs.history(
            mlflow_runs.find(call.token, call.slug, run_id), key, steps=steps
        )
        for run_id in dict.fromkeys(named)
    }
    wanted = _sampled(
        {step for points in histories.values() for _, step, _ in points}, histories, most
    )
    return {
        "metrics": [
            {**point, "run_id": run_id}
            for run_id, points in histories.items()
            for point in _points(key, sorted((p for p in points if p[1] in wanted), key=_step))
        ]
    }


def _step(point: tuple[int, int, float]) -> int:
    return point[1]


def _sampled(
    steps: set[int], histories: Mapping[str, Sequence[tuple[int, int, float]]], most: int
) -> set[int]:
    """So many of the steps, evenly spaced, and the last of each run."""
    ordered = sorted(steps)
    if len(ordered) <= most:
        return steps
    every = -(-len(ordered) // most)
    lasts = {max(step for _, step, _ in points) for points in histories.values() if points}
    return set(ordered[::every]) | lasts


ROUTES: Mapping[tuple[str, str], Handler] = {
    ("POST", "runs/create"): create,
    ("GET", "runs/get"): get,
    ("POST", "runs/update"): update,
    ("POST", "runs/delete"): delete,
    ("POST", "runs/restore"): restore,
    ("POST", "runs/log-metric"): log_metric,
    ("POST", "runs/log-parameter"): log_parameter,
    ("POST", "runs/log-batch"): log_batch,
    ("POST", "runs/set-tag"): set_tag,
    ("POST", "runs/delete-tag"): delete_tag,
    ("POST", "runs/search"): search,
    ("POST", "runs/log-inputs"): log_inputs,
    ("GET", "metrics/get-history"): get_history,
    ("GET", "metrics/get-history-bulk"): get_history_bulk,
    ("GET", "metrics/get-history-bulk-interval"): get_history_bulk_interval,
}
