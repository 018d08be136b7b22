"""Is it better beyond an edge of the search space? A few paired runs say what notices cannot.

The best configurations are moved to the edge and one step beyond it, each with the same seeds:
their differences are free of the other hyperparameters and of much of the noise. Source: Tuning
Playbook, "Identifying bad search space boundaries", asks for the wider range; the paired probe
before it is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction, Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.space.axis import Axis, AxisKind, Edge, better_first
from experiments.analysis.space.boundary import suggested_bound

EDGE_PROBE = Rule(
    name="edge_probe",
    version=1,
    severity=Severity.WARNING,
    question="Are the best configurations better beyond the edge?",
    passed_title="Beyond the edge it is no better",
    meaning="The range ends before its best region does.",
    advice="Search again with a range that goes further on this side.",
    section="Tuning Playbook, 'Identifying bad search space boundaries'",
    action="extend",
)

_WORDS = {Edge.LOW: "lower", Edge.HIGH: "upper"}


@dataclass(frozen=True, slots=True)
class Probe:
    """Trials to run: these trials of the search, moved along one axis to each of two values."""

    axis: Axis
    edge: Edge
    trials: tuple[int, ...]
    at_edge: float
    beyond: float

    @property
    def runs(self) -> int:
        """Number of runs that one look takes."""
        return 2 * len(self.trials)


def probe_of(axis: Axis, edge: Edge, direction: Direction) -> Probe | None:
    """Return the probe of an edge; None at natural limits, for choices and with too few trials.

    trials: positions of the best five feasible trials among the rows of the axis. One step beyond
    is half of what the range would be widened by.
    """
    bound = suggested_bound(axis, edge)
    usable = np.flatnonzero(axis.usable)
    if bound is None or usable.size < thresholds.PROBE_CONFIGURATIONS:
        return None
    errors = better_first(axis.scores[usable], direction)
    best = usable[np.argsort(errors, kind="stable")[: thresholds.PROBE_CONFIGURATIONS]]
    end = axis.low if edge is Edge.LOW else axis.high
    step = math.sqrt(end * bound) if axis.log and end > 0 and bound > 0 else (end + bound) / 2
    if axis.kind is AxisKind.INTEGER:
        step = math.floor(step) if edge is Edge.LOW else math.ceil(step)
    return Probe(axis, edge, tuple(int(at) for at in best), float(end), float(step))


def edge_probe(
    name: str,
    edge: Edge,
    at_edge: Sequence[float] | Floats,
    beyond: Sequence[float] | Floats,
    direction: Direction,
) -> Diagnosis:
    """Confirm or dismiss an edge from pairs of runs with the same configuration and seed.

    at_edge, beyond: [N] scores; a pair with a value that is not finite counts against going
    beyond when only that side failed. Confirmed by Student's one-sided paired t at 0.05.
    """
    edge_errors = better_first(np.asarray(at_edge, dtype=np.float64), direction)
    beyond_errors = better_first(np.asarray(beyond, dtype=np.float64), direction)
    lost = int((np.isfinite(edge_errors) & ~np.isfinite(beyond_errors)).sum())
    with np.errstate(all="ignore"):
        gains = edge_errors - beyond_errors
        gains = gains[np.isfinite(gains)]
    subject = f"{name}:{edge}"
    evidence: dict[str, object] = {
        "hyperparameter": name,
        "edge": edge,
        "pairs": int(gains.size),
        "failed_beyond": lost,
    }
    if gains.size < thresholds.PROBE_PAIRS:
        return EDGE_PROBE.cannot_tell(
            f"{gains.size} finished pairs; the probe needs {thresholds.PROBE_PAIRS}.",
            evidence,
            subject=subject,
        )
    with np.errstate(all="ignore"):
        mean, p_value = float(gains.mean()), _p_value(gains)
    evidence |= {"gain": mean, "p_value": p_value}
    detail = (
        f"Over {gains.size} pairs the best configurations are {figure(abs(mean), 3)} "
        f"{'better' if mean > 0 else 'worse'} one step beyond (p = {figure(p_value, 2)})."
    )
    if p_value < thresholds.PROBE_LEVEL and lost <= gains.size / 2:
        return EDGE_PROBE.fires(
            f"It is better beyond the {_WORDS[edge]} edge of {name}",
            detail,
            evidence,
            subject=subject,
        )
    return EDGE_PROBE.passes(detail, evidence, subject=subject)


def _p_value(gains: Floats) -> float:
    """Return the one-sided p-value of a mean above 0; equal gains are certain."""
    if float(np.ptp(gains)) == 0.0:
        return 0.0 if gains[0] > 0 else 1.0
    found = float(stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue)
    return found if math.isfinite(found) else 1.0
