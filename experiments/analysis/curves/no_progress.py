"""Did a run ever get better than its first evaluation? If not, every other word is idle.

Source: known practice; Tuning Playbook, "Examining the training curves".
"""

from __future__ import annotations

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    MetricKind,
    is_bounded,
    noise_beside_trend,
    smooth,
    tail,
    to_errors,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure

NEVER_IMPROVES = Rule(
    name="never_improves",
    version=2,
    severity=Severity.WARNING,
    question="Does validation ever get better than at its first evaluation?",
    passed_title="Validation gets better than at its first evaluation",
    meaning="Training taught nothing that validation shows.",
    advice=(
        "Check that the metric and the data are the right ones and that the optimiser updates "
        "the weights; then try another learning rate."
    ),
    section="Tuning Playbook, 'Examining the training curves'",
    action="show_curve",
)


def never_improves(
    validation: Curve,
    *,
    kind: MetricKind = MetricKind.LOSS,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    bounded: bool | None = None,
) -> Diagnosis:
    """Tell whether the smoothed metric gains next to nothing on its first value, or is constant.

    "Next to nothing": two deviations of its noise; five, or one step of the metric, of which
    nothing is left at the end; of a metric in [0, 1], a hundredth of the error it began with.
    Needs eight evaluations.
    """
    curve = validation.in_step_order().finite()
    count = len(curve)
    if count < thresholds.MIN_EVALUATIONS:
        return NEVER_IMPROVES.cannot_tell(
            f"{count} finite evaluations; the rule needs {thresholds.MIN_EVALUATIONS}.",
            {"evaluations": count, "needed": thresholds.MIN_EVALUATIONS},
        )
    inside = is_bounded(curve, kind, bounded)
    errors = to_errors(curve.values, direction, bounded=inside)
    noise = noise_beside_trend(errors)
    with np.errstate(all="ignore"):
        gain = float(errors[0] - smooth(errors).min())
    least = thresholds.NO_GAIN_SHARE * float(errors[0]) if inside else 0.0
    nothing = max(thresholds.AS_GOOD_NOISE_FACTOR * noise, least)
    if tail(errors) >= float(errors[0]):
        nothing = max(thresholds.NO_GAIN_LOST_NOISE * noise, resolution, least)
    first, last = float(curve.values[0]), float(curve.values[-1])
    evidence = {
        "evaluations": count, "first": first, "last": last, "gain": gain, "noise": noise,
    }  # fmt: skip
    if curve.values.min() == curve.values.max():
        return NEVER_IMPROVES.fires(
            "Validation metric does not move",
            f"All {count} evaluations are {figure(first)}.",
            evidence,
        )
    # One step of the metric, and the same step again by rounding.
    if gain <= nothing * (1 + 1e-9):
        return NEVER_IMPROVES.fires(
            "Validation never improves on its first evaluation",
            f"It begins at {figure(first)} and ends at {figure(last)}.",
            evidence,
        )
    return NEVER_IMPROVES.passes(
        f"It gained {figure(gain)} on its first evaluation, {figure(first)}.", evidence
    )
