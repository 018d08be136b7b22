"""Curve rules on small trainings whose truth is looked up: what came next, and a large test set.

Still improving: long runs cut at half. Overfitting: does the test loss end above its lowest, with
and without a training loss. Data too small: by the test loss, every rate that trains overfits.
Tasks in odd places were kept apart when thresholds were chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.findings_algoperf import Counts, count, improves
from benchmarks.trained_networks import Log, Recipe, Setting, Task, task, train
from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind, smooth
from experiments.analysis.curves.progress import still_improving
from experiments.analysis.curves.trial_findings import DeclaredSeries, diagnose_trial
from experiments.analysis.curves.trial_reading import read_trial
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.experiment_findings import small_data
from experiments.analysis.space.search_trials import TrialSummary

TASKS = ("digits", "clusters", "friedman", "moons", "linear", "gaussians", "cancer", "sines")
OPTIMIZERS, SCHEDULES = ("adam", "momentum", "adamw"), ("constant", "cosine")
# Examples, epochs, batch.
SIZES = ((40, 150, 8), (80, 100, 16), (500, 40, 32))
NETWORKS = 24
# The test loss ends so far above its lowest: overfit, or clearly not; between them no label.
OVERFIT, CLEAN = 0.08, 0.03
FITTED = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """One set of networks over 24 learning rates: rates [N] and what they logged."""

    name: str
    examples: int
    held_out: bool
    problem: Task
    rates: list[float]
    logs: list[Log]


def sets() -> Iterator[Trained]:
    """Train every task at every size; the same in every run."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(TASKS):
        for examples, epochs, batch in SIZES:
            problem = task(name, 2).smaller(examples, 200)
            settings = [
                Setting(
                    10 ** rng.uniform(-4.5, 0),
                    seed,
                    rng.uniform(0, 0.4),
                    10 ** rng.uniform(-6, -3),
                )
                for seed in range(NETWORKS)
            ]
            recipe = Recipe(
                OPTIMIZERS[number % 3], SCHEDULES[number % 2], epochs, batch, hidden=48
            )
            logs = train(problem, recipe, settings)
            rates = [one.rate for one in settings]
            yield Trained(name, examples, bool(number % 2), problem, rates, logs)


def overfitting_pairs(found: Trained, *, with_train: bool) -> list[tuple[bool, bool]]:
    """Return (said, true) of each network that is labelled.

    Not labelled: between the two limits, and where training loss ever rises above its start or
    jumps: that is another problem.
    """
    pairs = []
    for log in found.logs:
        label = _label(log)
        if label is None:
            continue
        series = [_validation_loss(log, official=True)]
        if with_train:
            series.append(_train_loss(log))
        said = {diagnosis.rule: diagnosis for diagnosis in diagnose_trial(series)}
        pairs.append((said["overfitting"].fired, label))
    return pairs


def _label(log: Log) -> bool | None:
    if not (np.isfinite(log.train_loss).all() and np.isfinite(log.test_loss).all()):
        return None
    test, fitted = smooth(log.test_loss), smooth(log.train_loss)
    start = float(log.train_loss[0])
    if log.train_loss[1:].max() > start or np.diff(fitted).max() > 0.2 * start:
        return None
    rise = float(test[-3:].mean() / test.min() - 1)
    if CLEAN < rise < OVERFIT:
        return None
    turned = int(np.argmin(test))
    falls_on = log.train_loss[-5:].mean() < 1.05 * log.train_loss[max(turned - 1, 0)]
    if rise >= OVERFIT and not (falls_on and fitted.min() < FITTED * start):
        return None
    return rise >= OVERFIT


def improving_counts(found: Trained) -> Counts:
    """Cut every run at half: does the rule foresee that the score gains over 1 % more?"""
    direction = Direction.MAXIMIZE if found.problem.classes else Direction.MINIMIZE
    resolution = 1 / 200 if found.problem.classes else 0.0
    pairs = []
    for log in found.logs:
        curve = Curve.of(log.validation_score).finite()
        if len(curve) < 16:
            continue
        before = curve.until(float(curve.steps[-1]) / 2)
        label = improves(curve, len(before), direction)
        said = still_improving(
            before, kind=MetricKind.METRIC, direction=direction, resolution=resolution
        )
        if label is not None and said.status is not Status.NOT_CHECKABLE:
            pairs.append((said.fired, label))
    return count(pairs)


def says_data_too_small(found: Trained) -> bool | None:
    """Return whether the rule says so of the set; None where it cannot tell."""
    direction = Direction.MAXIMIZE if found.problem.classes else Direction.MINIMIZE
    trials = []
    for rate, log in zip(found.rates, found.logs, strict=True):
        series = [
            _train_loss(log),
            _validation_loss(log, official=False),
            DeclaredSeries(
                "validation_score", Curve.of(log.validation_score), "validation",
                MetricKind.METRIC, direction, official=True,
            ),
        ]  # fmt: skip
        read = read_trial(series, diagnose_trial(series), direction=direction, rate=rate)
        rules = {rule: Status(status) for rule, status in read.rules.items()}
        best = float(np.nanmin(log.validation_loss))
        trials.append(TrialSummary(0, best, read.finite, rules=rules, fit=read.fit, rate=rate))
    said = small_data(trials, regulariser_swept=True)
    return None if said.status is Status.NOT_CHECKABLE else said.fired


def _train_loss(log: Log) -> DeclaredSeries:
    steps = np.arange(1, log.train_loss.size + 1)
    return DeclaredSeries("train_loss", Curve.of(log.train_loss, steps), "train", MetricKind.LOSS)


def _validation_loss(log: Log, *, official: bool) -> DeclaredSeries:
    curve = Curve.of(log.validation_loss)
    return DeclaredSeries(
        "validation_loss", curve, "validation", MetricKind.LOSS, official=official
    )
