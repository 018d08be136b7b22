"""Validation loss rises while the metric gains: judge by the metric.

Source: known practice (F1 goes on rising while the log-likelihood turns), not in the playbook.
"""

from __future__ import annotations

from experiments.analysis import thresholds
from experiments.analysis.curves.curves import overfitting
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    MetricKind,
    at,
    smooth,
    step_noise,
    tail,
    to_errors,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, Status, figure, step_figure

LOSS_METRIC_DIVERGENCE = Rule(
    name="loss_metric_divergence",
    version=3,
    severity=Severity.NOTICE,
    question="Do validation loss and metric agree?",
    passed_title="Validation loss and metric agree",
    meaning=(
        "The model overfits by its loss: it grows overconfident on what it gets wrong, yet gets "
        "hardly less right by the metric that counts."
    ),
    advice="Choose checkpoints by the metric; calibrate if probabilities are used.",
    section="Tuning Playbook, 'Saving checkpoints' (validation metric decides)",
    action="show_curve",
)


def loss_metric_divergence(
    validation_loss: Curve,
    validation_metric: Curve,
    train_loss: Curve | None = None,
    *,
    direction: Direction,
    resolution: float = 0.0,
) -> Diagnosis:
    """Tell whether validation loss rises (as in overfitting) while the metric does not worsen.

    "Does not worsen": since the step at which loss turned, the smoothed metric is not worse than
    by three deviations of its noise, from which on `overfitting` speaks of it.
    """
    loss = overfitting(validation_loss, train_loss, kind=MetricKind.LOSS)
    metric = validation_metric.in_step_order().finite()
    if loss.status is Status.NOT_CHECKABLE or len(metric) < thresholds.MIN_EVALUATIONS:
        return LOSS_METRIC_DIVERGENCE.cannot_tell(
            f"The rule needs {thresholds.MIN_EVALUATIONS} evaluations of loss and metric.",
            {"metric_evaluations": len(metric), "needed": thresholds.MIN_EVALUATIONS},
        )
    if not loss.fired:
        return LOSS_METRIC_DIVERGENCE.passes(
            "Validation loss does not rise.", {"loss_rises": False, **loss.evidence}
        )
    onset = float(str(loss.evidence["onset_step"]))
    errors = to_errors(metric.values, direction)
    gain = at(Curve(metric.steps, smooth(errors)), onset) - tail(errors)
    noise = step_noise(errors, resolution)
    evidence = {
        "loss_rises": True,
        **loss.evidence,
        "metric_gain_since_onset": gain,
        "metric_noise": noise,
    }
    detail = (
        f"Loss rose by {figure(float(str(loss.evidence['cost_of_last'])))} while the metric "
        f"{'gained' if gain > 0 else 'lost'} {figure(abs(gain))}."
    )
    if gain > -thresholds.RISE_NOISE_FACTOR * noise:
        title = f"Validation loss rises after step {step_figure(onset)}"
        return LOSS_METRIC_DIVERGENCE.fires(
            f"{title}, the metric holds" if gain > -noise else title, detail, evidence
        )
    return LOSS_METRIC_DIVERGENCE.passes(
        "Loss and metric both get worse: that is overfitting.", evidence
    )
