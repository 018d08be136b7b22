"""False adopts stay at the stated level when the data try to fool the verdict."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.analysis.seeds.comparison import paired_t, replay
from experiments.analysis.seeds.looks import DEFAULT, TOTAL_ERROR, Schedule, plan
from experiments.analysis.seeds.replication import score
from experiments.analysis.seeds.verdict import judge

pytestmark = pytest.mark.thorough

Floats = NDArray[np.float64]
DRAWS = 20_000


def false_adopts(gains: Floats, schedule: Schedule) -> float:
    return float((replay(gains, schedule).outcome == 1).mean())


def allowed(draws: int) -> float:
    return TOTAL_ERROR + 3 * sqrt(TOTAL_ERROR * (1 - TOTAL_ERROR) / draws)


def curves(noise: float, rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Runs that all settle at 0.97 (seed deviation 0.001), evaluated with checkpoint noise."""
    truth = 0.97 + 0.001 * rng.normal(size=(*shape[:2], 1))
    return np.asarray(truth + noise * rng.normal(size=shape))


def scores(runs: Floats, rule: str) -> Floats:
    """Scores [R, N] of runs [R, N, T], the same as `score` of each."""
    tail = runs[..., -12:]
    return np.asarray(np.median(tail, axis=2) if rule == "tail_median" else runs.max(axis=2))


def test_a_noisier_candidate_of_equal_truth_is_not_adopted_more_often() -> None:
    rng = np.random.default_rng(0)
    draws = 2_000
    noisy, calm = (curves(noise, rng, (draws, 10, 60)) for noise in (0.002, 0.001))
    assert score(noisy[0, 0], direction="maximize") == scores(noisy, "tail_median")[0, 0]
    assert score(noisy[0, 0], rule="best", direction="maximize") == scores(noisy, "best")[0, 0]
    gains = scores(noisy, "tail_median") - scores(calm, "tail_median")
    assert false_adopts(gains, plan([10])) <= allowed(draws)
    # The score that the default replaces is fooled nearly always, so the test has teeth.
    assert false_adopts(scores(noisy, "best") - scores(calm, "best"), plan([10])) > 0.5


def test_the_winner_of_200_trials_without_any_gain_is_not_adopted_more_often() -> None:
    rng = np.random.default_rng(1)
    draws = 20_000
    tuning = rng.normal(size=(draws, 200)).max(axis=1)
    fresh, baseline = rng.normal(size=(2, draws, 30))
    assert false_adopts(fresh - baseline, DEFAULT) <= allowed(draws)
    # Were the selecting run the first replicate, false adopts would rise to 8 %.
    with_selecting_run = np.column_stack([tuning, fresh[:, 1:]])
    assert false_adopts(with_selecting_run - baseline, DEFAULT) > 0.07


def test_one_lucky_split_does_not_carry_a_verdict() -> None:
    """Both arms meet each split together; a split that favours one arm is one pair of many."""
    rng = np.random.default_rng(2)
    favour = rng.normal(0, 1.0, size=(DRAWS, 30))
    seeds = rng.normal(0, 0.2, size=(2, DRAWS, 30))
    assert false_adopts(favour + seeds[0] - seeds[1], DEFAULT) <= allowed(DRAWS)
    # The same seeds on the one split that happened to favour the candidate, or not.
    one_split = favour[:, :1] + seeds[0] - seeds[1]
    assert false_adopts(one_split, DEFAULT) > 0.3


def test_diverging_seeds_do_not_open_a_way_to_adopt() -> None:
    rng = np.random.default_rng(3)
    draws = 1_500
    adopted = adopted_with_failures = 0
    for _ in range(draws):
        candidate, baseline = rng.normal(size=(2, 10))
        candidate[rng.random(10) < 0.1] = np.nan
        baseline[rng.random(10) < 0.1] = np.nan
        said = judge(candidate, baseline, direction="maximize", schedule=plan([10]))
        adopted += said.outcome == "adopt"
        more = np.isnan(candidate).sum() > np.isnan(baseline).sum()
        adopted_with_failures += bool(more and said.outcome == "adopt")
    assert adopted / draws <= allowed(draws)
    assert adopted_with_failures == 0


def test_bad_seeds_that_are_lost_instead_of_scored_are_blocked() -> None:
    """A candidate whose worst third diverges would look better on the rest."""
    rng = np.random.default_rng(4)
    draws = 500
    tested = adopted = 0
    for _ in range(draws):
        candidate, baseline = rng.normal(size=(2, 20))
        candidate[candidate < -0.43] = np.nan
        said = judge(candidate, baseline, direction="maximize", schedule=plan([20]))
        tested += said.tested == "adopt"
        adopted += said.outcome == "adopt"
    assert tested / draws > 0.3
    assert adopted / draws <= allowed(draws)


@pytest.mark.parametrize("step", [0.3, 1.0, 2.0])
def test_ties_of_a_coarse_metric_do_not_raise_false_adopts(step: float) -> None:
    rng = np.random.default_rng(5)
    candidate, baseline = np.round(rng.normal(size=(2, DRAWS, 30)) / step) * step
    assert false_adopts(candidate - baseline, DEFAULT) <= allowed(DRAWS)


@pytest.mark.parametrize("step", [0.3, 1.0])
def test_ties_at_three_seeds_do_not_raise_false_adopts(step: float) -> None:
    rng = np.random.default_rng(6)
    candidate, baseline = np.round(rng.normal(size=(2, DRAWS, 3)) / step) * step
    assert false_adopts(candidate - baseline, plan([3])) <= allowed(DRAWS)


@pytest.mark.parametrize("looks", [(3,), (3, 5, 7), (3, 5, 10), (3, 6, 9)])
def test_three_seeds_keep_the_level(looks: tuple[int, ...]) -> None:
    gains = np.random.default_rng(7).normal(size=(DRAWS, looks[-1]))
    assert false_adopts(gains, plan(looks)) <= allowed(DRAWS)


@pytest.mark.parametrize("freedom", [1, 2, 3])
@pytest.mark.parametrize("looks", [(3,), (10,), (10, 20, 30)])
def test_heavy_symmetric_tails_do_not_raise_false_adopts(
    freedom: int, looks: tuple[int, ...]
) -> None:
    gains = np.random.default_rng(8).standard_t(freedom, size=(DRAWS, looks[-1]))
    assert false_adopts(gains, plan(looks)) <= allowed(DRAWS)


@pytest.mark.parametrize("gap", [1.5, 4.0])
def test_unequal_spread_of_the_arms_does_not_raise_false_adopts(gap: float) -> None:
    rng = np.random.default_rng(9)
    gains = gap * rng.normal(size=(DRAWS, 30)) - rng.normal(size=(DRAWS, 30))
    assert false_adopts(gains, DEFAULT) <= allowed(DRAWS)


def test_a_true_gain_of_exactly_the_margin_is_adopted_at_the_level_only() -> None:
    gains = np.random.default_rng(10).normal(0.5, 1, size=(DRAWS, 30))
    adopted = float((replay(gains, DEFAULT, margin=0.5).outcome == 1).mean())
    assert adopted <= allowed(DRAWS)


def test_the_best_of_several_candidates_is_adopted_by_mistake_no_more_often_than_one() -> None:
    rng = np.random.default_rng(11)
    baseline = rng.normal(size=(DRAWS, 30))
    adopted = np.zeros(DRAWS, dtype=bool)
    for _ in range(4):
        gains = rng.normal(size=(DRAWS, 30)) - baseline
        adopted |= replay(gains, DEFAULT, candidates=4).outcome == 1
    assert float(adopted.mean()) <= allowed(DRAWS)


def test_a_long_tail_of_bad_replicates_is_adopted_in_eight_percent_at_most() -> None:
    """At 10 pairs, of differences, of a candidate alone, and over several looks."""
    rng = np.random.default_rng(12)
    tail = 1 - rng.exponential(size=(2 * DRAWS, 30))
    steady = rng.normal(size=tail.shape)
    for gains in (tail, tail - 0.5 * steady):
        assert false_adopts(gains[:, :10], plan([10])) <= 0.08
    assert false_adopts(tail, DEFAULT) <= 0.08
    plain = paired_t(tail[:, :10], margin=0.0, level=0.05, corrected=False)
    assert float((plain.lower > 0).mean()) > 0.12


def test_the_correction_costs_at_most_five_points_of_power_at_one_deviation() -> None:
    gains = np.random.default_rng(13).normal(1, 1, size=(2 * DRAWS, 15))
    for pairs in (3, 5, 7, 8, 10, 15):
        plain, found = (
            float(
                (
                    paired_t(gains[:, :pairs], margin=0.0, level=0.05, corrected=corrected).lower
                    > 0
                ).mean()
            )
            for corrected in (False, True)
        )
        assert plain - 0.05 < found <= plain


def test_skew_that_remains_is_pointed_out() -> None:
    rng = np.random.default_rng(12)
    gains = 1 - rng.exponential(size=(300, 30))
    warned = 0
    for row in gains:
        said = judge(row, np.zeros(30), direction="maximize", schedule=plan([30]))
        warned += any("skewed" in note for note in said.notes)
    assert warned / 300 > 0.88
