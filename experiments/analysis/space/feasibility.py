"""Feasibility: which trials failed to train, how many, and in which region.

Source: Tuning Playbook, "Identifying bad search space boundaries" and "How can we tell if our
search space is dense enough / infeasible"; the numbers are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Curve, Direction, Floats, step_noise, tail
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, share
from experiments.analysis.space.axis import Axis, AxisKind, better_first

_TINY = 1e-290  # chances below lose digits in a float

INFEASIBLE_SHARE = Rule(
    name="infeasible_share",
    version=2,
    severity=Severity.WARNING,
    question="Do many trials fail, or end in non-finite values?",
    passed_title="Few trials fail",
    meaning="Budget is spent where nothing can be learned; a very large share may be a bug.",
    advice="Cut the part of the space where trials fail, or reparameterise it.",
    section="Tuning Playbook, 'Identifying bad search space boundaries'",
    action="extend",
)

INSTABILITY = Rule(
    name="instability_edge",
    version=1,
    severity=Severity.WARNING,
    question="Do the best trials lie just below values at which training fails?",
    passed_title="The best trials lie well below values at which training fails",
    meaning="Optimisation is unstable above the best trials; a wider range would not help.",
    advice="Add learning-rate warm-up or gradient clipping, then search again.",
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
    action="add_warmup",
)


@dataclass(frozen=True, slots=True)
class Stump:
    """The one split of one hyperparameter that best tells failed trials from others.

    side: "above", "below" (of `value`) or "at" (the choice or integer `value`). inside, failed:
    trials on that side and how many of them failed; p_value: Fisher's exact test, one-sided,
    times the number of splits tried (at most 1).
    """

    name: str
    side: str
    value: object
    inside: int
    failed: int
    p_value: float

    @property
    def words(self) -> str:
        """Say where, as in "learning_rate above 0.03"."""
        shown = figure(self.value) if isinstance(self.value, float) else str(self.value)
        return f"{self.name} {'=' if self.side == 'at' else self.side} {shown}"


def infeasibility_threshold(axis: Axis) -> float | None:
    """Return the lowest position above which nearly all trials are infeasible; None if none.

    "Nearly all": 90 % of at least three trials.
    """
    present = np.isfinite(axis.unit)
    unit, failed = axis.unit[present], ~axis.usable[present]
    order = np.argsort(unit, kind="stable")
    position, bad = unit[order], failed[order]
    # At each distinct position: how many trials at or above it, and how many of them failed.
    first = np.append(True, position[1:] != position[:-1])
    above = np.arange(position.size, 0, -1)
    failures = np.cumsum(bad[::-1])[::-1]
    edge = (
        first
        & (above >= thresholds.INSTABILITY_MIN_TRIALS)
        & (failures >= thresholds.INSTABILITY_SHARE * above)
        & bad
    )
    return float(position[edge][0]) if bool(edge.any()) else None


def best_is_near_infeasible(axis: Axis, direction: Direction) -> bool:
    """Test whether the best trial lies within half a decade below the edge of infeasibility.

    Meaningful on a log scale only (learning rates); False otherwise.
    """
    distance = decades_to_infeasible(axis, direction)
    return distance is not None and 0 <= distance <= thresholds.INSTABILITY_DECADES


def decades_to_infeasible(axis: Axis, direction: Direction) -> float | None:
    """Return the decades from the best trial up to the edge of infeasibility; None if none."""
    edge = infeasibility_threshold(axis)
    usable = axis.usable
    if edge is None or not axis.log or axis.low <= 0 or not bool(usable.any()):
        return None
    errors = better_first(axis.scores, direction)
    best = float(axis.unit[usable][np.argmin(errors[usable])])
    return (edge - best) * math.log10(axis.high / axis.low)


def infeasible_trial(train_loss: Curve, *, failed: bool = False) -> bool:
    """Test whether a single trial's training loss shows that it did not train.

    It failed, a value is non-finite, or it ends above where it began by more than three times its
    noise. A pruned trial is judged by what it has.
    """
    curve = train_loss.in_step_order()
    if failed or not len(curve):
        return failed
    values = curve.values
    if not bool(np.isfinite(values).all()):
        return True
    with np.errstate(all="ignore"):
        end = min(tail(values), float(values[-1]))
        noise = step_noise(values) if len(curve) >= thresholds.MIN_EVALUATIONS else 0.0
        return end - float(values[0]) > thresholds.RISE_NOISE_FACTOR * noise


def infeasible_share(feasible: NDArray[np.bool_], axes: Sequence[Axis] = ()) -> Diagnosis:
    """Tell whether a quarter (strongly: half) of the finished trials failed, and where.

    Failed, or values that are no numbers: a trial that learns slowly is not infeasible.
    feasible: [N] of the finished trials, pruned ones left out; axes: rows of the same trials.
    """
    trials = int(feasible.size)
    if trials < thresholds.INFEASIBLE_MIN_TRIALS:
        return INFEASIBLE_SHARE.cannot_tell(
            f"{trials} finished trials; the rule needs {thresholds.INFEASIBLE_MIN_TRIALS}.",
            {"trials": trials, "needed": thresholds.INFEASIBLE_MIN_TRIALS},
        )
    failed = int((~feasible).sum())
    stump = where_infeasible(feasible, axes)
    evidence: dict[str, object] = {
        "trials": trials,
        "infeasible": failed,
        "share": failed / trials,
    }
    detail = f"{failed} of {trials} finished trials failed or have no finite score."
    if stump is not None:
        evidence |= {
            "hyperparameter": stump.name,
            "side": stump.side,
            "value": stump.value,
            "inside": stump.inside,
            "inside_infeasible": stump.failed,
            "p_value": stump.p_value,
        }
        detail += f" With {stump.words} it is {stump.failed} of {stump.inside}."
    if failed / trials < thresholds.INFEASIBLE_SHARE:
        return INFEASIBLE_SHARE.passes(detail, evidence)
    grave = failed / trials >= thresholds.INFEASIBLE_SHARE_STRONG
    where = "" if stump is None else f", most with {stump.words}"
    return INFEASIBLE_SHARE.fires(
        f"{share(failed / trials)} of trials fail{where}",
        detail,
        evidence,
        severity=Severity.PROBLEM if grave else Severity.WARNING,
    )


def where_infeasible(feasible: NDArray[np.bool_], axes: Sequence[Axis]) -> Stump | None:
    """Return the split that isolates the failed trials best; None if none beats chance at 5 %.

    A decision stump over positions: above or below each midpoint, or each choice; among equally
    surprising splits the first. Source: Tuning Playbook, infeasible points.
    """
    if bool(feasible.all()):
        return None
    splits = [(axis, *split) for axis in axes for split in _splits(axis)]
    if not splits:
        return None
    members = np.stack([inside for *_, inside in splits])
    counts, bad = members.sum(axis=1), (members & ~feasible).sum(axis=1)
    total, failures = int(feasible.size), int((~feasible).sum())
    surprise = _surprise(counts, bad, total, failures)
    best = int(np.argmin(surprise))
    p_value = math.exp(float(surprise[best])) * len(splits)
    if not p_value < thresholds.EDGE_LEVEL:
        return None
    axis, side, value, _ = splits[best]
    return Stump(axis.name, side, value, int(counts[best]), int(bad[best]), p_value)


def _surprise(
    counts: NDArray[np.int64], bad: NDArray[np.int64], total: int, failures: int
) -> Floats:
    """Return the logarithm of the chance that a split of so many trials has so many failures.

    Of many trials several splits are impossible in a float; only their sums are taken in
    logarithms, whose cost grows with the trials.
    """
    chance: Floats = np.asarray(scipy.stats.hypergeom.sf(bad - 1, total, failures, counts))
    tiny = chance < _TINY
    surprise = np.log(np.where(tiny, 1.0, chance))
    if bool(np.any(tiny)):
        surprise[tiny] = scipy.stats.hypergeom.logsf(bad[tiny] - 1, total, failures, counts[tiny])
    return surprise


def instability_edge(axis: Axis, direction: Direction) -> Diagnosis:
    """Tell whether the best trial lies within half a decade below the edge of infeasibility.

    The edge: the lowest value above which 90 % of at least three trials fail. For a hyperparameter
    on a log scale, the learning rate above all.
    """
    trials = int(np.isfinite(axis.unit).sum())
    distance = decades_to_infeasible(axis, direction)
    edge = infeasibility_threshold(axis)
    evidence: dict[str, object] = {
        "hyperparameter": axis.name,
        "trials": trials,
        "infeasible_from": None if edge is None else axis.value_at(edge),
        "decades_below": distance,
    }
    if trials < thresholds.INFEASIBLE_MIN_TRIALS or not axis.log:
        return INSTABILITY.cannot_tell(
            f"{trials} trials along {axis.name}; the rule needs "
            f"{thresholds.INFEASIBLE_MIN_TRIALS} on a log scale.",
            evidence,
            subject=axis.name,
        )
    if distance is None or edge is None or not 0 <= distance <= thresholds.INSTABILITY_DECADES:
        return INSTABILITY.passes(
            "No edge of infeasibility near the best trial.", evidence, subject=axis.name
        )
    return INSTABILITY.fires(
        f"Training fails just above the best values of {axis.name}",
        f"From {figure(axis.value_at(edge))} on nearly all trials fail; the best is a factor "
        f"of {figure(10**distance, 2)} below.",
        evidence,
        subject=axis.name,
    )


def _splits(axis: Axis) -> Iterator[tuple[str, object, NDArray[np.bool_]]]:
    """Yield side, value and [N] membership of every split of an axis."""
    present = np.isfinite(axis.unit)
    levels = np.unique(axis.unit[present])
    if levels.size < 2:
        return
    if axis.kind is AxisKind.CATEGORICAL:
        for level in levels:
            at = round(axis.value_at(float(level)))
            yield "at", axis.choices[at] if axis.choices else at, axis.unit == level
        return
    cuts = levels[:-1] + np.diff(levels) / 2
    if cuts.size > thresholds.STUMP_CUTS:
        cuts = np.unique(np.quantile(cuts, np.linspace(0, 1, thresholds.STUMP_CUTS)))
    for cut in cuts:
        value = axis.value_at(float(cut))
        yield "above", value, axis.unit > cut
        yield "below", value, axis.unit <= cut
