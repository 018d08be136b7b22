"""Do scores still improve towards an edge, once the other hyperparameters are accounted for?

Counting the best trials at an edge (`boundary`) sees a strong effect only: every other
hyperparameter is noise to it. A response surface takes their part out and uses all trials.
Source: Box and Wilson (1951), response surfaces; the question is the Tuning Playbook's,
"Identifying bad search space boundaries".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import special

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction, Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.space.axis import Axis, AxisKind, Edge, better_first
from experiments.analysis.space.boundary import EdgeCount, count_edge, suggested_bound
from experiments.analysis.space.feasibility import best_is_near_infeasible

EDGE_SLOPE = Rule(
    name="edge_slope",
    version=1,
    severity=Severity.WARNING,
    question="Do scores still improve towards an edge of the search space?",
    passed_title="Scores level off before the edge",
    meaning="The search space probably ends before its best region does.",
    advice="Search again with a range that goes further on this side.",
    section="Tuning Playbook, 'Identifying bad search space boundaries'",
    action="extend",
)

_WORDS = {Edge.LOW: "lower", Edge.HIGH: "upper"}


@dataclass(frozen=True, slots=True)
class Slope:
    """Change of the error's normal score towards an edge, per width of the range.

    gain: positive if scores improve towards the edge; p_value: one-sided Student's t.
    """

    axis: Axis
    edge: Edge
    gain: float
    p_value: float


def edge_slopes(
    axes: Sequence[Axis], direction: Direction, *, adaptive: bool = False
) -> list[Diagnosis]:
    """Return one diagnosis for each edge at which the best trial lies and each that is fitted.

    All axes enter one least-squares surface of the scores' ranks (as normal scores): linear and
    quadratic in position, a level for each choice and arm. It fires where the slope at an edge
    leads outwards at 0.05 divided by the number of axes (only one edge of an axis can hold the
    best trial) and the best trial lies in the edge's band. Natural limits and the edge of
    infeasibility never fire. Needs 20 feasible trials, and ten more than the surface has terms.
    adaptive: the sampler went where good trials were; the warning becomes a notice.
    """
    edged = [axis for axis in axes if axis.has_edges]
    if not edged:
        return []
    slopes = fit_slopes(axes, direction)
    if not slopes:
        usable = max(int(axis.usable.sum()) for axis in edged)
        return [
            EDGE_SLOPE.cannot_tell(
                f"{usable} feasible trials are too few for {len(axes)} hyperparameters.",
                {"trials": usable, "hyperparameters": len(axes)},
            )
        ]
    level = thresholds.EDGE_LEVEL / len(edged)
    return [_judge(slope, direction, level, adaptive) for slope in slopes]


def fit_slopes(axes: Sequence[Axis], direction: Direction) -> list[Slope]:
    """Return the slope at both edges of every axis that has edges; [] if it cannot be fitted."""
    rows = _rows(axes)
    if int(rows.sum()) < thresholds.EDGE_MIN_TRIALS:
        return []
    response = _normal_scores(better_first(axes[0].scores[rows], direction))
    columns, places = _columns(axes, rows)
    design = np.stack(columns, axis=1)
    freedom = response.size - design.shape[1]
    if freedom < thresholds.SURFACE_FREEDOM or np.linalg.matrix_rank(design) < design.shape[1]:
        return []
    inverse = np.linalg.inv(design.T @ design)
    weights = inverse @ design.T @ response
    residual = response - design @ weights
    variance = float(residual @ residual) / freedom
    found = []
    for axis, (linear, quadratic) in places:
        for edge in Edge:
            contrast = np.zeros(design.shape[1])
            # Positions are centred: the derivative at an edge is b1 -+ b2 (width 1, at -+1/2).
            contrast[linear] = 1.0
            if quadratic is not None:
                contrast[quadratic] = -1.0 if edge is Edge.LOW else 1.0
            slope = float(contrast @ weights) * (1 if edge is Edge.LOW else -1)
            error = math.sqrt(max(variance * float(contrast @ inverse @ contrast), 0.0))
            p_value = float(scipy.stats.t.sf(slope / error, freedom)) if error > 0 else 1.0
            found.append(Slope(axis, edge, slope, p_value))
    return found


def _rows(axes: Sequence[Axis]) -> NDArray[np.bool_]:
    """Return [N] the feasible trials with a score; axes a trial lacks count as its arm's."""
    known: NDArray[np.bool_] = axes[0].feasible & np.isfinite(axes[0].scores)
    for axis in axes[1:]:
        known = known & axis.feasible
    return known


def _normal_scores(errors: Floats) -> Floats:
    ranks = scipy.stats.rankdata(errors)
    scores: Floats = special.ndtri((ranks - 0.375) / (errors.size + 0.25))
    return scores


def _columns(
    axes: Sequence[Axis], rows: NDArray[np.bool_]
) -> tuple[list[Floats], list[tuple[Axis, tuple[int, int | None]]]]:
    """Return the surface's columns, and where each edged axis has its linear and square term."""
    columns: list[Floats] = [np.ones(int(rows.sum()))]
    places: list[tuple[Axis, tuple[int, int | None]]] = []
    if axes[0].arm is not None:
        arms = axes[0].arm[rows]
        columns += [(arms == arm).astype(np.float64) for arm in np.unique(arms)[1:]]
    for axis in axes:
        unit = axis.unit[rows]
        levels = np.unique(unit[np.isfinite(unit)])
        if levels.size < 2:
            continue
        if axis.kind is AxisKind.CATEGORICAL:
            columns += [(unit == level).astype(np.float64) for level in levels[1:]]
            continue
        centred = np.where(np.isfinite(unit), unit - 0.5, 0.0)
        linear = len(columns)
        columns.append(centred)
        if levels.size > 2:
            columns.append(centred**2)
        if axis.has_edges:
            places.append((axis, (linear, linear + 1 if levels.size > 2 else None)))
    return columns, places


def _judge(slope: Slope, direction: Direction, level: float, adaptive: bool) -> Diagnosis:
    axis, edge = slope.axis, slope.edge
    count = count_edge(axis, edge, direction) if bool(axis.usable.any()) else None
    bound = suggested_bound(axis, edge)
    evidence: dict[str, object] = {
        "hyperparameter": axis.name,
        "edge": edge,
        "gain_per_range": slope.gain,
        "p_value": slope.p_value,
        "level": level,
        "best_in_band": count is not None and count.best_in_band,
        "low": axis.low,
        "high": axis.high,
        "log": axis.log,
        "suggested_low": bound if edge is Edge.LOW else None,
        "suggested_high": bound if edge is Edge.HIGH else None,
    }
    detail = (
        f"With the other hyperparameters accounted for, scores change by {figure(slope.gain, 2)} "
        f"deviations per range towards this edge (p = {figure(slope.p_value, 2)}, needed "
        f"{figure(level, 2)})."
    )
    subject = f"{axis.name}:{edge}"
    if not _outward(slope, count, level, direction):
        return EDGE_SLOPE.passes(detail, evidence, subject=subject)
    return EDGE_SLOPE.fires(
        f"Scores still improve towards the {_WORDS[edge]} edge of {axis.name}",
        detail,
        evidence,
        severity=Severity.NOTICE if adaptive else Severity.WARNING,
        subject=subject,
    )


def _outward(slope: Slope, count: EdgeCount | None, level: float, direction: Direction) -> bool:
    if count is None or not count.best_in_band or slope.edge in slope.axis.natural:
        return False
    if slope.edge is Edge.HIGH and best_is_near_infeasible(slope.axis, direction):
        return False
    return slope.p_value < level
