"""Evaluation schedule of a run: regular steps, fine enough, without a hidden period.

Source: Tuning Playbook, "Setting up periodic evaluations"; the tests are ours.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Curve, Floats, mad, smooth
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, share

PERIODIC_VALIDATION = Rule(
    name="periodic_validation",
    version=1,
    severity=Severity.WARNING,
    question="Does the validation metric repeat itself with a period?",
    passed_title="The validation metric shows no period",
    meaning=(
        "Training and validation data may overlap, or the training data are not shuffled well."
    ),
    advice="Check how the data are split and shuffled, and whether the period is an epoch.",
    section="Tuning Playbook, 'Setting up periodic evaluations'",
    action="show_curve",
)

REGULAR_EVALUATIONS = Rule(
    name="regular_evaluations",
    version=1,
    severity=Severity.NOTICE,
    question="Are evaluations made at regular steps?",
    passed_title="Evaluations come at regular steps",
    meaning="Evaluations at regular times differ from run to run, so best checkpoints do too.",
    advice="Evaluate every so many training steps.",
    section="Tuning Playbook, 'Setting up periodic evaluations'",
)

FINE_ENOUGH = Rule(
    name="one_example",
    version=1,
    severity=Severity.NOTICE,
    question="Is the difference larger than one validation example?",
    passed_title="The difference is larger than one validation example",
    meaning="The metric cannot show a smaller difference than one example.",
    advice="Use more validation data before believing such a difference.",
    section="Tuning Playbook, 'Setting up periodic evaluations'",
)

EARLY_INSTABILITY_SEEN = Rule(
    name="early_instability_unseen",
    version=2,
    severity=Severity.NOTICE,
    question="Would an instability in the first steps be seen?",
    passed_title="Evaluations are dense enough in the first steps",
    meaning="Training diverged early, between evaluations too far apart to show how.",
    advice=(
        "Run about 500 steps at twice the best learning rate and evaluate at every step, or log "
        "the gradient norm."
    ),
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
)


def periodic_validation(validation: Curve) -> Diagnosis:
    """Tell whether the detrended validation curve repeats itself.

    Its autocorrelation peaks above 0.5 at a lag of two evaluations or more, after a dip of a
    half, above the 99 % band of white noise, with at least four repeats. Needs 64 evaluations.
    """
    curve = validation.in_step_order().finite()
    count = len(curve)
    if count < thresholds.PERIOD_MIN_EVALUATIONS:
        return PERIODIC_VALIDATION.cannot_tell(
            f"{count} finite evaluations; the rule needs {thresholds.PERIOD_MIN_EVALUATIONS}.",
            {"evaluations": count, "needed": thresholds.PERIOD_MIN_EVALUATIONS},
        )
    lag, correlation, dip = _strongest_period(_without_trend(curve.values))
    band = 2.576 / math.sqrt(count)
    evidence = {
        "evaluations": count,
        "lag": lag,
        "correlation": correlation,
        "dip_before": dip,
        "band": band,
        "steps": lag * float(np.median(np.diff(curve.steps))) if lag else None,
    }
    strong = correlation > max(thresholds.PERIOD_CORRELATION, band)
    detail = f"Its autocorrelation peaks at {figure(correlation, 2)}, {lag} evaluations apart."
    if lag and strong and correlation - dip > thresholds.PERIOD_DIP:
        return PERIODIC_VALIDATION.fires(
            f"The validation metric repeats itself every {lag} evaluations", detail, evidence
        )
    return PERIODIC_VALIDATION.passes(detail if lag else "No peak at all.", evidence)


def regular_evaluations(validation: Curve) -> Diagnosis:
    """Tell whether the distances between evaluated steps vary by more than a fifth."""
    steps = np.unique(validation.steps)
    if steps.size < thresholds.MIN_EVALUATIONS:
        return REGULAR_EVALUATIONS.cannot_tell(
            f"{steps.size} evaluations; the rule needs {thresholds.MIN_EVALUATIONS}.",
            {"evaluations": int(steps.size), "needed": thresholds.MIN_EVALUATIONS},
        )
    # The first evaluation (step 0 or 1) and the last (the end of training) may be off the beat.
    gaps = np.diff(steps)[1:-1]
    variation = float(gaps.std() / gaps.mean())
    evidence = {
        "evaluations": int(steps.size),
        "median_distance": float(np.median(gaps)),
        "variation": variation,
    }
    detail = f"The distance between evaluations varies by {share(variation)} of its mean."
    if variation > thresholds.INTERVAL_VARIATION:
        return REGULAR_EVALUATIONS.fires("Evaluations come at irregular steps", detail, evidence)
    return REGULAR_EVALUATIONS.passes(detail, evidence)


def one_example(difference: float, resolution: float) -> Diagnosis:
    """Tell whether a difference of two metric values is below the metric's resolution > 0.

    The resolution of a share of n examples is 1 / n; of a rare class, one over its examples.
    """
    if not resolution > 0 or not math.isfinite(difference):
        return FINE_ENOUGH.cannot_tell("The metric's resolution was not declared.")
    examples = abs(difference) / resolution
    evidence = {"difference": difference, "resolution": resolution, "examples": examples}
    detail = f"{figure(abs(difference))} is {figure(examples, 2)} validation examples."
    if examples < 1:
        return FINE_ENOUGH.fires(
            "The difference is smaller than one validation example", detail, evidence
        )
    return FINE_ENOUGH.passes(detail, evidence)


def early_instability_unseen(
    validation: Curve,
    *,
    diverged_early: bool,
    gradient_norms_logged: bool,
    planned_steps: float | None = None,
) -> Diagnosis:
    """Tell whether an early divergence began before an evaluation could show it.

    That is, whether the first evaluation after the start comes later than 1 % of the steps. Most
    runs are evaluated once an epoch: without a divergence nothing is missed. Logged gradient
    norms would show the instability anyway.
    """
    steps = np.unique(validation.steps[validation.steps > 0])
    if steps.size < 2:
        return EARLY_INSTABILITY_SEEN.cannot_tell("Fewer than two evaluations.")
    total = max(float(steps[-1]), planned_steps or 0.0)
    first = float(steps[0]) / total
    evidence = {
        "first_step": float(steps[0]),
        "share": first,
        "gradient_norms_logged": gradient_norms_logged,
        "diverged_early": diverged_early,
    }
    detail = f"The first evaluation comes after {share(first)} of the steps."
    hidden = first > thresholds.FIRST_EVALUATION_SHARE and not gradient_norms_logged
    if diverged_early and hidden:
        return EARLY_INSTABILITY_SEEN.fires(
            "Too few evaluations in the first steps to see instability", detail, evidence
        )
    return EARLY_INSTABILITY_SEEN.passes(detail, evidence)


def _without_trend(values: Floats) -> Floats:
    """Return the residuals around a wide rolling median, outliers drawn in."""
    half = values.size // (2 * thresholds.PERIOD_MIN_REPEATS)
    with np.errstate(all="ignore"):
        # Mirrored through the end points, so that a descent is continued, not turned.
        longer = np.pad(values, half, mode="reflect", reflect_type="odd")
        residual = values - smooth(longer, 2 * half + 1)[half:-half]
        scale = thresholds.PERIOD_OUTLIER * mad(residual)
        drawn_in: Floats = np.clip(residual, -scale, scale) if scale > 0 else residual
        centred: Floats = np.nan_to_num(drawn_in - drawn_in.mean())
        return centred


def _strongest_period(residual: Floats) -> tuple[int, float, float]:
    """Return the lag of the strongest repeat, its correlation and the lowest one before it."""
    count = residual.size
    scale = float(np.abs(residual).max())
    if not scale > 0:
        return 0, 0.0, 0.0
    spectrum = fft.rfft(residual / scale, 2 * count)
    correlation = fft.irfft(np.abs(spectrum) ** 2)[:count]
    # Unbiased: each lag by the number of products in it.
    correlation = correlation / correlation[0] * count / (count - np.arange(count))
    last = count // thresholds.PERIOD_MIN_REPEATS
    lags = np.arange(2, last)
    peak = (correlation[lags] >= correlation[lags - 1]) & (
        correlation[lags] > correlation[lags + 1]
    )
    if not bool(peak.any()):
        return 0, 0.0, 0.0
    candidates = lags[peak]
    lag = int(candidates[np.argmax(correlation[candidates])])
    return lag, float(correlation[lag]), float(correlation[1:lag].min())
