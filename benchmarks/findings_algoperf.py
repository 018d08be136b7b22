"""Curve rules on AlgoPerf's published training logs: labels that need no human.

Data: mlcommons/submissions_algorithms, Apache-2.0: `algoperf/trials.csv.gz`, `eval_curves.csv.gz`
and `step_grad_loss.csv.gz`. Each run has train, validation and test values of a loss and of the
workload's metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.analysis.curves.curves import late_oscillation, overfitting
from experiments.analysis.curves.gradients import gradient_spikes
from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind, to_errors
from experiments.analysis.curves.progress import progress, still_improving
from experiments.analysis.curves.stability import divergence, train_loss_rising
from experiments.analysis.diagnosis import Diagnosis, Status

Floats = NDArray[np.float64]
FALLING = {"loss", "wer", "ctc_loss"}
# What a run may do and still count as healthy: end below its first loss, and never rise above
# its best by more than this share of its drop.
HEALTHY_RISE = 0.2
CUT = 0.5
# "Improves": by more than this share of the drop so far.
GAIN = 0.01


@dataclass(frozen=True, slots=True)
class Run:
    """One run: official validation metric, the test metric and both losses, by step."""

    name: str
    workload: str
    kind: MetricKind
    direction: Direction
    resolution: float
    validation: Curve
    test: Curve
    train_loss: Curve
    validation_loss: Curve


@dataclass(frozen=True, slots=True)
class Counts:
    """Predictions against labels."""

    hits: int
    false_alarms: int
    misses: int
    quiet: int

    @property
    def precision(self) -> float:
        return self.hits / max(self.hits + self.false_alarms, 1)

    @property
    def recall(self) -> float:
        return self.hits / max(self.hits + self.misses, 1)

    @property
    def f1(self) -> float:
        return 2 * self.hits / max(2 * self.hits + self.false_alarms + self.misses, 1)


def count(pairs: Sequence[tuple[bool, bool]]) -> Counts:
    """Count pairs of (predicted, label)."""
    tally = Counter((bool(predicted), bool(label)) for predicted, label in pairs)
    return Counts(tally[True, True], tally[True, False], tally[False, True], tally[False, False])


def read_runs(folder: Path) -> list[Run]:
    """Read every run that has a metric on the validation set."""
    trials = pd.read_csv(folder / "algoperf" / "trials.csv.gz").set_index("run_id")
    rows = pd.read_csv(folder / "algoperf" / "eval_curves.csv.gz")
    rows = rows[np.isfinite(rows["global_step"])]
    known = trials.dropna(subset=["target_metric_name"])
    metric_of = dict(zip(known["workload"], known["target_metric_name"], strict=True))
    examples = trials["num_validation_examples"].to_dict()
    runs = []
    for name, group in rows.groupby("run_id", sort=False):
        workload = str(name).split("/")[-2]
        metric = metric_of.get(workload) or _metric_logged(group)
        if f"validation/{metric}" in group:
            runs.append(_run(str(name), workload, metric, group, examples.get(name, np.nan)))
    return runs


def _metric_logged(group: pd.DataFrame) -> str:
    columns = [column for column in group if column.startswith("validation/")]
    logged = [c for c in columns if not c.endswith("/loss") and group[c].notna().any()]
    return str((logged or ["validation/loss"])[0]).removeprefix("validation/")


def _run(name: str, workload: str, metric: str, group: pd.DataFrame, examples: float) -> Run:
    steps = group["global_step"].to_numpy(np.float64)

    def curve(column: str) -> Curve:
        return Curve(steps, group[column].to_numpy(np.float64)).in_step_order()

    counted = metric == "accuracy" and np.isfinite(examples) and examples > 0
    return Run(
        name=name,
        workload=workload,
        kind=MetricKind.LOSS if metric == "loss" else MetricKind.METRIC,
        direction=Direction.MINIMIZE if metric in FALLING else Direction.MAXIMIZE,
        resolution=1 / examples if counted else 0.0,
        validation=curve(f"validation/{metric}"),
        test=curve(f"test/{metric}"),
        train_loss=curve("train/loss"),
        validation_loss=curve("validation/loss"),
    )


def judge_overfitting(run: Run) -> Diagnosis:
    return overfitting(
        run.validation,
        run.train_loss,
        kind=run.kind,
        direction=run.direction,
        resolution=run.resolution,
    )


def raw_generalisation_loss(run: Run) -> float | None:
    """Prechelt's GL5 as published, on raw values: the onset's step if it fires."""
    curve = run.validation.finite()
    if len(curve) < 8:
        return None
    bounded = bool(curve.values.min() >= 0 and curve.values.max() <= 1)
    errors = to_errors(curve.values, run.direction, bounded=bounded)
    best = int(np.argmin(errors))
    fires = errors[best] > 0 and errors[-1] / errors[best] > 1.05
    return float(curve.steps[best]) if fires else None


def one_epoch_rule(run: Run) -> float | None:
    """UMLAUT's rule: validation up and training not up in one step; the step if it fires."""
    validation, train = run.validation_loss.values, run.train_loss.values
    fires = np.flatnonzero((np.diff(validation) > 0) & (np.diff(train) <= 0))
    return float(run.validation_loss.steps[fires[0]]) if fires.size else None


def test_no_worse(run: Run, onset: float) -> bool:
    """Whether the test metric at the end is no worse than at the onset."""
    errors = to_errors(run.test.values, run.direction)
    start = int(np.searchsorted(run.test.steps, onset))
    return not errors[-1] > errors[start]


# Pytest would take it for a test where this module is imported.
test_no_worse.__test__ = False  # type: ignore[attr-defined]


def false_overfitting(
    runs: Sequence[Run], onset_of: Callable[[Run], float | None]
) -> tuple[int, int]:
    """Return the number of alarms, and of those after which the test metric got no worse."""
    alarms = [(run, onset_of(run)) for run in runs]
    fired = [(run, onset) for run, onset in alarms if onset is not None]
    return len(fired), sum(test_no_worse(run, onset) for run, onset in fired)


def our_onset(run: Run) -> float | None:
    found = judge_overfitting(run)
    return float(str(found.evidence["onset_step"])) if found.fired else None


def improving_counts(
    runs: Sequence[Run], rule: Callable[[Run, Curve], Diagnosis]
) -> tuple[Counts, int]:
    """Cut every run at half of its steps: does the rule foresee what came after?

    Label: the best value after the cut beats the best before it by over 1 % of the drop so far.
    Also returns how many runs could be labelled.
    """
    pairs = []
    for run in runs:
        curve = run.validation.finite()
        if not len(curve):
            continue
        middle = curve.steps[0] + CUT * (curve.steps[-1] - curve.steps[0])
        before = curve.until(float(middle))
        label = improves(curve, len(before), run.direction)
        found = rule(run, before)
        if label is not None and found.status is not Status.NOT_CHECKABLE:
            pairs.append((found.fired, label))
    return count(pairs), len(pairs)


def improves(curve: Curve, cut: int, direction: Direction) -> bool | None:
    """Return whether the best after the cut beats that before by 1 % of the drop so far."""
    errors = to_errors(curve.values, direction)
    before, after = errors[:cut], errors[cut:]
    if before.size < 8 or not after.size:
        return None
    drop = float(before[0] - before.min())
    return float(before.min() - after.min()) > GAIN * drop if drop > 0 else None


def judge_improving(run: Run, curve: Curve) -> Diagnosis:
    return still_improving(
        curve, kind=run.kind, direction=run.direction, resolution=run.resolution
    )


@dataclass(frozen=True, slots=True)
class DivergenceCounts:
    """Runs with a value that is no number, how many were caught; healthy runs, how many fired."""

    non_finite: int
    caught: int
    healthy: int
    false_alarms: int


def divergence_counts(runs: Sequence[Run]) -> DivergenceCounts:
    """Judge the validation and training loss of every run; a run fires if either does."""
    non_finite = caught = healthy = alarms = 0
    for run in runs:
        curves = (run.validation_loss, run.train_loss)
        fired = any(divergence(curve).fired for curve in curves)
        broken = any(not np.isfinite(curve.values).all() for curve in curves)
        non_finite += broken
        caught += broken and fired
        if not broken and _is_healthy(run.validation_loss.values):
            healthy += 1
            alarms += fired
    return DivergenceCounts(non_finite, caught, healthy, alarms)


def _is_healthy(losses: Floats) -> bool:
    if losses.size < 2 or not losses[-1] < losses[0]:
        return False
    best = int(np.argmin(losses))
    rise = float(losses[best:].max() - losses[best])
    return rise <= HEALTHY_RISE * float(losses[0] - losses[best])


def fired_shares(runs: Sequence[Run]) -> dict[str, tuple[int, int]]:
    """Return how often each other curve rule fired, and on how many runs it could tell."""
    tally: dict[str, list[Diagnosis]] = {}
    for run in runs:
        about = {
            "kind": run.kind,
            "direction": run.direction,
            "resolution": run.resolution,
        }
        improving, settled = progress(run.validation, **about)  # type: ignore[arg-type]
        for found in (
            improving,
            settled,
            late_oscillation(run.validation, **about),  # type: ignore[arg-type]
            train_loss_rising(run.train_loss),
        ):
            if found.status is not Status.NOT_CHECKABLE:
                tally.setdefault(found.rule, []).append(found)
    return {rule: (sum(d.fired for d in found), len(found)) for rule, found in tally.items()}


def spike_share(folder: Path) -> tuple[int, int] | None:
    """Return on how many runs gradient spikes fired, and how many had enough norms."""
    path = folder / "algoperf" / "step_grad_loss.csv.gz"
    if not path.exists():
        return None
    rows = pd.read_csv(path, usecols=["run_id", "global_step", "grad_norm"]).dropna()
    found = [
        gradient_spikes(
            Curve(group["global_step"].to_numpy(float), group["grad_norm"].to_numpy(float))
        )
        for _, group in rows.groupby("run_id", sort=False)
    ]
    told = [diagnosis for diagnosis in found if diagnosis.status is not Status.NOT_CHECKABLE]
    return sum(diagnosis.fired for diagnosis in told), len(told)
