"""Do the best trials crowd an edge of the search space?

Source: Tuning Playbook, "Identifying bad search space boundaries". The test, its bands and its
two grades are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.space.axis import Axis, AxisKind, Edge, better_first
from experiments.analysis.space.feasibility import best_is_near_infeasible

BOUNDARY = Rule(
    name="boundary",
    version=1,
    severity=Severity.WARNING,
    question="Do the best trials crowd an edge of the search space?",
    passed_title="The best trials lie away from the edge",
    meaning="Better values may lie beyond the range that was searched.",
    advice="Search again with a range that goes further on this side.",
    section="Tuning Playbook, 'Identifying bad search space boundaries'",
    action="extend",
)

_WORDS = {Edge.LOW: "lower", Edge.HIGH: "upper"}


@dataclass(frozen=True, slots=True)
class EdgeCount:
    """Count of an axis's best trials at one edge, and how surprising it is."""

    axis: Axis
    edge: Edge
    trials: int
    in_band: int
    top: int
    top_in_band: int
    best_unit: float
    best_near: bool
    best_in_band: bool
    p_value: float
    adjusted: float = math.nan


def boundary(
    axes: Sequence[Axis], direction: Direction, *, adaptive: bool = False
) -> list[Diagnosis]:
    """Return one diagnosis for each edge of each axis that has edges.

    Warning: among the best max(5, a fifth) of the feasible trials, more lie in the edge's band
    than drawing them without replacement explains (hypergeometric, one-sided, 0.05 after Holm
    over all edges), and the best trial lies in it too. The band is the outer fifth, or the edge
    value of a short integer range or an ordered choice. Arms are pooled by rank within the arm.
    Notice: only the best trial is near the edge (outer tenth, or the edge value).
    Natural limits and the edge of infeasibility are said, not warned about. Below 20 feasible
    trials nothing is said.

    adaptive: the sampler went where the good trials were, so a crowd is weaker evidence; the
    warning becomes a notice.
    """
    found: list[Diagnosis] = []
    counts: list[EdgeCount] = []
    for axis in axes:
        if not axis.has_edges:
            continue
        trials = int(axis.usable.sum())
        if trials < thresholds.EDGE_MIN_TRIALS:
            found.append(_too_few(axis, trials))
        else:
            counts += [count_edge(axis, edge, direction) for edge in Edge]
    return found + [_judge(count, direction, adaptive) for count in _with_holm(counts)]


def count_edge(axis: Axis, edge: Edge, direction: Direction) -> EdgeCount:
    """Return the counts behind the test at one edge; ties at the cut are all taken in."""
    usable = axis.usable
    unit = axis.unit[usable]
    errors = better_first(axis.scores[usable], direction)
    top = _top(errors, None if axis.arm is None else axis.arm[usable])
    band = _in_band(axis, unit, edge, thresholds.EDGE_WARNING_BAND)
    near = _in_band(axis, unit, edge, thresholds.EDGE_NOTICE_BAND)
    best = errors == errors.min()
    hits = int((band & top).sum())
    p_value = scipy.stats.hypergeom.sf(hits - 1, unit.size, int(band.sum()), int(top.sum()))
    return EdgeCount(
        axis=axis,
        edge=edge,
        trials=int(unit.size),
        in_band=int(band.sum()),
        top=int(top.sum()),
        top_in_band=hits,
        best_unit=float(np.median(unit[best])),
        best_near=bool(near[best].all()),
        best_in_band=bool(band[best].all()),
        p_value=float(p_value),
    )


def suggested_bound(axis: Axis, edge: Edge) -> float | None:
    """Return where the range could end: a decade further (log) or half the range (linear).

    None for choices, at natural limits, and where a range from 0 would become negative. A range
    within [0, 1) stays below 1; an integer stays whole.
    """
    if edge in axis.natural or axis.kind is AxisKind.ORDERED or not axis.high > axis.low:
        return None
    sign = 1 if edge is Edge.HIGH else -1
    end = axis.high if edge is Edge.HIGH else axis.low
    if axis.log and axis.low > 0:
        new = end * 10.0 ** (sign * thresholds.EXTEND_DECADES)
    else:
        new = end + sign * thresholds.EXTEND_SHARE * (axis.high - axis.low)
    if axis.kind is AxisKind.INTEGER:
        new = math.floor(new) if edge is Edge.LOW else math.ceil(new)
    new = _stay_sensible(axis, edge, new)
    return None if new == end or not math.isfinite(new) else float(new)


def _stay_sensible(axis: Axis, edge: Edge, new: float) -> float:
    if edge is Edge.LOW and axis.low >= 0:
        floor = 1.0 if axis.kind is AxisKind.INTEGER and axis.low >= 1 else 0.0
        return max(new, floor)
    linear_share = not axis.log and axis.kind is AxisKind.CONTINUOUS and axis.low >= 0
    if edge is Edge.HIGH and linear_share and axis.high < 1 <= new:
        return 1 - (1 - axis.high) / 2
    return new


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for their number by Holm's step-down method (1979).

    Equal to statsmodels' multipletests, which also runs a full garbage collection (0.2 s).
    """
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(p_values.size, 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _top(errors: NDArray[np.float64], arm: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    """Return [N] whether a trial is among the best, by its rank within its arm."""
    size = max(thresholds.EDGE_TOP_MINIMUM, math.ceil(thresholds.EDGE_TOP_SHARE * errors.size))
    ranks = np.empty(errors.size)
    groups = np.zeros(errors.size, dtype=np.int64) if arm is None else arm
    for group in np.unique(groups):
        members = groups == group
        ranks[members] = scipy.stats.rankdata(errors[members], method="min") / members.sum()
    cut = np.sort(ranks)[min(size, errors.size) - 1]
    chosen: NDArray[np.bool_] = ranks <= cut
    return chosen


def _in_band(axis: Axis, unit: NDArray[np.float64], edge: Edge, width: float) -> NDArray[np.bool_]:
    distance = unit if edge is Edge.LOW else 1 - unit
    if _at_value(axis):
        # Half a step: only the edge value itself.
        width = 0.5 / ((axis.levels or 2) - 1)
    inside: NDArray[np.bool_] = distance <= width
    return inside


def _with_holm(counts: list[EdgeCount]) -> list[EdgeCount]:
    if not counts:
        return []
    adjusted = holm(np.array([count.p_value for count in counts]))
    return [
        replace(count, adjusted=float(value))
        for count, value in zip(counts, adjusted, strict=True)
    ]


def _judge(count: EdgeCount, direction: Direction, adaptive: bool) -> Diagnosis:
    axis, edge = count.axis, count.edge
    subject = f"{axis.name}:{edge}"
    where = f"the {_WORDS[edge]} edge of {axis.name}"
    crowded = count.adjusted < thresholds.EDGE_LEVEL and count.best_in_band
    evidence = _evidence(count)
    if not crowded and not count.best_near:
        return BOUNDARY.passes(_detail(count), evidence, subject=subject)
    if edge in axis.natural:
        return BOUNDARY.passes(
            _detail(count),
            evidence,
            title=f"The best trials lie at {where}, its natural limit",
            subject=subject,
        )
    if edge is Edge.HIGH and best_is_near_infeasible(axis, direction):
        return BOUNDARY.passes(
            _detail(count),
            evidence,
            title=f"Above the best trials of {axis.name} training fails: not a matter of range",
            subject=subject,
        )
    strong = crowded and not adaptive
    return BOUNDARY.fires(
        f"The best trials crowd {where}" if crowded else f"The best trial lies at {where}",
        _detail(count),
        evidence,
        severity=Severity.WARNING if strong else Severity.NOTICE,
        subject=subject,
        advice=_advice(count),
    )


def _detail(count: EdgeCount) -> str:
    band = "use this edge value" if _at_value(count.axis) else "lie in the outer fifth"
    return (
        f"{count.top_in_band} of the best {count.top} trials {band}, as do {count.in_band} of all "
        f"{count.trials} feasible ones (p = {figure(count.adjusted, 2)} after Holm's correction)."
    )


def _advice(count: EdgeCount) -> str:
    axis, edge = count.axis, count.edge
    bound = suggested_bound(axis, edge)
    if bound is not None:
        return f"Search again with {axis.name} {'down' if edge is Edge.LOW else 'up'} to " + (
            f"{figure(bound)}."
        )
    if axis.kind is AxisKind.ORDERED:
        return f"Search again with a further choice beyond this end of {axis.name}."
    return f"If {axis.name} cannot go further, declare this edge a natural limit."


def _evidence(count: EdgeCount) -> dict[str, object]:
    axis, edge = count.axis, count.edge
    return {
        "hyperparameter": axis.name,
        "edge": edge,
        "trials": count.trials,
        "in_band": count.in_band,
        "top": count.top,
        "top_in_band": count.top_in_band,
        "p_value": count.p_value,
        "p_value_holm": count.adjusted,
        "best_position": count.best_unit,
        "best_value": axis.value_at(count.best_unit),
        "low": axis.low,
        "high": axis.high,
        "log": axis.log,
        "suggested_low": suggested_bound(axis, edge) if edge is Edge.LOW else None,
        "suggested_high": suggested_bound(axis, edge) if edge is Edge.HIGH else None,
    }


def _at_value(axis: Axis) -> bool:
    levels = axis.levels
    return levels is not None and (
        axis.kind is AxisKind.ORDERED or levels <= thresholds.EDGE_FEW_LEVELS
    )


def _too_few(axis: Axis, trials: int) -> Diagnosis:
    return BOUNDARY.cannot_tell(
        f"{trials} feasible trials have {axis.name}; the rule needs {thresholds.EDGE_MIN_TRIALS}.",
        {"trials": trials, "needed": thresholds.EDGE_MIN_TRIALS},
        subject=axis.name,
    )
