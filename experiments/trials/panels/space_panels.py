"""Panels that look at the search space: axes, isolation, importance, parallel, contour."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.space.surface import smooth_surface
from experiments.charts.axes import MOST_DRAWN, AxisPlot, AxisPoints
from experiments.charts.contour import ContourPlot, Plane, Ticks
from experiments.charts.importance import ImportancePlot, Share
from experiments.charts.isolation import IsolationPlot
from experiments.charts.parallel import Coordinate, ParallelPlot, Scale, leading
from experiments.charts.theme import nice_ticks
from experiments.design.catalogue import SAMPLERS
from experiments.design.space.search_space import (
    Choices,
    Hyperparameter,
    Range,
    Scalar,
    searched_domain,
    show,
)
from experiments.trials.findings.queries.findings import FindingRow
from experiments.trials.findings.queries.importance import (
    LEAST_TRIALS,
    STEADY_TRIALS,
    importance_of,
)
from experiments.trials.panels.isolated_values import isolated_values
from experiments.trials.panels.panel import Chart, Choice, Panel
from experiments.trials.panels.parts import ExperimentParts
from experiments.trials.table.brushes import Brush, brushes_in
from experiments.trials.table.filter_language import Field, InvalidFilter, field_of, parse
from experiments.trials.table.queries.search_points import SearchPoints

ALL_DRAWN, LEAST_DRAWN = 2400, 300  # marks of all axis plots together, of each at least
HOW_TO_BRUSH = "Drag along an axis to filter the table by it; click the axis to take that off."
NO_SPACE = "No search space is known: these trials came without one."
OF_AN_AXIS = ("boundary", "edge_slope", "instability_edge", "infeasible_share")
OF_ISOLATION = ("best_of_unequal", "fair_comparison", "points_per_value")


def open_findings(parts: ExperimentParts, rules: Sequence[str]) -> list[FindingRow]:
    """Open findings of the experiment by some of the rules."""
    return [row for row in parts.findings.open if row.rule in rules and not row.trial]


def searched(parts: ExperimentParts) -> list[Hyperparameter]:
    """The hyperparameters that were searched, in the file's order."""
    return [] if parts.file is None else [parts.file.space[name] for name in parts.parameters]


def is_maximized(parts: ExperimentParts) -> bool:
    return bool(parts.experiment.direction == "maximize")


def axes_panel(parts: ExperimentParts, points: SearchPoints) -> Panel:
    """Every trial's score along each hyperparameter, infeasible ones marked, arms apart."""
    findings, names = open_findings(parts, OF_AN_AXIS), searched(parts)
    # All charts together have a budget of marks: a page of many answers as quickly as one of few.
    most = max(LEAST_DRAWN, min(MOST_DRAWN, ALL_DRAWN // max(1, len(names))))
    charts = [
        _axis(parts, points, hyperparameter, place, findings, most)
        for place, hyperparameter in enumerate(names)
    ]
    if not charts:
        return Panel("axes", empty=NO_SPACE)
    unpruned = int((~points.pruned).sum())
    note = f"{unpruned:,} trials, each dot one."
    if unpruned > most:
        note = f"{most:,} of {unpruned:,} trials drawn: the best and an even draw of the rest."
    failed = int(points.failed.sum())
    if failed:
        note += f" {failed:,} infeasible: crosses at the edge."
    if points.pruned.any():
        note += f" {int(points.pruned.sum()):,} pruned ones have no score to compare."
    if len(parts.arms) > 1:
        metric = parts.experiment.official_metric
        note += f" Each arm has a frame of its own, on the same scales; upwards {metric}."
    return Panel("axes", charts, note=note)


def _axis(
    parts: ExperimentParts,
    points: SearchPoints,
    hyperparameter: Hyperparameter,
    place: int,
    findings: Sequence[FindingRow],
    most: int,
) -> Chart:
    values, pruned = points.column(hyperparameter.name), points.pruned.tolist()
    where = [i for i, value in enumerate(values) if value is not None and not pruned[i]]
    domain = searched_domain(hyperparameter)
    is_range = isinstance(domain, Range)
    about = [row for row in findings if row.evidence.get("hyperparameter") == hyperparameter.name]
    points_of_axis = AxisPoints(
        name=hyperparameter.name,
        values=[values[i] for i in where],
        scores=points.scores[where],
        names=[points.names[i] for i in where],
        groups=points.arms[where],
        group_labels=[arm.label for arm in parts.arms] if len(parts.arms) > 1 else (),
        log=isinstance(domain, Range) and domain.log,
        low=domain.low if isinstance(domain, Range) else None,
        high=domain.high if isinstance(domain, Range) else None,
        choices=None if isinstance(domain, Range) else tuple(domain.values),
        band=_band(about, domain),
    )
    scale = " (log)" if is_range and points_of_axis.log else ""
    metric = parts.experiment.official_metric
    return Chart(
        id=f"figure-axis-{place}",
        title=f"{hyperparameter.name}{scale}",
        plot=AxisPlot(points_of_axis, metric=metric, maximize=is_maximized(parts), most=most),
        label=f"Scores along {hyperparameter.name}",
        shape=_shape(
            len(set(points_of_axis.groups.tolist())) if points_of_axis.group_labels else 1
        ),
        findings=about,
    )


def _shape(frames: int) -> str:
    """Height class of a chart, by the number of arms that it shows in frames of their own."""
    return "short" if frames < 2 else "" if frames == 2 else "tall"


def _band(findings: Sequence[FindingRow], domain: Range | Choices) -> tuple[float, float] | None:
    """The edge of the range that an open boundary finding speaks of: the outer fifth, a choice."""
    for row in findings:
        if row.rule != "boundary":
            continue
        at_low = row.evidence.get("edge") == "low"
        if isinstance(domain, Choices):
            middle = 0 if at_low else len(domain.values) - 1
            return (middle - 0.5, middle + 0.5)
        low, high = domain.low, domain.high
        edge = 0.2 if at_low else 0.8
        inner = (1 - edge) * low + edge * high
        if domain.log:
            inner = math.exp((1 - edge) * math.log(low) + edge * math.log(high))
        return (low, inner) if at_low else (inner, high)
    return None


def isolation_panel(parts: ExperimentParts, points: SearchPoints) -> Panel:
    """Each scientific value with its nuisance hyperparameters tuned away."""
    found = isolated_values(parts, points)
    if not found:
        return Panel(
            "isolation",
            empty="An isolation plot compares the values of a scientific hyperparameter; this "
            "search has none.",
        )
    metric, maximize = parts.experiment.official_metric, is_maximized(parts)
    charts = [
        Chart(
            id=f"figure-isolation-{place}",
            title=title,
            plot=IsolationPlot(values, metric=metric, maximize=maximize),
            label=f"Scores by {title or 'arm'}, the best of each marked",
        )
        for place, (title, values) in enumerate(found.items())
    ]
    note = (
        "Nuisance hyperparameters are tuned anew for each value; the diamond is its best trial. "
        "The best of more trials is higher by luck alone, so the bar shows what each value would "
        "be expected to reach with as few trials as the smallest has: compare the bars."
    )
    return Panel("isolation", charts, note=note, findings=open_findings(parts, OF_ISOLATION))


def importance_panel(parts: ExperimentParts) -> Panel:
    """Importance of hyperparameters, as workers computed it last."""
    importance = importance_of(parts.experiment.pk)
    complete = parts.experiment.complete_count
    if importance is None:
        return Panel("importance", empty=_no_importance(complete))
    if not importance.shares:
        return Panel("importance", empty="Nothing varied between the trials: nothing to compare.")
    shares = [Share(name, whole, near) for name, (whole, near) in importance.shares.items()]
    note = (
        f"{importance.method} of {importance.trials:,} complete trials: how differently a "
        "hyperparameter is spread among the best tenth. It tells what mattered in this "
        "space, not why."
    )
    if complete > importance.trials:
        note += f" {complete - importance.trials:,} newer trials are not in it yet."
    if importance.trials < STEADY_TRIALS:
        note += f" Rough: the best tenth are only {math.ceil(importance.trials / 10)} trials."
    sampler = SAMPLERS.get(parts.experiment.sampler)
    if sampler is not None and sampler.adaptive:
        note += f" {sampler.title} tried good regions more often, which blurs the comparison."
    figure = ImportancePlot(shares)
    label = "Share of each hyperparameter in what decides the score"
    return Panel("importance", [Chart("figure-importance", "", figure, label)], note=note)


def _no_importance(complete: int) -> str:
    if complete < LEAST_TRIALS:
        return f"Appears with {LEAST_TRIALS} complete trials; there are {complete}."
    return "Not computed yet: a worker does it after the next trial that it runs here."


def parallel_panel(parts: ExperimentParts, points: SearchPoints, shown: str = "") -> Panel:
    """Each trial as a line across its hyperparameters; `shown`: the filter of the table beside."""
    metric = parts.experiment.official_metric
    try:
        brushes = brushes_in(parse(shown))
    except InvalidFilter:
        brushes = {}
    found = parallel_of(
        searched(parts), points, metric=metric, maximize=is_maximized(parts), brushes=brushes
    )
    return replace(found, note=f"{found.note} {HOW_TO_BRUSH}") if found.charts else found


def parallel_of(
    names: Sequence[Hyperparameter],
    points: SearchPoints,
    *,
    metric: str,
    maximize: bool,
    brushes: Mapping[Field, Brush] | None = None,
) -> Panel:
    """Each trial as a line across these hyperparameters; `brushes` of the table beside it, which
    brushing filters; None where there is none.
    """
    feasible = np.where(points.complete, points.scores, math.nan)
    where = leading(feasible, maximize=maximize)
    uprights = [
        Coordinate(
            hyperparameter.name,
            positions(hyperparameter, points, where),
            *_ends(hyperparameter),
            *((None, None) if brushes is None else _brushing(hyperparameter, brushes)),
        )
        for hyperparameter in names
    ]
    if not uprights:
        return Panel("parallel", empty=NO_SPACE)
    score = None
    if brushes is not None:
        brush = brushes.get(Field("attribute", "score"), Brush())
        score = ("score", (brush.low, brush.high))
    figure = ParallelPlot(
        uprights, points.scores[where], metric=metric, maximize=maximize, score=score
    )
    label = "Each trial as a line across its values"
    note = f"The best {where.size:,} of {int(points.complete.sum()):,} feasible trials."
    shape = "tall wide" if len(uprights) > 2 else "tall"
    shape += " brush" if brushes is not None else ""
    return Panel("parallel", [Chart("figure-parallel", "", figure, label, shape)], note=note)


def positions(
    hyperparameter: Hyperparameter, points: SearchPoints, where: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Place of each trial [N] in the range, 0..1; NaN outside it and where a trial lacks it.

    `where` [M] asks for some of the trials only.
    """
    domain = searched_domain(hyperparameter)
    values = points.column(hyperparameter.name)
    chosen = values if where is None else [values[int(i)] for i in where]
    if isinstance(domain, Choices):
        return np.array(
            [
                domain.to_unit(value) if value is not None and domain.holds(value) else math.nan
                for value in chosen
            ],
            dtype=np.float64,
        )
    return np.array(
        [domain.to_unit(value) if domain.holds(value) else math.nan for value in chosen],
        dtype=np.float64,
    )


def _brushing(
    hyperparameter: Hyperparameter, brushes: Mapping[Field, Brush]
) -> tuple[Scale, tuple[float, float] | None]:
    """Values along the upright of a hyperparameter, and the stretch that a filter leaves."""
    scale = _scale(hyperparameter)
    brush = brushes.get(field_of(scale.key))
    return scale, None if brush is None else scale.stretch(brush.low, brush.high, brush.values)


def _scale(hyperparameter: Hyperparameter) -> Scale:
    """The scale on which `positions` places the values of a hyperparameter."""
    domain, key = searched_domain(hyperparameter), f"params.{hyperparameter.name}"
    if isinstance(domain, Choices):
        return Scale(key, words=tuple(_as_stored(value) for value in domain.values))
    if domain.integer and domain.log:
        return Scale(key, domain.low, domain.high + 1, log=True, shift=0.5)
    if domain.bins is not None:
        half = (domain.step or 1) / 2
        return Scale(key, domain.low - half, domain.low + half * (2 * domain.bins - 1))
    return Scale(key, domain.low, domain.high, log=domain.log)


def _as_stored(value: Scalar) -> str:
    """A value as the filter compares it: texts as they are, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _ends(hyperparameter: Hyperparameter) -> tuple[str, str]:
    domain = searched_domain(hyperparameter)
    if isinstance(domain, Range):
        return f"{domain.low:.4g}", f"{domain.high:.4g}"
    return show(domain.values[0]), show(domain.values[-1])


def contour_panel(parts: ExperimentParts, points: SearchPoints, across: str, up: str) -> Panel:
    """The mean score in the plane of two hyperparameters."""
    importance = importance_of(parts.experiment.pk)
    shares = importance.shares if importance else {}
    ranked = sorted(
        searched(parts), key=lambda hyperparameter: -shares.get(hyperparameter.name, (0.0, 0.0))[0]
    )
    metric = parts.experiment.official_metric
    return contour_of(ranked, points, across, up, metric=metric, maximize=is_maximized(parts))


def contour_of(
    ranked: Sequence[Hyperparameter],
    points: SearchPoints,
    across: str,
    up: str,
    *,
    metric: str,
    maximize: bool,
) -> Panel:
    """The mean score in the plane of two hyperparameters: those asked for, else the first two."""
    found = {hyperparameter.name: hyperparameter for hyperparameter in ranked}
    if len(found) < 2:
        return Panel("contour", empty="A contour needs two searched hyperparameters.")
    first, second = _pair(list(found), across, up)
    x, y = positions(found[first], points), positions(found[second], points)
    scores = np.where(points.complete, points.scores, math.nan)
    keep = np.flatnonzero(~points.pruned)
    surface = smooth_surface(x, y, scores)
    plane = Plane(x[keep], y[keep], scores[keep], [points.names[int(i)] for i in keep], surface)
    figure = ContourPlot(
        plane,
        _ticks(found[first]),
        _ticks(found[second]),
        metric=metric,
        maximize=maximize,
    )
    label = f"Mean score over {first} and {second}"
    return Panel(
        "contour",
        [Chart("figure-contour", "", figure, label, "tall")],
        note=f"Shades and lines are the mean {metric} of the trials "
        "around a place, all other hyperparameters as they came, the stronger the better; places "
        "without trials near are left empty. The diamond is the best trial"
        f"{', crosses are infeasible ones' if points.failed.any() else ''}.",
        choices=(
            Choice("across", "across", list(found), first),
            Choice("up", "up", list(found), second),
        ),
    )


def _pair(ranked: Sequence[str], across: str, up: str) -> tuple[str, str]:
    """The pair asked for; else the first two."""
    first = across if across in ranked else next(name for name in ranked if name != up)
    second = up if up in ranked and up != first else next(name for name in ranked if name != first)
    return first, second


def _ticks(hyperparameter: Hyperparameter) -> Ticks:
    domain = searched_domain(hyperparameter)
    if isinstance(domain, Choices):
        shown = domain.values[:: max(1, -(-len(domain.values) // 8))]
        return Ticks(
            hyperparameter.name, [domain.to_unit(v) for v in shown], [show(v) for v in shown]
        )
    values, labels = nice_ticks(domain.low, domain.high, log=domain.log)
    if domain.integer:
        pairs = [(v, text) for v, text in zip(values, labels, strict=True) if v == int(v)]
        values, labels = [v for v, _ in pairs], [text for _, text in pairs]
    scale = " (log)" if domain.log else ""
    return Ticks(f"{hyperparameter.name}{scale}", [domain.to_unit(v) for v in values], labels)
