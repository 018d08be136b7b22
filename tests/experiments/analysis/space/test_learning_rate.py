from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from experiments.analysis.curves.learning_curve import Curve, Direction
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.learning_rate import (
    RateReading,
    RateTrial,
    Regime,
    learning_rate_regime,
    learning_rate_regimes,
)

RATES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
STEPS = np.arange(100)


def trial(rate: float, *, pruned: bool = False, others: str = "") -> RateTrial:
    """Gradient descent on a quadratic whose stable rates end at 0.5, with a floor of noise."""
    noise = np.random.default_rng(int(1e6 * rate)).normal(0, 0.002, 100)
    speed = min(rate * 20, 3)
    loss = 2 * np.exp(-STEPS * speed / 10) + 0.1 if rate < 0.5 else np.full(100, 2.0) + STEPS / 50
    penalty = 0.2 * (rate > 0.05)
    return RateTrial(
        rate, Curve.of(loss + noise), Curve.of(loss + penalty + noise), others, pruned
    )


def test_a_sweep_is_told_from_too_small_to_too_large() -> None:
    regimes = learning_rate_regimes([trial(rate) for rate in RATES], trial_sd=0.02)
    # At the lowest rate not even ten times as much trains.
    assert regimes[0] in (Regime.TOO_SMALL, Regime.CANNOT_TELL)
    assert regimes[1] is Regime.TOO_SMALL
    assert regimes[-1] is Regime.TOO_LARGE


def test_a_settled_rate_with_worse_neighbours_on_both_sides_fits() -> None:
    finished = np.r_[np.geomspace(2, 0.1, 20), np.full(80, 0.1)]
    worse = finished + 0.5 * np.linspace(0, 1, 100).clip(max=0.1)
    trials = [
        RateTrial(1e-3, Curve.of(worse), Curve.of(worse)),
        RateTrial(1e-2, Curve.of(finished), Curve.of(finished)),
        RateTrial(1e-1, Curve.of(worse), Curve.of(worse)),
    ]
    assert learning_rate_regimes(trials, trial_sd=0.001)[1] is Regime.FITS


def searched(count: int = 36) -> list[RateReading]:
    """A search over rate and dropout: best at 1e-2, half a decade lower without dropout."""
    points = qmc.Halton(2, scramble=True, rng=np.random.default_rng(0)).random(count)
    rng = np.random.default_rng(1)
    found = []
    for decade, dropout in zip(-5 + 5 * points[:, 0], points[:, 1], strict=True):
        away = abs(decade + 2.5 + 0.5 * dropout)
        error = min(1.0, 0.25 * max(away - 0.5, 0) ** 2 + 0.05 * dropout)
        best = error + rng.normal(0, 0.005)
        found.append(
            RateReading(10.0**decade, False, 1.0, best, 0.0, 0.005, place=(float(dropout),))
        )
    return found


def test_a_search_over_several_hyperparameters_is_told_without_twins() -> None:
    reads = searched()
    regimes = learning_rate_regimes(reads, trial_sd=0.005)
    told = sum(read is not Regime.CANNOT_TELL for read in regimes)
    assert told >= len(reads) / 2
    for read, regime in zip(reads, regimes, strict=True):
        if regime is Regime.TOO_SMALL:
            assert read.rate < 10**-2.9
        if regime is Regime.TOO_LARGE:
            assert read.rate > 10**-2.6


def test_steps_that_still_bring_much_make_a_rate_no_fit() -> None:
    reads = [replace(read, half=0.2 if read.best < 0.1 else 0.0) for read in searched()]
    assert Regime.FITS not in learning_rate_regimes(reads, trial_sd=0.005)


def test_the_rates_of_the_finding_keep_one_order() -> None:
    found = learning_rate_regime(searched(), trial_sd=0.005)
    assert re.fullmatch(
        r"Too small up to \S+, fits (at|from) .+, too large from \S+\.", found.detail
    )
    low = [read for read in searched() if read.rate < 1e-3]
    small = learning_rate_regime(low, trial_sd=0.005)
    if small.fired:
        assert small.title.endswith("is too small")


@given(st.lists(st.tuples(st.floats(1e-6, 1), st.floats(0, 1), st.booleans()), max_size=14))
def test_no_rate_is_too_small_above_one_that_fits_or_is_too_large(
    rows: list[tuple[float, float, bool]],
) -> None:
    reads = [RateReading(rate, diverged, 1.0, best, 0.0, 0.001) for rate, best, diverged in rows]
    regimes = learning_rate_regimes(reads, trial_sd=0.001)
    place = {Regime.TOO_SMALL: 0, Regime.FITS: 1, Regime.TOO_LARGE: 2}
    told = [
        (read.rate, place[regime])
        for read, regime in zip(reads, regimes, strict=True)
        if regime in place
    ]
    for rate, kind in told:
        assert all(other >= kind for beyond, other in told if beyond > rate)


def test_one_trial_alone_cannot_tell() -> None:
    assert learning_rate_regimes([trial(1e-2)]) == [Regime.CANNOT_TELL]
    assert learning_rate_regime([trial(1e-2)]).status is Status.NOT_CHECKABLE


def test_divergence_everywhere_is_no_matter_of_the_rate() -> None:
    broken = Curve.of([2.0, math.nan])
    trials = [RateTrial(rate, broken, broken) for rate in RATES]
    assert set(learning_rate_regimes(trials)) == {Regime.CANNOT_TELL}


def test_a_trial_that_diverged_above_one_that_trains_is_too_large() -> None:
    broken = Curve.of([2.0, math.inf])
    regimes = learning_rate_regimes([trial(1e-2), RateTrial(1.0, broken, broken)])
    assert regimes[1] is Regime.TOO_LARGE


def test_a_rising_validation_loss_alone_is_not_a_small_rate() -> None:
    # Training falls, validation rises: that is overfitting, and every rate does it.
    train = Curve.of(2 * np.exp(-STEPS / 10))
    validation = Curve.of(1 + STEPS / 100)
    trials = [RateTrial(rate, train, validation) for rate in RATES]
    assert Regime.TOO_SMALL not in learning_rate_regimes(trials)


def test_trials_that_differ_elsewhere_are_not_compared_directly() -> None:
    slow, fast = trial(1e-4, others="dropout 0"), trial(1e-2, others="dropout 0.5")
    assert learning_rate_regimes([slow, fast], trial_sd=0.02)[0] is Regime.CANNOT_TELL


def test_pruned_trials_are_left_out() -> None:
    regimes = learning_rate_regimes([trial(1e-4, pruned=True), trial(1e-2)])
    assert regimes == [Regime.CANNOT_TELL, Regime.CANNOT_TELL]


def test_the_study_is_told_when_its_best_rate_is_too_small() -> None:
    low = [trial(1e-4), trial(1e-3), trial(1e-2)]
    assert learning_rate_regime(low, trial_sd=0.02).evidence["best_rate"] == 1e-2


@given(
    st.lists(
        st.tuples(
            st.floats(), st.lists(st.floats(), max_size=12), st.lists(st.floats(), max_size=12)
        ),
        max_size=6,
    ),
    st.sampled_from(list(Direction)),
)
def test_no_trials_break_the_rule(
    rows: list[tuple[float, list[float], list[float]]], direction: Direction
) -> None:
    trials = [RateTrial(rate, Curve.of(loss), Curve.of(score)) for rate, loss, score in rows]
    assert len(learning_rate_regimes(trials, direction=direction)) == len(trials)
    assert learning_rate_regime(trials, direction=direction).status in Status


@given(st.permutations(list(range(5))))
def test_the_order_of_trials_does_not_matter(order: list[int]) -> None:
    trials = [trial(rate) for rate in RATES]
    regimes = learning_rate_regimes(trials, trial_sd=0.02)
    shuffled = learning_rate_regimes([trials[place] for place in order], trial_sd=0.02)
    assert shuffled == [regimes[place] for place in order]
