"""Was the curve still getting better when it ended, or had it stopped long before?

Source: Tuning Playbook, "Examining the training curves" and "Determining the number of steps for
each training run"; the tests are ours.
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
    first_at_best,
    is_bounded,
    smooth,
    step_noise,
    tail,
    to_errors,
    trend,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, share, step_figure

STILL_IMPROVING = Rule(
    name="still_improving",
    version=3,
    severity=Severity.NOTICE,
    question="Was the validation metric still improving at the end?",
    passed_title="The validation metric had stopped improving at the end",
    meaning=(
        "The number of steps limits the result. Comparisons then favour whatever trains fastest."
    ),
    advice="Train for more steps, with the learning-rate schedule stretched to match.",
    section="Tuning Playbook, 'Examining the training curves'",
    action="run_longer",
)

SATURATED = Rule(
    name="saturated",
    version=3,
    severity=Severity.NOTICE,
    question="Did the validation metric stop improving long before the end?",
    passed_title="The validation metric went on improving past half of the run",
    meaning="The steps after that taught nothing that validation shows.",
    advice="Fewer steps would do: each trial gets cheaper and more of them can be run.",
    section="Tuning Playbook, 'Examining the training curves'",
    action="run_shorter",
)


@dataclass(frozen=True, slots=True)
class Ending:
    """End of a curve, in the metric's unit; steps in training steps.

    gain, half: what the last quarter and the second half of the steps brought to the smoothed
    best. drop: the improvement since the first evaluation. noise, late_noise: of one evaluation,
    in the whole run and in its second half. slope, low, high: Theil-Sen slope of the error over
    that quarter with its 90 % limits, per step. settled_at, settled_for: first step within
    one noise of the best, and how many evaluations came after it. gained: the improvement is one
    step of the metric or more, and beyond the noise that it shows. fallen_back: how far the end
    lies above the best.
    """

    evaluations: int
    settled_for: int
    gained: bool
    first_step: float
    last_step: float
    gain: float
    half: float
    drop: float
    noise: float
    late_noise: float
    slope: float
    low: float
    high: float
    settled_at: float
    fallen_back: float

    @property
    def improving(self) -> bool:
        """Test whether the last quarter and the second half gained their shares of the drop.

        And whether the end keeps what the quarter gained: where no trend leads on, it lies at the
        best.
        """
        needed = max(
            thresholds.IMPROVING_HALF_SHARE * self.drop,
            thresholds.IMPROVING_NOISE_FACTOR * self.noise,
        )
        allowed = max(self.gain, self.noise) if self.slope < 0 else self.late_noise
        return (
            self.drop > thresholds.RISE_NOISE_FACTOR * self.noise
            and self.gain > thresholds.IMPROVING_GAIN_SHARE * self.drop
            and self.half > needed
            and self.fallen_back <= allowed
        )

    @property
    def settled_share(self) -> float:
        """Share of the run that had passed when the curve came within noise of its best."""
        length = self.last_step - self.first_step
        return (self.settled_at - self.first_step) / length if length > 0 else math.nan

    @property
    def saturated(self) -> bool:
        """Test whether it came within noise of its best in half of the run, and stayed there."""
        flat = self.low <= 0 <= self.high
        stayed = self.fallen_back <= max(
            thresholds.RISE_NOISE_FACTOR * self.noise, thresholds.RISE_SHARE * self.drop
        )
        early = (
            self.settled_share < thresholds.SATURATED_SHARE
            and self.settled_for >= thresholds.MIN_EVALUATIONS
        )
        return self.gained and flat and stayed and early


def ending(
    curve: Curve, *, direction: Direction, resolution: float = 0.0, bounded: bool = False
) -> Ending | None:
    """Return how a curve ended; None below eight finite evaluations or at a single step."""
    ordered = curve.in_step_order().finite()
    if len(ordered) < thresholds.MIN_EVALUATIONS:
        return None
    steps = ordered.steps
    errors = to_errors(ordered.values, direction, bounded=bounded)
    smoothed = smooth(errors)
    noise = step_noise(errors, resolution)
    late = _late(steps, thresholds.IMPROVING_PART)
    second = _late(steps, thresholds.IMPROVING_HALF)
    line = trend(steps[late], errors[late])
    with np.errstate(all="ignore"):
        lowest = float(smoothed.min())
        drop = float(errors[0]) - lowest
        least = max(resolution, thresholds.RISE_NOISE_FACTOR * step_noise(errors))
        # Where one step of the metric is all its noise, a step above the best is not at it.
        settled = int(np.argmax(smoothed <= lowest + noise * (1 - 1e-9)))
        return Ending(
            evaluations=len(ordered),
            settled_for=len(ordered) - 1 - settled,
            gained=drop > least * (1 - 1e-9) and drop > 0,
            first_step=float(steps[0]),
            last_step=float(steps[-1]),
            gain=float(smoothed[: late.start].min()) - lowest,
            half=float(smoothed[: second.start].min()) - lowest,
            drop=drop,
            noise=noise,
            late_noise=step_noise(errors[second], resolution),
            slope=line.slope,
            low=line.low,
            high=line.high,
            settled_at=float(steps[settled]),
            fallen_back=tail(errors) - lowest,
        )


def progress(
    validation: Curve,
    *,
    kind: MetricKind = MetricKind.LOSS,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    pruned: bool = False,
    learning_rate: Curve | None = None,
) -> tuple[Diagnosis, Diagnosis]:
    """Return what `still_improving` and `saturated` say, reading the curve once."""
    if pruned:
        reason = "The trial was stopped on the way: its curve does not show an end."
        return STILL_IMPROVING.cannot_tell(reason), SATURATED.cannot_tell(reason)
    bounded = is_bounded(validation, kind)
    end = ending(validation, direction=direction, resolution=resolution, bounded=bounded)
    if end is None:
        return _too_few(STILL_IMPROVING, validation), _too_few(SATURATED, validation)
    undecayed = learning_rate is not None and not_decayed(learning_rate)
    return _improving(end, undecayed), _saturated(end)


def still_improving(
    validation: Curve,
    *,
    kind: MetricKind = MetricKind.LOSS,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    pruned: bool = False,
    learning_rate: Curve | None = None,
) -> Diagnosis:
    """Tell whether the validation metric was still improving when the trial ended.

    It was if the smoothed best gained over 0.5 % of all improvement since the first evaluation in
    the last quarter of the steps, and over 2 % (and one evaluation's noise) in the second half:
    two lengths, so that neither a lucky end nor a long past fall decides. The end keeps that: it
    has not given back what the last quarter gained, and lies at the best, within noise, where the
    quarter has no trend to the better. A pruned trial is never judged: it always looks that way.
    """
    return progress(
        validation,
        kind=kind,
        direction=direction,
        resolution=resolution,
        pruned=pruned,
        learning_rate=learning_rate,
    )[0]


def saturated(
    validation: Curve,
    *,
    kind: MetricKind = MetricKind.LOSS,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    pruned: bool = False,
) -> Diagnosis:
    """Tell whether validation came within noise of its best before half of the run and stayed.

    "Stayed": for eight evaluations or more, and the 90 % interval of the last quarter's Theil-Sen
    slope contains zero. What never improved has not stopped.
    """
    return progress(
        validation, kind=kind, direction=direction, resolution=resolution, pruned=pruned
    )[1]


def _improving(end: Ending, undecayed: bool) -> Diagnosis:
    evidence = _evidence(end) | {"learning_rate_undecayed": undecayed}
    detail = (
        f"The second half brought {share(_ratio(end.half, end.drop))} of all improvement, the "
        f"last quarter {share(_ratio(end.gain, end.drop))}."
    )
    if undecayed:
        detail += " The learning rate had not decayed yet, which makes this unreliable both ways."
    if end.improving:
        return STILL_IMPROVING.fires(
            f"Validation still improves at the end, step {step_figure(end.last_step)}",
            detail,
            evidence,
        )
    return STILL_IMPROVING.passes(detail, evidence)


def _saturated(end: Ending) -> Diagnosis:
    detail = (
        f"It came to its best, within one evaluation's noise ({figure(end.noise, 2)}), after "
        f"{share(end.settled_share)} of the run and stayed."
    )
    if end.saturated and not end.improving:
        return SATURATED.fires(
            f"Validation stops improving at step {step_figure(end.settled_at)}",
            detail,
            _evidence(end),
        )
    return SATURATED.passes(detail, _evidence(end))


def not_decayed(learning_rate: Curve) -> bool:
    """Test whether a logged learning rate ends above half of its highest value."""
    curve = learning_rate.in_step_order().finite()
    if not len(curve):
        return False
    highest = float(curve.values.max())
    return highest > 0 and float(curve.values[-1]) > thresholds.UNDECAYED_SHARE * highest


def improvement_share(curve: Curve, direction: Direction) -> float:
    """Return at which share of the run the best finite value came; nan without any."""
    ordered = curve.in_step_order().finite()
    if len(ordered) < 2:
        return math.nan
    best = first_at_best(to_errors(ordered.values, direction))
    length = float(ordered.steps[-1] - ordered.steps[0])
    return float(ordered.steps[best] - ordered.steps[0]) / length


def _late(steps: Floats, part: float) -> slice:
    """Return the last part of the steps, at least three evaluations."""
    start = float(steps[-1]) - part * float(steps[-1] - steps[0])
    first = int(np.searchsorted(steps, start, side="right"))
    return slice(max(1, min(first, steps.size - thresholds.SMOOTHING_MINIMUM)), steps.size)


def _evidence(end: Ending) -> dict[str, object]:
    return {
        "evaluations": end.evaluations,
        "last_step": end.last_step,
        "gain_of_last_quarter": end.gain,
        "gain_of_second_half": end.half,
        "improvement": end.drop,
        "noise": end.noise,
        "slope_per_step": end.slope,
        "slope_low": end.low,
        "slope_high": end.high,
        "settled_at_step": end.settled_at,
        "settled_share": end.settled_share,
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _too_few(rule: Rule, curve: Curve) -> Diagnosis:
    count = len(curve.finite())
    return rule.cannot_tell(
        f"{count} finite evaluations; the rule needs {thresholds.MIN_EVALUATIONS}.",
        {"evaluations": count, "needed": thresholds.MIN_EVALUATIONS},
    )
