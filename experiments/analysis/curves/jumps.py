"""Does a validation metric jump to the worse within a few evaluations? Then training is unstable.

A model that overfits gets worse little by little while its training loss falls on. An error that
rises at once, mostly together with training loss, is an optimiser that lost its way, for a while
or for good. Source: Tuning Playbook, "How can optimization failures be debugged and mitigated?";
the test is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    Floats,
    MetricKind,
    at,
    first_at_best,
    is_bounded,
    noise_beside_trend,
    smooth,
    step_noise,
    tail,
    to_errors,
    window_of,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, share, step_figure

UNSTABLE_TRAINING = Rule(
    name="unstable_training",
    version=2,
    severity=Severity.WARNING,
    question="Does validation jump to the worse within a few evaluations?",
    passed_title="Validation never jumps to the worse",
    meaning=(
        "Optimisation was unstable for a while. The score then depends on when that happened "
        "and on how far training had recovered."
    ),
    advice=(
        "In this order: learning-rate warm-up, gradient clipping, another optimiser; a lower "
        "learning rate last."
    ),
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
    action="add_clipping",
)


@dataclass(frozen=True, slots=True)
class Jump:
    """A rise of the smoothed error within a few evaluations, in the metric's unit.

    before, after: positions at which it begins and is at its height. end: how far the error
    lies above where the jump began when the run ends, below 0 where it recovered in full.
    """

    before: int
    after: int
    height: float
    end: float


def reach_of(count: int) -> int:
    """Return within how many evaluations a rise is a jump."""
    return max(thresholds.JUMP_EVALUATIONS, math.ceil(thresholds.JUMP_RUN_SHARE * count))


def largest_jump(
    errors: Floats, since: int = 0, window: int = thresholds.SMOOTHING_MINIMUM
) -> Jump | None:
    """Return the largest rise of the smoothed error within a few evaluations; None without any.

    A window of three keeps what lasts two evaluations and drops a single bad one.
    """
    reach = reach_of(errors.size)
    if errors.size - since <= reach:
        return None
    with np.errstate(all="ignore"):
        smoothed = smooth(errors, window)
        windows = np.lib.stride_tricks.sliding_window_view(smoothed[since:], reach + 1)
        heights = windows.max(axis=1) - windows[:, 0]
        if not bool((heights > 0).any()):
            return None
        first = int(np.nanargmax(heights))
        before, after = since + first, since + first + int(np.argmax(windows[first]))
        left = tail(errors) - float(smoothed[before])
        return Jump(before, after, float(heights[first]), left)


def is_jump(rise: float, errors: Floats, train: Curve | None, steps: Floats) -> bool:
    """Test whether most of a rise above the smoothed best happened within a few evaluations.

    On a short curve a few evaluations are a large part of it: there training loss must rise too.
    """
    window = window_of(errors.size)
    with np.errstate(all="ignore"):
        best = first_at_best(smooth(errors, window))
    jump = largest_jump(errors, best, window)
    if jump is None or jump.height < thresholds.JUMP_SHARE * rise:
        return False
    return errors.size >= thresholds.SHORT_CURVE or _train_rises(train, steps, jump)


def unstable_training(
    validation: Curve,
    train_loss: Curve | None = None,
    *,
    kind: MetricKind = MetricKind.LOSS,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    bounded: bool | None = None,
) -> Diagnosis:
    """Tell whether the validation error jumps by a quarter of all it gained, and where.

    Within two evaluations or 2 % of them, by ten times the noise of one evaluation, whether it
    recovers or not. Below thirty evaluations training loss must rise with it. Where it does not,
    a rise of which that is less than half climbs, and one that is over at once and like the
    evaluations before it is noise.
    """
    curve = validation.in_step_order().finite()
    count = len(curve)
    if count < thresholds.MIN_EVALUATIONS:
        return UNSTABLE_TRAINING.cannot_tell(
            f"{count} finite evaluations; the rule needs {thresholds.MIN_EVALUATIONS}.",
            {"evaluations": count, "needed": thresholds.MIN_EVALUATIONS},
        )
    errors = to_errors(curve.values, direction, bounded=is_bounded(curve, kind, bounded))
    with np.errstate(all="ignore"):
        drop = float(errors[0] - smooth(errors).min())
    noise = noise_beside_trend(errors, resolution)
    jump = largest_jump(errors)
    needed = max(thresholds.JUMP_DROP_SHARE * drop, thresholds.DIVERGENCE_CHANGES * noise)
    evidence: dict[str, object] = {
        "evaluations": count,
        "improvement": drop,
        "noise": noise,
        "height": None if jump is None else jump.height,
        "jump_step": None if jump is None else float(curve.steps[jump.before]),
        "left_at_the_end": None if jump is None else jump.end,
    }
    if jump is None or not drop > 0 or not jump.height > needed:
        return UNSTABLE_TRAINING.passes("No rise within a few evaluations stands out.", evidence)
    together = _train_rises(train_loss, curve.steps, jump)
    if count < thresholds.SHORT_CURVE and not together:
        return UNSTABLE_TRAINING.passes(
            f"It rises fast from step {step_figure(float(curve.steps[jump.before]))}, training "
            "loss does not.",
            evidence,
        )
    if not together and (_climbs(errors, jump) or _as_before(errors, jump)):
        return UNSTABLE_TRAINING.passes("No rise within a few evaluations stands out.", evidence)
    return _fires(curve.steps, jump, drop, evidence, together=together)


def _fires(
    steps: Floats, jump: Jump, drop: float, evidence: dict[str, object], *, together: bool
) -> Diagnosis:
    left = max(jump.end, 0.0) / jump.height
    recovers = left < thresholds.JUMP_RECOVERED_SHARE
    lost = "all" if jump.height > drop else share(jump.height / drop)
    ending = "regains that in full" if recovers else f"ends {share(left)} of that short"
    what = "Validation and training loss jump" if together else "Validation jumps"
    return UNSTABLE_TRAINING.fires(
        f"{what} to the worse at step {step_figure(float(steps[jump.after]))}",
        f"It loses {lost} of its improvement at once and {ending}.",
        evidence | {"train_loss_rises": together},
        severity=Severity.NOTICE if recovers else None,
    )


def _as_before(errors: Floats, jump: Jump) -> bool:
    """Test whether a jump is over at once and like the evaluations that led to it.

    Within ten of their deviations: the first ones of a run vary more than its last. They are
    eight to sixteen.
    """
    before = errors[: max(jump.before + 1, thresholds.MIN_EVALUATIONS)]
    noise = noise_beside_trend(before[-2 * thresholds.MIN_EVALUATIONS :])
    with np.errstate(all="ignore"):
        smoothed = smooth(errors, thresholds.SMOOTHING_MINIMUM)
        soon = smoothed[jump.after : jump.after + reach_of(errors.size) + 1].min()
    left = float(soon - smoothed[jump.before])
    over = left < thresholds.JUMP_RECOVERED_SHARE * jump.height
    return over and not jump.height > thresholds.DIVERGENCE_CHANGES * noise


def _climbs(errors: Floats, jump: Jump) -> bool:
    """Test whether a jump is less than half of the rise that it belongs to."""
    with np.errstate(all="ignore"):
        smoothed = smooth(errors, thresholds.SMOOTHING_MINIMUM)
        rise = float(smoothed[jump.before :].max() - smoothed[: jump.before + 1].min())
    return jump.height < thresholds.JUMP_CLIMB_SHARE * rise


def _train_rises(train: Curve | None, steps: Floats, jump: Jump) -> bool:
    """Test whether the smoothed training loss rises over the jump by more than its noise."""
    curve = None if train is None else train.in_step_order().finite()
    if curve is None or len(curve) < thresholds.SMOOTHING_MINIMUM:
        return False
    with np.errstate(all="ignore"):
        smoothed = Curve(curve.steps, smooth(curve.values, thresholds.SMOOTHING_MINIMUM))
        rise = at(smoothed, float(steps[jump.after])) - at(smoothed, float(steps[jump.before]))
    return rise > thresholds.RISE_NOISE_FACTOR * step_noise(curve.values)
