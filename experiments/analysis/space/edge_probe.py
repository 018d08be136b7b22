"""Paired runs beyond the edges of a search space: is it better there?

The best configurations are run again as they are, and moved beyond an edge to half and to the
whole of the suggested widening, each with the same seeds: the differences are free of the other
hyperparameters and of much of the noise, and all edges share the runs that are not moved. Looks
after more seeds and more configurations end the probe of an edge early. Source: Tuning Playbook,
"Identifying bad search space boundaries", asks for the wider range; the paired probe before it is
ours, its looks and levels are chosen by replay (`benchmarks/findings_space.py`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction, Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.space.axis import Axis, AxisKind, Edge
from experiments.analysis.space.boundary import suggested_bound
from experiments.analysis.space.edge_slope import fit_slopes

EDGE_PROBE = Rule(
    name="edge_probe",
    version=2,
    severity=Severity.WARNING,
    question="Are the best configurations better beyond the edge?",
    passed_title="Beyond the edge it is no better",
    meaning="The range ends before its best region does.",
    advice="Search again with a range that goes further on this side.",
    section="Tuning Playbook, 'Identifying bad search space boundaries'",
    action="extend",
)

OPEN, CONFIRMED, DISMISSED, UNKNOWN = "open", "confirmed", "dismissed", "unknown"
PASSED_BY = "passed_by"  # another trial has become the best since
_WORDS = {Edge.LOW: "lower", Edge.HIGH: "upper"}


@dataclass(frozen=True, slots=True)
class ProbedEdge:
    """One edge under a probe, and what its runs have said so far.

    points: values beyond the edge, the nearer one first; live: numbers of those still probed.
    warned: a rule warned of the edge before, so that less is asked of the probe. bound: where the
    range could end. outcome: open, confirmed, dismissed, unknown (too few runs ended) or passed_by
    (another trial is the best by now, so that the search's own rules speak again). value, pairs,
    gain, best_gain, p_value, lost: of the point that was told last. gain: mean of all pairs;
    best_gain: of the best configuration, both in the metric's unit, above 0 when better beyond.
    lost: runs beyond that failed.
    """

    hyperparameter: str
    edge: str
    points: tuple[float, ...]
    bound: float
    warned: bool = False
    live: tuple[int, ...] = ()
    outcome: str = OPEN
    value: float | None = None
    pairs: int = 0
    gain: float | None = None
    best_gain: float | None = None
    p_value: float | None = None
    lost: int = 0

    @property
    def subject(self) -> str:
        """The edge as findings name it."""
        return f"{self.hyperparameter}:{self.edge}"

    @property
    def is_answered(self) -> bool:
        """Test whether the runs have answered for the edge."""
        return self.outcome in (CONFIRMED, DISMISSED)


def probe_of(axis: Axis, edge: Edge, *, warned: bool = False) -> ProbedEdge | None:
    """Return the probe of an edge; None at natural limits, for choices, where nothing is beyond.

    The points are half and the whole of what the range would be widened by.
    """
    bound = suggested_bound(axis, edge)
    if bound is None:
        return None
    end = axis.low if edge is Edge.LOW else axis.high
    step = math.sqrt(end * bound) if axis.log and end > 0 and bound > 0 else (end + bound) / 2
    if axis.kind is AxisKind.INTEGER:
        step = math.floor(step) if edge is Edge.LOW else math.ceil(step)
    points = tuple(dict.fromkeys((float(step), bound)))
    return ProbedEdge(axis.name, edge.value, points, bound, warned, tuple(range(len(points))))


def probed_by_default(axes: Sequence[Axis], direction: Direction) -> list[ProbedEdge]:
    """Return the edges that a probe of a whole space looks beyond.

    Every end of every range, but natural limits and those towards which scores get worse for
    certain (one-sided 0.05 of the fitted slope).
    """
    inwards = {
        (slope.axis.name, slope.edge)
        for slope in fit_slopes(axes, direction)
        if slope.p_value >= thresholds.PROBE_INWARDS
    }
    found = [
        probe_of(axis, edge)
        for axis in axes
        if axis.has_edges and axis.kind is not AxisKind.ORDERED
        for edge in Edge
        if (axis.name, edge) not in inwards
    ]
    return [edge for edge in found if edge is not None]


def blocks(look: int) -> list[tuple[int, int]]:
    """Return (configuration, seed) of every pair that a look adds to those before it."""
    configurations, seeds = thresholds.PROBE_LOOKS[look]
    before = thresholds.PROBE_LOOKS[:look]
    return [
        (configuration, seed)
        for seed in range(seeds)
        for configuration in range(configurations)
        if not any(configuration < c and seed < s for c, s in before)
    ]


def runs_of(edges: int, *, looks: int | None = None) -> int:
    """Return how many runs a probe of so many edges takes if none of them ends before a look."""
    found = sum(len(blocks(look)) for look in range(looks or len(thresholds.PROBE_LOOKS)))
    return found * (1 + 2 * edges)


def judged(
    probe: ProbedEdge, unmoved: Floats, moved: Mapping[int, Floats], look: int
) -> ProbedEdge:
    """Return the probe of an edge as a look leaves it.

    unmoved, moved: [C, S] errors (lower is better) of C configurations under S seeds, `moved` at
    each live point; inf where a run failed for its own sake, nan where none has ended. A point
    confirms the edge if Student's one-sided paired t says so at 0.01 (0.1 where a rule warned
    before) and the best configuration gains half a deviation over seeds, too. Of edges that
    change nothing, so many looks and points confirm 1 in 20. A point is left once its p-value
    shows that it will hardly confirm anything.
    """
    read = [_read(probe, number, unmoved, moved[number]) for number in probe.live]
    ended = [edge for edge in read if edge.pairs + edge.lost >= thresholds.PROBE_PAIRS]
    if not ended:
        return replace(probe, outcome=UNKNOWN, live=())
    level = thresholds.PROBE_WARNED_LEVEL if probe.warned else thresholds.PROBE_LEVEL
    best = min(ended, key=_p_value)
    confirming = [edge for edge in ended if edge.outcome == CONFIRMED and _p_value(edge) < level]
    if confirming:
        return replace(max(confirming, key=lambda edge: edge.best_gain or 0.0), live=())
    last = look == len(thresholds.PROBE_LOOKS) - 1
    leave = 0.0 if last else thresholds.PROBE_LEAVES[look]
    live = tuple(number for edge in ended for number in edge.live if _p_value(edge) < leave)
    return replace(best, live=live, outcome=OPEN if live else DISMISSED)


def _p_value(probe: ProbedEdge) -> float:
    return 1.0 if probe.p_value is None else probe.p_value


def _read(probe: ProbedEdge, number: int, unmoved: Floats, moved: Floats) -> ProbedEdge:
    """Return the numbers of one point; its outcome is confirmed where the best gains enough."""
    lost = int((np.isfinite(unmoved) & np.isposinf(moved)).sum())
    with np.errstate(all="ignore"):
        gains = (unmoved - moved)[np.isfinite(unmoved) & np.isfinite(moved)]
        best_gain = _best(unmoved) - _best(moved)
        enough = best_gain >= thresholds.PROBE_GAIN * _deviation(unmoved, moved)
        mean = float(gains.mean()) if gains.size else math.nan
    good = bool(enough) and math.isfinite(best_gain) and lost <= gains.size / 2
    return replace(
        probe,
        live=(number,),
        value=probe.points[number],
        pairs=int(gains.size),
        gain=mean if math.isfinite(mean) else None,
        best_gain=best_gain if math.isfinite(best_gain) else None,
        p_value=_paired(gains),
        lost=lost,
        outcome=CONFIRMED if good else OPEN,
    )


def _best(errors: Floats) -> float:
    """Return the lowest mean over seeds of the configurations whose runs have all ended well."""
    means = errors.mean(axis=1)
    return float(np.min(means[np.isfinite(means)], initial=math.inf))


def _deviation(unmoved: Floats, moved: Floats) -> float:
    """Return a configuration's deviation over seeds; with one seed that of the differences."""
    if unmoved.shape[1] == 1:
        gains = (unmoved - moved)[np.isfinite(unmoved) & np.isfinite(moved)]
        return float(gains.std(ddof=1) / math.sqrt(2)) if gains.size > 1 else math.inf
    both = np.vstack([unmoved, moved])
    whole = both[np.isfinite(both).all(axis=1)]
    return float(np.sqrt(whole.var(axis=1, ddof=1).mean())) if whole.size else math.inf


def _paired(gains: Floats) -> float:
    """Return the one-sided p-value of a mean above 0; equal gains are certain."""
    if gains.size < 2:
        return 1.0
    if bool((gains == gains[0]).all()):
        return 0.0 if gains[0] > 0 else 1.0
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # differences that hardly differ
        found = float(scipy.stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue)
    return found if math.isfinite(found) else 1.0


def edge_probe(probe: ProbedEdge) -> Diagnosis:
    """Return what a probe says of its edge: confirmed, dismissed, or why it cannot tell."""
    low = probe.edge == Edge.LOW
    evidence: dict[str, object] = {
        "hyperparameter": probe.hyperparameter,
        "edge": probe.edge,
        "value_beyond": probe.value,
        "pairs": probe.pairs,
        "mean_gain": probe.gain,
        "gain_of_the_best": probe.best_gain,
        "p_value": probe.p_value,
        "failed_beyond": probe.lost,
        "suggested_low": probe.bound if low else None,
        "suggested_high": None if low else probe.bound,
    }
    where = f"the {_WORDS[Edge(probe.edge)]} edge of {probe.hyperparameter}"
    if not probe.is_answered or probe.value is None:
        reason = f"Too few runs beyond {where} have ended."
        if probe.outcome == PASSED_BY:
            reason = f"Since {where} was probed, another trial has become the best."
        return EDGE_PROBE.cannot_tell(reason, evidence, subject=probe.subject)
    detail = _detail(probe)
    if probe.outcome == DISMISSED:
        title = f"Beyond {where} it is no better"
        return EDGE_PROBE.passes(detail, evidence, title=title, subject=probe.subject)
    return EDGE_PROBE.fires(
        f"It is better beyond {where}",
        detail,
        evidence,
        subject=probe.subject,
        advice=f"Search again with {probe.hyperparameter} {'down' if low else 'up'} to "
        f"{figure(probe.bound)}.",
    )


def _detail(probe: ProbedEdge) -> str:
    at = f"At {probe.hyperparameter} {figure(probe.value or 0.0)}"
    if probe.gain is None:
        return f"{at} every run failed."
    failed = f"; {probe.lost} runs failed there" if probe.lost else ""
    return (
        f"{at} the best configurations are {figure(abs(probe.gain), 2)} "
        f"{'better' if probe.gain > 0 else 'worse'} on average (p = "
        f"{figure(_p_value(probe), 2)}, {probe.pairs} pairs of runs{failed})."
    )
