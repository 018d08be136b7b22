"""Did training fall apart: values that are no numbers, sudden rises, a training loss that climbs?

Source: Tuning Playbook, "How can optimization failures be debugged and mitigated?" and "Examining
the training curves"; the tests are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.jumps import is_jump
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    Floats,
    first_at_best,
    mad,
    smooth,
    step_noise,
    tail,
    to_errors,
    trend,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, share, step_figure

DIVERGENCE = Rule(
    name="divergence",
    version=2,
    severity=Severity.PROBLEM,
    question="Did training diverge?",
    passed_title="Training did not diverge",
    meaning="Optimisation diverged, so this score says nothing about the configuration.",
    advice=(
        "In this order: learning-rate warm-up, gradient clipping, another optimiser, "
        "normalisation inside residual branches; a lower learning rate last."
    ),
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
    action="show_curve",
)

NON_FINITE = Rule(
    name="non_finite",
    version=1,
    severity=Severity.PROBLEM,
    question="Are all logged values finite numbers?",
    passed_title="All logged values are finite",
    meaning="An overflow, a division by zero or a logarithm of zero somewhere in training.",
    advice="Find the first such value and what was computed there; see the advice on divergence.",
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
    action="show_curve",
)

TRAIN_LOSS_RISING = Rule(
    name="train_loss_rising",
    version=2,
    severity=Severity.PROBLEM,
    question="Does training loss rise?",
    passed_title="Training loss does not rise",
    meaning="A training loss that goes up usually indicates a bug in the training pipeline.",
    advice="Look for the bug before trusting any other number of this trial.",
    section="Tuning Playbook, 'Examining the training curves'",
    action="show_curve",
)


class Cause(StrEnum):
    """Cause for which a curve counts as diverged."""

    NON_FINITE = "non_finite"
    ABOVE_START = "above_start"
    SUDDEN_RISE = "sudden_rise"


@dataclass(frozen=True, slots=True)
class Break:
    """Place and kind of a curve's break."""

    cause: Cause
    step: float
    share_of_run: float
    value: float

    @property
    def early(self) -> bool:
        """Test whether it happened in the first tenth of the steps."""
        return self.share_of_run < thresholds.EARLY_SHARE


def divergence(
    loss: Curve,
    *,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    planned_steps: float | None = None,
    of_validation: bool = False,
    subject: str = "",
) -> Diagnosis:
    """Tell whether a loss (or metric) diverged, when, and how.

    Any non-finite value; an end above the first value by three times the noise; or a sudden rise
    (ten robust deviations of the one-step changes before it and a fifth of the improvement,
    within a tenth of the run) that does not come back within another tenth. "Early" is the first
    tenth of the planned steps, or of the steps seen. Non-finite values are told at any length,
    the rest needs eight evaluations. of_validation: no training loss is known; a validation loss
    that rises little by little may be overfitting, so that only a jump to above the start counts.
    """
    found = find_break(
        loss,
        direction=direction,
        resolution=resolution,
        planned_steps=planned_steps,
        of_validation=of_validation,
    )
    if found is not None:
        return _diverged(found, subject)
    count = len(loss)
    if count < thresholds.MIN_EVALUATIONS:
        return DIVERGENCE.cannot_tell(
            f"{count} evaluations; the rule needs {thresholds.MIN_EVALUATIONS}.",
            {"evaluations": count, "needed": thresholds.MIN_EVALUATIONS},
            subject=subject,
        )
    return DIVERGENCE.passes(
        f"All {count} values are finite and the curve stays below where it began.",
        {"evaluations": count},
        subject=subject,
    )


def find_break(
    loss: Curve,
    *,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    planned_steps: float | None = None,
    of_validation: bool = False,
) -> Break | None:
    """Return where a curve diverged, the earliest cause first; None if it did not."""
    curve = loss.in_step_order()
    if not len(curve):
        return None
    start = min(float(curve.steps[0]), 0.0)
    length = max(float(curve.steps[-1]), planned_steps or 0.0) - start
    errors = to_errors(curve.values, direction)

    def break_at(cause: Cause, position: int) -> Break:
        step = float(curve.steps[position])
        reached = (step - start) / length if length > 0 else 0.0
        return Break(cause, step, reached, float(curve.values[position]))

    bad = ~np.isfinite(errors)
    if bool(bad.any()):
        return break_at(Cause.NON_FINITE, int(np.argmax(bad)))
    if len(curve) < thresholds.MIN_EVALUATIONS:
        return None
    above = _above_start(errors, resolution)
    if of_validation and (above is None or not is_jump(_rise(errors), errors, None, curve.steps)):
        return None
    sudden = _sudden_rise(curve.steps, errors, resolution)
    if sudden is not None:
        return break_at(Cause.SUDDEN_RISE, sudden)
    return None if above is None else break_at(Cause.ABOVE_START, above)


def non_finite(series: Mapping[str, Curve]) -> Diagnosis:
    """Tell which series hold values that are no finite numbers, how many and since which step."""
    counts: dict[str, int] = {}
    first: dict[str, float] = {}
    for name, curve in series.items():
        bad = ~np.isfinite(curve.values)
        if bool(bad.any()):
            counts[name] = int(bad.sum())
            first[name] = float(curve.steps[bad].min())
    evidence = {
        "series": list(counts),
        "counts": list(counts.values()),
        "first_steps": list(first.values()),
        "looked_at": list(series),
    }
    if not counts:
        return NON_FINITE.passes(f"{len(series)} series looked at.", evidence)
    earliest = min(first, key=lambda name: first[name])
    return NON_FINITE.fires(
        f"{earliest} is not a finite number from step {step_figure(first[earliest])}",
        "; ".join(f"{name}: {count} values" for name, count in counts.items()) + ".",
        evidence,
    )


def train_loss_rising(train_loss: Curve) -> Diagnosis:
    """Tell whether training loss regained part of its fall and goes on rising at the end.

    It lies above its lowest smoothed value by 5 % of its fall and three times its noise, and the
    90 % interval of the last quarter's Theil-Sen slope is above zero.
    """
    curve = train_loss.in_step_order().finite()
    count = len(curve)
    if count < thresholds.MIN_EVALUATIONS:
        return TRAIN_LOSS_RISING.cannot_tell(
            f"{count} finite values; the rule needs {thresholds.MIN_EVALUATIONS}.",
            {"evaluations": count, "needed": thresholds.MIN_EVALUATIONS},
        )
    with np.errstate(all="ignore"):
        smoothed = smooth(curve.values)
        lowest = first_at_best(smoothed)
        fall = float(smoothed[0] - smoothed[lowest])
        rise = tail(curve.values) - float(smoothed[lowest])
    noise = step_noise(curve.values)
    late = max(thresholds.MIN_EVALUATIONS, math.ceil(thresholds.IMPROVING_PART * count))
    line = trend(curve.steps[-late:], curve.values[-late:])
    since = float(curve.steps[lowest])
    evidence = {
        "lowest_step": since,
        "lowest": float(smoothed[lowest]),
        "rise": rise,
        "fall": fall,
        "noise": noise,
        "slope_per_step": line.slope,
        "slope_low": line.low,
        "evaluations": count,
    }
    detail = f"It lies {figure(rise)} above its lowest value; it had fallen by {figure(fall)}."
    large = rise > max(
        thresholds.TRAIN_LOSS_RISE_SHARE * fall, thresholds.RISE_NOISE_FACTOR * noise
    )
    if large and line.low > 0:
        return TRAIN_LOSS_RISING.fires(
            f"Training loss rises from step {step_figure(since)}", detail, evidence
        )
    return TRAIN_LOSS_RISING.passes(detail, evidence)


def _sudden_rise(steps: Floats, errors: Floats, resolution: float) -> int | None:
    """Return the position where a lasting jump above the best begins; None if there is none."""
    with np.errstate(all="ignore"):
        smoothed = smooth(errors, thresholds.SMOOTHING_MINIMUM)
        best = first_at_best(smoothed)
        before = np.diff(errors[: max(best + 1, thresholds.MIN_EVALUATIONS)])
        drop = max(float(errors[0]), float(smoothed[0])) - float(smoothed[best])
        height = max(
            thresholds.DIVERGENCE_CHANGES * max(mad(before), resolution),
            thresholds.DIVERGENCE_DROP_SHARE * drop,
        )
        above = smoothed > smoothed[best] + height
        near = smoothed <= smoothed[best] + height / 4
    above[:best] = False
    # A curve that never fell has nothing to jump from: it climbs.
    fell = drop > thresholds.RISE_NOISE_FACTOR * step_noise(errors, resolution)
    if not height > 0 or not fell or not bool(above.any()):
        return None
    reach = thresholds.DIVERGENCE_RUN_SHARE * float(steps[-1] - steps[0])
    for jump in np.flatnonzero(above & ~np.append(False, above[:-1])):
        begin = int(np.flatnonzero(near[:jump])[-1])
        after = above[jump : int(np.searchsorted(steps, steps[jump] + reach, side="right"))]
        lasting = bool(after.all()) and int(above[jump:].sum()) >= thresholds.DIVERGENCE_POINTS
        if lasting and float(steps[jump] - steps[begin]) <= reach:
            return begin
    return None


def _rise(errors: Floats) -> float:
    """Return how far the end lies above the smoothed best."""
    return tail(errors) - float(smooth(errors).min())


def _above_start(errors: Floats, resolution: float) -> int | None:
    """Return the best position if the end lies above the start; None if it does not."""
    with np.errstate(all="ignore"):
        end = min(tail(errors), float(errors[-1]))
        noise = step_noise(errors, resolution)
        if end - float(errors[0]) > thresholds.RISE_NOISE_FACTOR * noise:
            return first_at_best(smooth(errors))
    return None


def _diverged(found: Break, subject: str) -> Diagnosis:
    when = "early" if found.early else "mid-training"
    how = {
        Cause.NON_FINITE: f"the value there is {figure(found.value)}",
        Cause.ABOVE_START: "it ends above its first value",
        Cause.SUDDEN_RISE: "it jumps up there and does not come back",
    }[found.cause]
    return DIVERGENCE.fires(
        f"Training diverged {when}, at step {step_figure(found.step)}",
        f"After {share(found.share_of_run)} of the steps {how}.",
        {
            "cause": found.cause,
            "when": "early" if found.early else "mid",
            "step": found.step,
            "share_of_run": found.share_of_run,
            "value": found.value,
        },
        subject=subject,
        action="add_warmup" if found.early else "add_clipping",
    )
