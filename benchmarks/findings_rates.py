"""The learning-rate regime on small trainings, with labels that follow from their definition.

A rate is too small if ten times it, or four times the steps, validates better; too large if a
tenth of it does, or if no run with it has a finite score. "Better": in the mean over seeds, by
two seed deviations. Sweeps vary the rate alone, searches dropout and weight decay with it; tasks,
optimisers and schedules of the two halves differ, and thresholds were chosen on the first alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from benchmarks.trained_networks import Log, Recipe, Setting, Task, task, train
from experiments.analysis.curves.learning_curve import Curve, Direction
from experiments.analysis.space.learning_rate import (
    RateReading,
    RateTrial,
    Regime,
    learning_rate_regimes,
    read_rate_trial,
)

Floats = NDArray[np.float64]
SEEDS = 6
SEARCH_SEEDS = 4
LONGER = 4
TRIALS = 24
# Half decades from 1e-5 to 1; a factor of ten is two places.
RATES = tuple(10 ** (half / 2) for half in range(-10, 1))
DECADE = 2
DEVIATIONS = 2.0
# task, optimiser, schedule: those in even places were chosen on, the others kept apart.
SWEEPS = (
    ("digits", "adam", "cosine"),
    ("clusters", "sgd", "constant"),
    ("friedman", "adamw", "linear"),
    ("linear", "rmsprop", "constant"),
    ("sines", "momentum", "cosine"),
    ("cancer", "adam", "step"),
    ("diabetes", "rmsprop", "warmup_cosine"),
    ("gaussians", "nesterov", "linear"),
    ("moons", "adam", "constant"),
    ("digits", "adagrad", "constant"),
    ("wine", "momentum", "constant"),
    ("friedman", "sgd", "step"),
    ("clusters", "adamw", "warmup_cosine"),
    ("diabetes", "adam", "cosine"),
)
SEARCHES = (
    ("digits", "adam", "cosine"),
    ("friedman", "momentum", "constant"),
    ("clusters", "rmsprop", "linear"),
    ("diabetes", "adamw", "constant"),
    ("linear", "sgd", "cosine"),
    ("sines", "adam", "step"),
    ("gaussians", "adam", "warmup_cosine"),
    ("cancer", "momentum", "linear"),
)


@dataclass(frozen=True, slots=True)
class RegimeCounts:
    """How many rates were judged, decided, and decided right."""

    rates: int = 0
    decided: int = 0
    right: int = 0

    def __add__(self, other: RegimeCounts) -> RegimeCounts:
        return RegimeCounts(
            self.rates + other.rates, self.decided + other.decided, self.right + other.right
        )


def sweep(number: int) -> RegimeCounts:
    """Judge one sweep: eleven rates, six seeds; each seed is a study of its own."""
    name, optimizer, schedule = SWEEPS[number]
    problem = _seen(task(name))
    settings = [Setting(rate, seed) for rate in RATES for seed in range(SEEDS)]
    recipe = Recipe(optimizer, schedule, epochs=20, hidden=32)
    runs = _rows(train(problem, recipe, settings), SEEDS)
    longer = _rows(train(problem, replace(recipe, epochs=LONGER * recipe.epochs), settings), SEEDS)
    scores = [_scores(problem, row) for row in runs]
    labels = _labels(scores, [_scores(problem, row) for row in longer])
    return _judge(problem, RATES, runs, scores, labels, [()] * len(RATES))


def search(number: int) -> RegimeCounts:
    """Judge one search: 24 Halton points over rate, dropout and weight decay, four seeds."""
    name, optimizer, schedule = SEARCHES[number]
    problem = _seen(task(name, 1))
    points = qmc.Halton(3, scramble=True, rng=np.random.default_rng(number)).random(TRIALS)
    settings = [
        Setting(factor * 10 ** (-5 + 5 * at[0]), seed, 0.6 * at[1], 10 ** (-6 + 5 * at[2]))
        for factor in (1.0, 10.0, 0.1)
        for at in points
        for seed in range(SEARCH_SEEDS)
    ]
    recipe = Recipe(optimizer, schedule, epochs=20, hidden=32)
    rows = _rows(train(problem, recipe, settings), SEARCH_SEEDS)
    same = settings[: TRIALS * SEARCH_SEEDS]
    longer = _rows(
        train(problem, replace(recipe, epochs=LONGER * recipe.epochs), same), SEARCH_SEEDS
    )
    own, tenfold, tenth = (
        [_scores(problem, row) for row in rows[part * TRIALS : (part + 1) * TRIALS]]
        for part in range(3)
    )
    more = [_scores(problem, row) for row in longer]
    labels = [
        (
            _better(tenfold[at], own[at]) or _better(more[at], own[at]),
            _better(tenth[at], own[at]) or not bool(np.isfinite(own[at]).any()),
        )
        for at in range(TRIALS)
    ]
    rates = [10 ** (-5 + 5 * at[0]) for at in points]
    places = [(float(at[1]), float(at[2])) for at in points]
    return _judge(problem, rates, rows[:TRIALS], own, labels, places)


def _seen(whole: Task) -> Task:
    """Return the task with 400 examples, 200 to validate; the test set is of no use here."""
    small = whole.smaller(400, 200)
    return replace(small, test=(small.test[0][:10], small.test[1][:10]))


def _rows(logs: Sequence[Log], seeds: int) -> list[list[Log]]:
    return [list(logs[at : at + seeds]) for at in range(0, len(logs), seeds)]


def _scores(problem: Task, row: Sequence[Log]) -> Floats:
    """Return the best validation error of each run, inf where none is finite."""
    found = []
    for log in row:
        values = log.validation_score[np.isfinite(log.validation_score)]
        best = -values.max() if problem.classes and values.size else math.inf
        found.append(values.min() if not problem.classes and values.size else best)
    return np.array(found)


def _judge(
    problem: Task,
    rates: Sequence[float],
    runs: Sequence[Sequence[Log]],
    scores: Sequence[Floats],
    labels: Sequence[tuple[bool, bool]],
    places: Sequence[tuple[float, ...]],
) -> RegimeCounts:
    """Judge the study of each seed, with the deviation over seeds known."""
    best = min(range(len(rates)), key=lambda at: float(scores[at].mean()))
    deviation = float(scores[best].std(ddof=1))
    direction = Direction.MAXIMIZE if problem.classes else Direction.MINIMIZE
    resolution = 1 / len(problem.validation[1]) if problem.classes else 0.0
    total = RegimeCounts()
    for seed in range(len(runs[0])):
        reads = [
            _read(rate, row[seed], place, direction, resolution)
            for rate, row, place in zip(rates, runs, places, strict=True)
        ]
        regimes = learning_rate_regimes(
            reads, direction=direction, resolution=resolution, trial_sd=deviation
        )
        total += RegimeCounts(
            rates=len(reads),
            decided=sum(regime is not Regime.CANNOT_TELL for regime in regimes),
            right=sum(_is_right(r, *label) for r, label in zip(regimes, labels, strict=True)),
        )
    return total


def _read(
    rate: float, log: Log, place: tuple[float, ...], direction: Direction, resolution: float
) -> RateReading:
    loss = Curve.of(log.train_loss, np.arange(1, log.train_loss.size + 1))
    trial = RateTrial(rate, loss, Curve.of(log.validation_score))
    return replace(read_rate_trial(trial, direction=direction, resolution=resolution), place=place)


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
