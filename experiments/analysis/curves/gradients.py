"""Gradient norms: spikes by rate, where to clip, and how much is clipped.

Source: Tuning Playbook, "How can optimization failures be debugged and mitigated?" (gradient
clipping). The spike test is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Curve, Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, share

GRADIENT_SPIKES = Rule(
    name="gradient_spikes",
    version=1,
    severity=Severity.WARNING,
    question="Does the gradient norm spike often?",
    passed_title="Gradient-norm spikes are rare",
    meaning="Training is close to unstable; single spikes are common in healthy runs.",
    advice="Clip gradients at the suggested norm, or lengthen the warm-up.",
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
    action="add_clipping",
)

CLIPPED_UPDATES = Rule(
    name="clipped_updates",
    version=1,
    severity=Severity.WARNING,
    question="Are more than half of the updates clipped?",
    passed_title="Clipping acts on a minority of updates",
    meaning="Clipping so often acts like a lower learning rate that nobody chose.",
    advice="Lower the learning rate instead, or clip at the suggested norm.",
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
    action="lower_learning_rate",
)


@dataclass(frozen=True, slots=True)
class Spikes:
    """Spikes of a gradient-norm curve.

    positions: [S] indices; judged: how many points had a window before them; non_finite: points
    that are no finite number (not counted as spikes).
    """

    positions: NDArray[np.int64]
    judged: int
    non_finite: int

    @property
    def rate(self) -> float:
        """Share of the judged points that are spikes."""
        return self.positions.size / self.judged if self.judged else 0.0


def find_spikes(norms: Curve) -> Spikes:
    """Return the spikes of a curve that is positive where finite.

    A spike lies, in log10, six robust deviations (floor 0.02) above the median of the last
    max(50, min(1000, T / 10)) points, and above three times that median.
    """
    usable = np.flatnonzero(np.isfinite(norms.values) & (norms.values > 0))
    missing = int((~np.isfinite(norms.values)).sum())
    logs = np.log10(norms.values[usable])
    low, high = thresholds.SPIKE_WINDOW
    window = max(low, min(high, logs.size // 10))
    if logs.size <= window:
        return Spikes(np.array([], dtype=np.int64), 0, missing)
    middle = _median_before(logs, window)
    spread = thresholds.MAD_TO_SD * _median_before(np.abs(logs - middle), window)
    above = logs - middle
    spike = (
        above > thresholds.SPIKE_DEVIATIONS * np.maximum(spread, thresholds.SPIKE_FLOOR_DEX)
    ) & (above > np.log10(thresholds.SPIKE_FACTOR))
    spike[:window] = False
    return Spikes(usable[spike].astype(np.int64), logs.size - window, missing)


def gradient_spikes(norms: Curve, train_loss: Curve | None = None) -> Diagnosis:
    """Tell whether spikes of the gradient norm are frequent (over 0.5 % of the points).

    Spikes at which training loss jumps too are counted apart: those do harm.
    """
    curve = norms.in_step_order()
    if len(curve) < thresholds.SPIKE_MIN_POINTS:
        return GRADIENT_SPIKES.cannot_tell(
            f"{len(curve)} gradient norms; the rule needs {thresholds.SPIKE_MIN_POINTS}.",
            {"points": len(curve), "needed": thresholds.SPIKE_MIN_POINTS},
        )
    spikes = find_spikes(curve)
    at_steps = curve.steps[spikes.positions]
    harmful = _with_loss(at_steps, train_loss)
    evidence = {
        "points": len(curve),
        "judged": spikes.judged,
        "spikes": int(spikes.positions.size),
        "rate": spikes.rate,
        "steps": at_steps[:20],
        "with_loss_spike": harmful,
        "non_finite": spikes.non_finite,
        "suggested_clip": clip_threshold(curve),
    }
    detail = (
        f"{spikes.positions.size} of {spikes.judged} points ({share(spikes.rate)}) are spikes"
        + ("." if harmful is None else f"; training loss jumps at {harmful} of them.")
    )
    if spikes.rate > thresholds.SPIKE_RATE:
        return GRADIENT_SPIKES.fires(
            f"The gradient norm spikes at {share(spikes.rate)} of the points", detail, evidence
        )
    return GRADIENT_SPIKES.passes(detail, evidence)


def clip_threshold(norms: Curve, *, warmup_steps: float = 0.0) -> float | None:
    """Return the 90th percentile of the finite, unclipped norms after warm-up; None if none."""
    after_warmup = norms.values[np.isfinite(norms.values) & (norms.steps >= warmup_steps)]
    return (
        float(np.percentile(after_warmup, thresholds.CLIP_PERCENTILE))
        if after_warmup.size
        else None
    )


def clipped_share(norms: Curve, threshold: float) -> float:
    """Return the share of logged, unclipped norms above a clip threshold; nan if none."""
    known = norms.values[~np.isnan(norms.values)]
    return float((known > threshold).mean()) if known.size else float("nan")


def clipped_updates(norms: Curve, threshold: float, *, warmup_steps: float = 0.0) -> Diagnosis:
    """Tell whether more than half of the updates are clipped at a threshold > 0."""
    if not len(norms) or not threshold > 0:
        return CLIPPED_UPDATES.cannot_tell("Unclipped gradient norms were not logged.")
    clipped = clipped_share(norms, threshold)
    suggested = clip_threshold(norms, warmup_steps=warmup_steps)
    evidence = {
        "threshold": threshold,
        "clipped_share": clipped,
        "points": len(norms),
        "suggested_clip": suggested,
    }
    detail = f"{share(clipped)} of the {len(norms)} logged norms lie above {figure(threshold)}"
    detail += "." if suggested is None else f"; nine in ten lie below {figure(suggested)}."
    if clipped > thresholds.CLIPPED_SHARE:
        return CLIPPED_UPDATES.fires(
            f"{share(clipped)} of the updates are clipped", detail, evidence
        )
    return CLIPPED_UPDATES.passes(detail, evidence)


def _median_before(values: Floats, window: int) -> Floats:
    """Return [T] the median of the window that ends just before each point."""
    trailing = scipy.ndimage.median_filter(
        values, size=window, mode="nearest", origin=(window - 1) // 2
    )
    return np.append(trailing[:1], trailing[:-1])


def _with_loss(steps: Floats, train_loss: Curve | None) -> int | None:
    """Return at how many of these steps training loss spikes too, itself or one point on."""
    if train_loss is None:
        return None
    curve = train_loss.in_step_order()
    if len(curve) < thresholds.SPIKE_MIN_POINTS:
        return None
    jumps = find_loss_jumps(curve)
    place = np.searchsorted(curve.steps, steps)
    return int(sum(bool(np.any((jumps >= at - 1) & (jumps <= at + 1))) for at in place))


def find_loss_jumps(loss: Curve) -> NDArray[np.int64]:
    """Return [S] positions where a loss lies six robust deviations above its running median."""
    values = np.where(np.isfinite(loss.values), loss.values, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    low, high = thresholds.SPIKE_WINDOW
    window = max(low, min(high, known.size // 10))
    if known.size <= window:
        return np.array([], dtype=np.int64)
    middle = _median_before(values[known], window)
    residual = values[known] - middle
    spread = thresholds.MAD_TO_SD * _median_before(np.abs(residual), window)
    jump = residual > thresholds.SPIKE_DEVIATIONS * spread
    jump[:window] = False
    return known[jump & (spread > 0)].astype(np.int64)
