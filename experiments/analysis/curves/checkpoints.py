"""The best checkpoint in retrospect, what the last one would cost, and the luck in choosing.

Source: Tuning Playbook, "Saving checkpoints and retrospectively selecting the best checkpoint".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.best_of import normal_maximum
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    first_at_best,
    smooth,
    step_noise,
    to_errors,
    without_repeats,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, step_figure

BEST_CHECKPOINT = Rule(
    name="best_checkpoint",
    version=3,
    severity=Severity.NOTICE,
    question="Is the last checkpoint as good as the best one?",
    passed_title="The last checkpoint is as good as the best one",
    meaning="The last checkpoint is not the one to keep.",
    advice="Keep the best checkpoint, chosen in retrospect.",
    section=(
        "Tuning Playbook, 'Saving checkpoints and retrospectively selecting the best checkpoint'"
    ),
    action="show_curve",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The best evaluation of a run and what it is worth, in the metric's unit.

    step, value: the first best finite evaluation. smoothed: the rolling median there. last: the
    last finite value. regret: how much worse the last one is (>= 0). noise: deviation of one
    evaluation. luck: how much of the best value is expected from noise alone, the expected
    maximum over the `as_good` evaluations, those that are as good up to noise.
    """

    step: float
    value: float
    smoothed: float
    last: float
    regret: float
    drop: float
    noise: float
    luck: float
    as_good: int


def best_checkpoint(
    curve: Curve, *, direction: Direction, resolution: float = 0.0
) -> Checkpoint | None:
    """Return the best checkpoint of a curve, the first on ties; None without finite values."""
    ordered = curve.in_step_order().finite()
    if not len(ordered):
        return None
    errors = to_errors(ordered.values, direction)
    best = first_at_best(errors)
    with np.errstate(all="ignore"):
        smoothed = smooth(errors)
        noise = step_noise(without_repeats(errors), resolution)
        reach = smoothed.min() + thresholds.AS_GOOD_NOISE_FACTOR * noise
        as_good = int((smoothed <= reach).sum()) if math.isfinite(noise) else 1
        # Turned back into the metric's unit.
        sign = 1.0 if direction is Direction.MINIMIZE else -1.0
        return Checkpoint(
            step=float(ordered.steps[best]),
            value=float(ordered.values[best]),
            smoothed=sign * float(smoothed[best]),
            last=float(ordered.values[-1]),
            regret=float(errors[-1] - errors[best]),
            drop=float(errors[0] - errors[best]),
            noise=noise,
            luck=noise * normal_maximum(max(as_good, 1)) if math.isfinite(noise) else math.nan,
            as_good=as_good,
        )


def checkpoint_regret(
    validation: Curve, *, direction: Direction, resolution: float = 0.0
) -> Diagnosis:
    """Tell whether the last checkpoint is worse than the best by more than noise and luck.

    And by more than 0.2 % of all that was gained since the first evaluation.
    """
    best = best_checkpoint(validation, direction=direction, resolution=resolution)
    count = len(validation.finite())
    if best is None or count < thresholds.MIN_EVALUATIONS:
        return BEST_CHECKPOINT.cannot_tell(
            f"{count} finite evaluations; the rule needs {thresholds.MIN_EVALUATIONS}.",
            {"evaluations": count, "needed": thresholds.MIN_EVALUATIONS},
        )
    evidence = {
        "best_step": best.step,
        "best": best.value,
        "best_smoothed": best.smoothed,
        "last": best.last,
        "regret": best.regret,
        "noise": best.noise,
        "luck": best.luck,
        "as_good": best.as_good,
        "evaluations": count,
    }
    detail = (
        f"The last checkpoint is {figure(best.regret)} worse; about {figure(best.luck, 2)} of "
        "that is the luck of the best evaluation."
    )
    # The last value has noise of its own on top of the best one's luck.
    needed = max(
        best.luck + thresholds.RISE_NOISE_FACTOR * best.noise,
        thresholds.REGRET_SHARE * best.drop,
    )
    if best.regret > needed:
        return BEST_CHECKPOINT.fires(
            f"Best checkpoint is at step {step_figure(best.step)}, not the last",
            detail,
            evidence,
        )
    return BEST_CHECKPOINT.passes(detail, evidence)
