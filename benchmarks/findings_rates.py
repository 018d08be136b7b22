"""The learning-rate regime on bundled problems, with labels that follow from their definition.

A rate is too small if ten times it, or four times the steps, validates better; too large if a
tenth of it does, or if no run with it has a finite score while a smaller rate trains. "Better":
in the mean over seeds, by two seed deviations. The rule sees sweeps of single runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.curves.learning_curve import Curve, Direction, to_errors
from experiments.analysis.space.learning_rate import RateTrial, Regime, learning_rate_regimes

Floats = NDArray[np.float64]
SEEDS = 8
LONG_SEEDS = 8
LONGER = 4
# Half decades from 1e-5 to 1; a factor of ten is two places.
RATES = tuple(10 ** (half / 2) for half in range(-10, 1))
DECADE = 2
DEVIATIONS = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """A bundled problem, the hyperparameters that stay, and its official metric."""

    name: str
    train: Callable[[Any], None]
    params: Mapping[str, Any]
    metric: str
    direction: Direction
    resolution: float


@dataclass(frozen=True, slots=True)
class RegimeCounts:
    """How many rates were swept, decided, and decided right."""

    problem: str
    rates: int
    decided: int
    right: int


@dataclass(slots=True)
class Recorder:
    """What a training function needs of a run: parameters, seeds, and where to log."""

    params: dict[str, Any]
    train_seed: int
    split_seed: int = 0
    rows: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    checkpoint_due: bool = False

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self.rows.setdefault(name, []).append((float(step), float(value)))

    def until_stopped(self, steps: Iterable[Any]) -> Iterable[Any]:
        return steps

    def load_checkpoint(self, *, generators: Sequence[Any] = ()) -> None:
        """Nothing to go on from: every run here begins anew."""

    def curve(self, name: str) -> Curve:
        rows = self.rows.get(name, [])
        return Curve.of([value for _, value in rows], [step for step, _ in rows])


def cases() -> list[Case]:
    from workers.problems import diabetes, digits

    resolution = 1 / digits.HELD_OUT
    settings = {
        "digits with Adam": {"optimizer": "adam", "epochs": 20},
        "digits with SGD and momentum": {"optimizer": "sgd", "momentum": 0.9, "epochs": 40},
    }
    regression = {"optimizer": "sgd", "momentum": 0.9, "epochs": 20}
    return [
        *(
            Case(name, digits.train, params, "validation_accuracy", Direction.MAXIMIZE, resolution)
            for name, params in settings.items()
        ),
        Case(
            "diabetes with SGD and momentum",
            diabetes.train,
            regression,
            "validation_rmse",
            Direction.MINIMIZE,
            0.0,
        ),
    ]


def measure() -> list[RegimeCounts]:
    return [measure_case(case) for case in cases()]


def measure_case(case: Case) -> RegimeCounts:
    runs = [[_run(case, rate, seed) for seed in range(SEEDS)] for rate in RATES]
    longer = [[_run(case, rate, seed, LONGER) for seed in range(LONG_SEEDS)] for rate in RATES]
    scores = [np.array([_best(case, run) for run in row]) for row in runs]
    long_scores = [np.array([_best(case, run) for run in row]) for row in longer]
    labels = _labels(scores, long_scores)
    best = min(range(len(RATES)), key=lambda at: float(scores[at].mean()))
    deviation = float(scores[best].std(ddof=1))
    decided = right = 0
    for seed in range(SEEDS):
        sweep = [
            RateTrial(rate, runs[at][seed].curve("train_loss"), runs[at][seed].curve(case.metric))
            for at, rate in enumerate(RATES)
        ]
        regimes = learning_rate_regimes(
            sweep, direction=case.direction, resolution=case.resolution, trial_sd=deviation
        )
        for regime, label in zip(regimes, labels, strict=True):
            decided += regime is not Regime.CANNOT_TELL
            right += _is_right(regime, *label)
    return RegimeCounts(case.name, SEEDS * len(RATES), decided, right)


def _run(case: Case, rate: float, seed: int, longer: int = 1) -> Recorder:
    params = {**case.params, "learning_rate": rate}
    run = Recorder({**params, "epochs": longer * params["epochs"]}, train_seed=seed)
    case.train(run)
    return run


def _best(case: Case, run: Recorder) -> float:
    values = run.curve(case.metric).finite().values
    return float(to_errors(values, case.direction).min()) if values.size else math.inf


def _labels(scores: Sequence[Floats], longer: Sequence[Floats]) -> list[tuple[bool, bool]]:
    """Return (too small, too large) of every rate; lower scores are better."""
    labels = []
    for at, own in enumerate(scores):
        tenfold = at + DECADE < len(scores) and _better(scores[at + DECADE], own)
        tenth = at >= DECADE and _better(scores[at - DECADE], own)
        # Nothing can be compared where no run had a finite score: it diverged from the start.
        smaller = any(bool(np.isfinite(other).all()) for other in scores[:at])
        tenth = tenth or (smaller and not bool(np.isfinite(own).any()))
        labels.append((tenfold or _better(longer[at], own), tenth))
    return labels


def _better(other: Floats, own: Floats) -> bool:
    if not np.isfinite(other).all():
        return False
    if not np.isfinite(own).all():
        return True
    deviation = math.sqrt((other.var(ddof=1) + own.var(ddof=1)) / 2)
    return bool(other.mean() < own.mean() - DEVIATIONS * deviation)


def _is_right(regime: Regime, too_small: bool, too_large: bool) -> bool:
    match regime:
        case Regime.TOO_SMALL:
            return too_small
        case Regime.TOO_LARGE:
            return too_large
        case Regime.FITS:
            return not too_small and not too_large
        case _:
            return False
