"""Summary of one trial for rules across trials, kept as plain JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind, smooth
from experiments.analysis.curves.progress import improvement_share
from experiments.analysis.curves.trial_findings import DeclaredSeries
from experiments.analysis.diagnosis import Diagnosis, Status
from experiments.analysis.space.feasibility import infeasible_trial
from experiments.analysis.space.learning_rate import RateReading, RateTrial, read_rate_trial
from experiments.analysis.space.steps import perfect_fit_step

VERSION = 2
# Among the statuses of the rules: what overfitting says of the loss, whatever the metric does.
LOSS_OVERFITTING = "loss_overfitting"


@dataclass(frozen=True, slots=True)
class TrialReading:
    """One finished trial as rules across trials see it.

    rules: status of each rule on it. trained: its training loss is finite and ends below its
    start. best_step_share: when in its run it was best. fit: lowest training loss as a share of
    where it began; fit_step: first step of a perfect fit, nan if there was none. last_step: the
    last one logged. throughput: median of logged examples per second, nan if not logged.
    late_deviation, improvement: see `curves.late_oscillation`; resolution: of the official
    metric.
    """

    rules: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True
    finite: bool = True
    early_divergence: bool = False
    best_step_share: float = math.nan
    fit: float = math.nan
    fit_step: float = math.nan
    last_step: float = math.nan
    throughput: float = math.nan
    late_deviation: float = math.nan
    improvement: float = math.nan
    resolution: float = 0.0
    rate: RateReading | None = None

    def document(self) -> str:
        """The reading as JSON text; non-finite numbers as Python writes them."""
        return json.dumps({"version": VERSION, **asdict(self)}, separators=(",", ":"))


def from_document(text: str) -> TrialReading | None:
    """Read what `TrialReading.document` wrote; None for one of an unknown version.

    A first version tells nothing of the rate that is still asked for.
    """
    found: dict[str, Any] = json.loads(text)
    version, rate = found.pop("version", None), found.pop("rate", None)
    if version not in (1, VERSION):
        return None
    if version == 1:
        rate, found["finite"] = None, found.get("trained", True)
    if rate is not None:
        rate = RateReading(**{**rate, "place": tuple(rate["place"])})
    return TrialReading(**found, rate=rate)


def read_trial(
    series: Sequence[DeclaredSeries],
    diagnoses: Iterable[Diagnosis],
    *,
    direction: Direction,
    rate: float = math.nan,
    others: str = "",
    pruned: bool = False,
) -> TrialReading:
    """Return the reading of a finished trial.

    rate: its learning rate, nan if it has none; others: a key of its other hyperparameters.
    """
    train = _curve(series, "train", MetricKind.LOSS)
    official = next((metric for metric in series if metric.official), None)
    found = list(diagnoses)
    reading = None
    if train is not None and official is not None and rate > 0:
        reading = read_rate_trial(
            RateTrial(rate, train, official.curve, others, pruned),
            direction=direction,
            resolution=official.resolution,
        )
    return TrialReading(
        rules={
            diagnosis.rule: str(diagnosis.status) for diagnosis in found if not diagnosis.subject
        }
        | {LOSS_OVERFITTING: str(_of_loss(found))},
        trained=train is None or not infeasible_trial(train),
        finite=train is None or bool(np.isfinite(train.values).all()),
        early_divergence=any(
            diagnosis.fired
            and diagnosis.rule == "divergence"
            and diagnosis.evidence.get("when") == "early"
            for diagnosis in found
        ),
        best_step_share=math.nan
        if official is None
        else improvement_share(official.curve, direction),
        fit=_fit(train),
        fit_step=_or_nan(None if train is None else perfect_fit_step(train)),
        last_step=max(
            (float(s.curve.steps.max()) for s in series if len(s.curve)), default=math.nan
        ),
        throughput=_throughput(series),
        late_deviation=_seen(found, "late_oscillation", "deviation"),
        improvement=_seen(found, "late_oscillation", "improvement"),
        resolution=0.0 if official is None else official.resolution,
        rate=reading,
    )


def _of_loss(diagnoses: Sequence[Diagnosis]) -> Status:
    """Overfitting of the validation loss; of the metric where no loss is known.

    Not checkable where training fell apart: a loss that rises then tells nothing of the data.
    """
    by_rule = {diagnosis.rule: diagnosis for diagnosis in diagnoses if not diagnosis.subject}
    of_metric, own = by_rule.get("loss_metric_divergence"), by_rule.get("overfitting")
    if of_metric is not None and "loss_rises" in of_metric.evidence:
        fired, evidence = bool(of_metric.evidence["loss_rises"]), of_metric.evidence
    elif own is not None and own.status is not Status.NOT_CHECKABLE:
        fired, evidence = own.fired, own.evidence
    else:
        return Status.NOT_CHECKABLE
    if "other_cause" in evidence:
        return Status.NOT_CHECKABLE
    return Status.FIRED if fired else Status.PASSED


def _curve(series: Sequence[DeclaredSeries], split: str, kind: MetricKind) -> Curve | None:
    found = (metric.curve for metric in series if metric.split == split and metric.kind is kind)
    return next((curve for curve in found if len(curve)), None)


def _fit(train: Curve | None) -> float:
    """Return the lowest smoothed training loss as a share of its first value."""
    curve = None if train is None else train.in_step_order().finite()
    if curve is None or not len(curve) or not curve.values[0] > 0:
        return math.nan
    with np.errstate(all="ignore"):
        return max(0.0, float(smooth(curve.values).min() / curve.values[0]))


def _throughput(series: Sequence[DeclaredSeries]) -> float:
    for metric in series:
        if metric.name in ("examples_per_second", "throughput"):
            values = metric.curve.finite().values
            return float(np.median(values)) if values.size else math.nan
    return math.nan


def _seen(diagnoses: Iterable[Diagnosis], rule: str, key: str) -> float:
    """Return a number that a rule saw, nan if it saw none."""
    values = (diagnosis.evidence.get(key) for diagnosis in diagnoses if diagnosis.rule == rule)
    return next((float(value) for value in values if isinstance(value, int | float)), math.nan)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
