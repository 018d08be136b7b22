"""Series and trials as files: everything, exact, or what a chart or a table shows."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from experiments.design import metrics
from experiments.design.queries.experiments import arms_of, get_experiment
from experiments.errors import NotFound
from experiments.team.pages.access import in_project
from experiments.team.queries.access import Access
from experiments.trials.series.queries import series_exports
from experiments.trials.series.series_files import CONTENT_TYPES, Kind, write
from experiments.trials.table import trial_files
from experiments.trials.table.queries import trial_exports
from experiments.trials.table.queries.trial_table import TrialFilter
from experiments.web.streaming import download

MOST_POINTS = 100_000


@require_safe
@in_project
def series_file(request: HttpRequest, access: Access, name: str, kind: str) -> HttpResponseBase:
    """All series of an experiment as CSV or Parquet, streamed.

    `?trials=12,13` (ids) and `?metric=a&metric=b` narrow it, `?from=0&to=99` cuts out a range of
    steps, and `?points=600` thins each series as charts do. Test metrics are in none.
    """
    experiment = get_experiment(access, name)
    if kind not in CONTENT_TYPES:
        raise NotFound("Series come as csv or parquet.")
    wanted: Kind = "csv" if kind == "csv" else "parquet"
    ids = _numbers(request.GET.get("trials", ""))
    chosen: dict[str, Any] = {
        "metrics": request.GET.getlist("metric") or None,
        "declared": metrics.declared_metrics(experiment.document),
        "steps": step_range(request),
    }
    names = series_exports.trial_names(experiment, ids or None)
    points = _numbers(request.GET.get("points", ""))
    if points:
        thin = max(3, min(points[0], MOST_POINTS))
        pieces = series_exports.drawn(names, points=thin, **chosen)
    else:
        pieces = series_exports.exact(names, **chosen)
    return download(
        write(pieces, wanted, any_steps=partial(series_exports.may_have_any_steps, names)),
        content_type=CONTENT_TYPES[wanted],
        filename=f"{access.slug} {experiment.name}.{kind}",
    )


@require_safe
@in_project
def trials_csv(request: HttpRequest, access: Access, name: str) -> HttpResponseBase:
    """The trials of a search as CSV, streamed: all of them, or those of a table's address.

    `?state=`, `?arm=`, `?order=` and `?down=1` mean what they mean for the table.
    """
    experiment = get_experiment(access, name)
    wanted = TrialFilter(
        state=request.GET.get("state", ""),
        arm=request.GET.get("arm", ""),
        order=request.GET.get("order", "score"),
        descending=request.GET.get("down") == "1",
    )
    parameters = trial_exports.parameter_names(experiment.pk)
    rows = trial_exports.exported_trials(experiment, arms_of(experiment.pk), wanted, parameters)
    return download(
        trial_files.write(rows, metric=experiment.official_metric, parameters=parameters),
        content_type=trial_files.CONTENT_TYPE,
        filename=f"{access.slug} {experiment.name} trials.csv",
    )


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    return [int(part) for part in parts if part.isdecimal() and len(part) < 16]


def step_range(request: HttpRequest) -> tuple[int, int] | None:
    """Steps from the address; a missing end is open."""
    ends = []
    for key, default in (("from", -(2**63)), ("to", 2**63 - 1)):
        text = request.GET.get(key, "")
        whole = text.removeprefix("-").isdecimal() and len(text) < 19
        ends.append(int(text) if whole else default)
    return None if ends == [-(2**63), 2**63 - 1] else (ends[0], ends[1])
