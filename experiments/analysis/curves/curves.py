"""Rules on one validation curve: overfitting and late oscillation.

Both read a declared metric (kind, direction, resolution). Overfitting
needs eight evaluations, late oscillation twenty-four.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.best_of import normal_maximum
from experiments.analysis.curves.jumps import is_jump
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    Floats,
    MetricKind,
    first_at_best,
    is_bounded,
    mad,
    noise_beside_trend,
    smooth,
    step_noise,
    tail,
    to_errors,
    trend,
    window_of,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, share, step_figure

__all__ = [
    "LATE_OSCILLATION",
    "OVERFITTING",
    "Curve",
    "Direction",
    "MetricKind",
    "best_step",
    "late_oscillation",
    "overfitting",
]
from experiments.analysis.curves.train_change import TrainChange, train_change_since

OVERFITTING = Rule(
    name="overfitting",
    version=3,
    severity=Severity.WARNING,
    question="Does validation error rise while training goes on?",
    passed_title="Validation error does not rise",
    meaning=(
        "The model goes on fitting the training data while it gets worse on new data. A "
        "comparison of such trials favours whichever happens to be regularised."
    ),
    advice=(
        "Use the best checkpoint, or add regularisation (dropout, weight decay, augmentation) "
        "and tune it in every arm."
    ),
    section="Tuning Playbook, 'Examining the training curves'",
    action="add_dropout",
)

LATE_OSCILLATION = Rule(
    name="late_oscillation",
    version=4,
    severity=Severity.WARNING,
    question="Does the validation metric jump from step to step late in training?",
    passed_title="The validation metric is steady late in training",
    meaning=(
        "A lucky evaluation can decide a comparison. Common causes: small batches, a small "
        "validation set, a learning rate that is still high at the end."
    ),
    advice=(
        "Use a larger batch or more validation data, decay the learning rate, or average "
        "the weights (Polyak)."
    ),
    section="Tuning Playbook, 'Examining the training curves'",
    action="show_curve",
)


@dataclass(frozen=True, slots=True)
class _Rise:
    """Height of a smoothed error above its best at the end."""

    best: int
    start: float
    lowest: float
    tail: float
    noise: float
    loss_percent: float
    share_of_drop: float
    by_ratio: bool
    is_loss: bool

    @property
    def height(self) -> float:
        return self.tail - self.lowest

    @property
    def judged_by(self) -> str:
        by_ratio = self.by_ratio and not self.hidden
        return "generalisation loss" if by_ratio else "share of improvement"

    @property
    def hidden(self) -> bool:
        """Test whether a loss rose by 2 to 5 % only, yet lost a quarter of what it had gained."""
        limits = thresholds.SMALL_LOSS_PERCENT, thresholds.GENERALISATION_LOSS_PERCENT
        small = limits[0] < self.loss_percent <= limits[1]
        lost = self.share_of_drop > thresholds.RISE_SHARE_LARGE
        return self.is_loss and self.by_ratio and small and lost

    def large(self, train: TrainChange | None) -> bool:
        if not self.height > thresholds.RISE_NOISE_FACTOR * self.noise:
            return False
        if self.hidden:
            return train is not None and train.falls_on
        if self.by_ratio:
            return self.loss_percent > thresholds.GENERALISATION_LOSS_PERCENT
        return self.share_of_drop > thresholds.RISE_SHARE


def best_step(curve: Curve, direction: Direction) -> float:
    """Return the step of the best finite value, the first on ties; nan if there is none."""
    ordered = curve.in_step_order().finite()
    if not len(ordered):
        return math.nan
    return float(ordered.steps[first_at_best(to_errors(ordered.values, direction))])


def overfitting(
    validation: Curve,
    train_loss: Curve | None = None,
    *,
    kind: MetricKind = MetricKind.LOSS,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    bounded: bool | None = None,
) -> Diagnosis:
    """Tell whether the validation error rises after its best while training loss does not.

    The curve is smoothed by a rolling median. Errors of losses and of metrics in [0, 1]
    (1 - metric) are compared as a ratio: Prechelt's generalisation loss above 5 %. Other metrics,
    and losses that are signed or near zero, use the rise as a share of the drop before it, above
    5 %; so do, above 25 %, losses with a large constant in them (they rise by 2 to 5 %) whose
    training loss falls on.
    The rise must also exceed three times the evaluation noise. Where training loss rises with it
    or never fell, or where most of the rise is one jump, it is another problem.

    bounded: whether the metric lies in [0, 1]; None reads it from the values.
    Source: Prechelt (1998), "Early stopping - but when?"; Tuning Playbook, "Examining the
    training curves".
    """
    curve = validation.in_step_order().finite()
    if len(curve) < thresholds.MIN_EVALUATIONS:
        return _too_few(OVERFITTING, curve)
    inside = is_bounded(curve, kind, bounded)
    errors = to_errors(curve.values, direction, bounded=inside)
    rise = _rise(errors, resolution, kind, bounded=inside)
    step = float(curve.steps[rise.best])
    train = train_change_since(train_loss, step, float(curve.steps[-1]))
    evidence = _rise_evidence(rise, step, float(curve.steps[-1]), len(curve), train)
    if not rise.large(train):
        return OVERFITTING.passes(
            f"At the end it lies {figure(rise.height)} above its best, step {step_figure(step)}.",
            evidence,
        )
    other = _other_cause(rise, train, errors, curve.steps, train_loss)
    if other is not None:
        return OVERFITTING.passes(
            f"Validation error rises from step {step_figure(step)}: {other[1]}.",
            evidence | {"other_cause": other[0]},
            title=other[0],
        )
    return OVERFITTING.fires(_title(rise, step, direction), _rise_detail(rise), evidence)


def late_oscillation(
    validation: Curve,
    *,
    kind: MetricKind = MetricKind.LOSS,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    trial_sd: float | None = None,
    runner_up_gap: float | None = None,
) -> Diagnosis:
    """Tell whether evaluations late in training differ enough to mislead a comparison.

    The last fifth (at least eight of twenty-four evaluations) is freed of its Theil-Sen line;
    what is left has the robust deviation sigma. It is too large above the deviation over seeds
    (`trial_sd`), above half the distance to the runner-up (`runner_up_gap`), or, with neither
    known, above 5 % of the whole improvement and half of one evaluation's noise over the run
    (below that it has calmed down). All in the metric's unit. A metric that moves by no more than
    two of its steps (`resolution`) does not jump about.

    Source: Tuning Playbook, "Examining the training curves" (step-to-step variance).
    """
    curve = validation.in_step_order().finite()
    # Eight evaluations are "late" where they are a third of all, not half.
    if len(curve) < 3 * thresholds.LATE_MINIMUM:
        return _too_few(LATE_OSCILLATION, curve, 3 * thresholds.LATE_MINIMUM)
    errors = to_errors(curve.values, direction)
    swing = _swing(curve.steps, errors)
    limit, against = oscillation_limit(trial_sd, runner_up_gap, swing.drop, resolution)
    evidence = {
        "kind": kind,
        "deviation": swing.deviation,
        "limit": limit,
        "limit_is": against,
        "resolution": resolution,
        "evaluations": swing.count,
        "from_step": swing.start,
        "luck_of_best": swing.luck,
        "improvement": swing.drop,
    }
    detail = (
        f"It varies by {figure(swing.deviation)} (standard deviation) around its trend; {against} "
        f"is {figure(limit)}."
    )
    if swing.gain > thresholds.OSCILLATION_GAIN * swing.deviation:
        return LATE_OSCILLATION.passes(
            f"It still gains {figure(swing.gain)} there: not late in training yet.", evidence
        )
    alone = trial_sd is None and runner_up_gap is None
    calm = swing.deviation < thresholds.OSCILLATION_CALM * step_noise(errors)
    if alone and (calm or not swing.drop > 0):
        why = "It varied more before." if calm else "There was none."
        return LATE_OSCILLATION.passes(f"{detail} {why}", evidence)
    if swing.deviation > limit:
        title = f"Validation varies much from step {step_figure(swing.start)} on"
        return LATE_OSCILLATION.fires(title, detail, evidence)
    return LATE_OSCILLATION.passes(detail, evidence)


@dataclass(frozen=True, slots=True)
class _Swing:
    """Variation of a curve's last fifth around its trend, its gain, and the gain before it."""

    count: int
    start: float
    deviation: float
    drop: float
    gain: float

    @property
    def luck(self) -> float:
        return self.deviation * normal_maximum(self.count)


def _swing(steps: Floats, errors: Floats) -> _Swing:
    count = max(thresholds.LATE_MINIMUM, math.ceil(thresholds.LATE_SHARE * errors.size))
    with np.errstate(all="ignore"):
        smoothed = smooth(errors)
        drop = float(smoothed[0] - smoothed.min())
        gain = float(smoothed[-count] - smoothed[-count:].min())
    deviation = _detrended_deviation(steps[-count:], errors[-count:])
    return _Swing(count, float(steps[-count]), deviation, drop, gain)


def _too_few(rule: Rule, curve: Curve, needed: int = thresholds.MIN_EVALUATIONS) -> Diagnosis:
    return rule.cannot_tell(
        f"{len(curve)} finite evaluations; the rule needs {needed}.",
        {"evaluations": len(curve), "needed": needed},
    )


def _rise(errors: Floats, resolution: float, kind: MetricKind, *, bounded: bool) -> _Rise:
    window = window_of(errors.size)
    with np.errstate(all="ignore"):
        smoothed = smooth(errors, window)
        best = first_at_best(smoothed)
        lowest, end, start = float(smoothed[best]), tail(errors, window), float(smoothed[0])
        drop, height = start - lowest, end - lowest
        # An error in [0, 1] is a share of examples: its noise, never below one, guards the ratio.
        floor = 0.0 if bounded else thresholds.NEAR_ZERO_SHARE * max(start, 0.0)
        return _Rise(
            best=best,
            start=start,
            lowest=lowest,
            tail=end,
            noise=noise_beside_trend(errors, resolution),
            loss_percent=100 * (end / lowest - 1) if lowest > 0 else math.nan,
            share_of_drop=height / drop if drop > 0 else math.nan,
            by_ratio=(bounded or kind is MetricKind.LOSS) and lowest > floor,
            is_loss=kind is MetricKind.LOSS,
        )


def _other_cause(
    rise: _Rise,
    change: TrainChange | None,
    errors: Floats,
    steps: Floats,
    train_loss: Curve | None,
) -> tuple[str, str] | None:
    """Return title and words of what else makes validation rise; None if nothing does."""
    if change is not None and change.never_fell:
        return "Training loss never falls", "the learning rate is too large, or nothing is learned"
    if change is not None and change.rises_with(rise.height, of_loss=rise.is_loss):
        return "Validation error rises together with training loss", "so does training loss"
    if is_jump(rise.height, errors, train_loss, steps):
        return "Validation error jumps: unstable, not overfitting", "at once, not little by little"
    return None


def _rise_evidence(
    rise: _Rise, step: float, last: float, count: int, train: TrainChange | None
) -> dict[str, object]:
    return {
        "onset_step": step,
        "last_step": last,
        "evaluations": count,
        "best_error": rise.lowest,
        "last_error": rise.tail,
        "cost_of_last": rise.height,
        "noise": rise.noise,
        "generalisation_loss_percent": rise.loss_percent,
        "share_of_improvement": rise.share_of_drop,
        "judged_by": rise.judged_by,
        "train_loss_change_share": None if train is None else train.share,
    }


def _title(rise: _Rise, step: float, direction: Direction) -> str:
    what = "loss" if rise.is_loss else "metric"
    verb = "rises" if direction is Direction.MINIMIZE else "falls"
    if rise.judged_by != "generalisation loss":
        size = f"{share(rise.share_of_drop)} of its gain"
    elif direction is Direction.MINIMIZE:
        size = f"+{share(rise.loss_percent / 100)}"
    else:
        size = f"error +{share(rise.loss_percent / 100)}"
    return f"Validation {what} {verb} after step {step_figure(step)} ({size})"


def _rise_detail(rise: _Rise) -> str:
    return (
        f"The last checkpoint is {figure(rise.height)} worse than the best one; one evaluation "
        f"varies by {figure(rise.noise, 2)}."
    )


def _detrended_deviation(steps: Floats, errors: Floats) -> float:
    line = trend(steps, errors)
    with np.errstate(all="ignore"):
        deviation = mad(errors - line.slope * steps)
    return deviation if math.isfinite(deviation) else math.inf


def oscillation_limit(
    trial_sd: float | None, runner_up_gap: float | None, drop: float, resolution: float
) -> tuple[float, str]:
    """Return the tightest known limit of a late deviation and what it is, in the metric's unit.

    Never below two steps of the metric. drop: the whole improvement.
    """
    limits: list[tuple[float, str]] = []
    if trial_sd is not None and trial_sd > 0:
        limits.append((trial_sd, "the deviation over seeds"))
    if runner_up_gap is not None and runner_up_gap > 0:
        half = thresholds.OSCILLATION_GAP_SHARE * runner_up_gap
        limits.append((half, "half the distance to the runner-up"))
    if not limits:
        limits.append((thresholds.OSCILLATION_DROP_SHARE * drop, "5 % of the improvement"))
    finest = thresholds.OSCILLATION_RESOLUTIONS * resolution
    limit = min(limits)
    return (finest, "two steps of the metric") if limit[0] < finest else limit
