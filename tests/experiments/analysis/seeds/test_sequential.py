"""Estimates and intervals after a sequential stop, against published values and simulation."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm

from experiments.analysis.seeds.comparison import Sample, paired_sample, paired_t, replay
from experiments.analysis.seeds.looks import plan
from experiments.analysis.seeds.sequential import (
    estimate_after_stop,
    gain_given_adopt,
    stage_wise,
)


def sample(mean: float, count: int, degrees: float | None = None) -> Sample:
    """Of gains with standard deviation 1 and no skewness."""
    error = np.array([1 / sqrt(count)])
    return Sample(np.array([mean]), error, np.zeros(1), degrees or count - 1, count)


def test_the_bounds_and_the_estimate_are_the_published_ones_of_a_pocock_design() -> None:
    """Wassmer and Brannath, "Group Sequential and Confirmatory Adaptive Designs in Clinical
    Trials", 2016, section 4.1: four stages of 22, Pocock's bounds at +-2.361, z = 3 at the second;
    interval 0.074 to 0.729, median-unbiased estimate 0.419. Twenty times as many observations
    bring Student's t to the normal that the book takes.
    """
    more = 20
    found = stage_wise(
        sample(3 / sqrt(44 * more), 44 * more),
        margin=0.0,
        level=float(norm.sf(2.361)),
        looks=(22 * more, 44 * more),
    )
    ends = np.array([found.lower, found.estimate, found.upper]) * sqrt(more)
    np.testing.assert_allclose(ends, [0.074, 0.419, 0.729], atol=0.005)


def test_a_single_look_is_the_plain_mean_and_the_test_itself() -> None:
    gains = np.random.default_rng(0).normal(size=(1, 8))
    found = estimate_after_stop(
        paired_sample(gains), margin=0.2, level=0.05, looks=(8,), confidence=0.9
    )
    plain = paired_t(gains, margin=0.2, level=0.05)
    assert found.estimate == gains.mean()
    assert (found.lower, found.upper) == pytest.approx((plain.lower[0], plain.upper[0]))


def test_an_adopt_at_a_late_look_is_shrunk_and_a_swapped_comparison_is_the_mirror_image() -> None:
    late = {"margin": 0.0, "level": 0.0221, "looks": (10, 20)}
    found = estimate_after_stop(sample(0.6, 20), **late)
    assert found.lower < found.estimate < 0.6 < found.upper
    mirrored = estimate_after_stop(sample(-0.6, 20), **late)
    ends = (-mirrored.estimate, -mirrored.upper, -mirrored.lower)
    assert ends == pytest.approx((found.estimate, found.lower, found.upper), abs=2e-3)


def test_the_unit_and_the_margin_only_move_and_stretch_what_is_said() -> None:
    plain = estimate_after_stop(sample(0.6, 20), margin=0.0, level=0.0221, looks=(10, 20))
    one = sample(0.6, 20)
    stretched = Sample(5 + 100 * one.mean, 100 * one.error, one.skewness, one.degrees, one.count)
    found = estimate_after_stop(stretched, margin=5.0, level=0.0221, looks=(10, 20))
    for name in ("estimate", "lower", "upper"):
        assert getattr(found, name) == pytest.approx(5 + 100 * getattr(plain, name), abs=0.2)


@pytest.mark.parametrize(
    ("looks", "effect"), [((10, 20, 30), 0.2), ((10, 20, 30), 0.6), ((3, 5, 7), 1.0)]
)
def test_intervals_cover_and_estimates_are_median_unbiased(
    looks: tuple[int, ...], effect: float
) -> None:
    """A sample of what benchmarks/verdicts.py measures."""
    schedule, draws = plan(looks), 200
    gains = np.random.default_rng(7).normal(effect, 1, size=(draws, looks[-1]))
    pairs = replay(gains, schedule).pairs
    covered, estimates = 0, []
    for row, count in zip(gains, pairs.tolist(), strict=True):
        found = estimate_after_stop(
            paired_sample(row[None, :count]),
            margin=0.0,
            level=schedule.level,
            looks=[look for look in looks if look <= count],
        )
        covered += found.lower <= effect <= found.upper
        estimates.append(found.estimate)
    # Two standard errors of 200 draws about what the goal allows.
    assert 0.93 - 0.036 < covered / draws < 0.97 + 0.03
    assert abs(float(np.median(estimates)) - effect) < 0.1 + 0.05


def test_arms_without_common_seeds_have_their_own_design() -> None:
    late = {"margin": 0.0, "level": 0.0221, "looks": (5, 10)}
    paired = estimate_after_stop(sample(1.0, 10), **late)
    unpaired = estimate_after_stop(sample(1.0, 10, 18), **late, unpaired=True)
    assert unpaired.lower > paired.lower  # twice the degrees of freedom


@pytest.mark.parametrize("effect", [0.2, 0.5])
def test_the_gain_given_an_adopt_is_near_the_truth_where_the_mean_flatters(effect: float) -> None:
    schedule = plan((10, 20, 30))
    gains = np.random.default_rng(5).normal(effect, 1, size=(1200, 30))
    followed = replay(gains, schedule)
    given, means = [], []
    for index in np.flatnonzero(followed.outcome == 1)[:100].tolist():
        count = int(followed.pairs[index])
        rows = gains[index : index + 1, :count]
        looks = [look for look in schedule.looks if look <= count]
        given.append(
            gain_given_adopt(paired_sample(rows), margin=0.0, level=schedule.level, looks=looks)
        )
        means.append(rows.mean())
    off = abs(np.median(given) - effect)
    assert off < abs(np.median(means) - effect)
    assert off < 0.15


def test_the_gain_given_an_adopt_is_never_above_the_mean_nor_below_the_interval() -> None:
    for mean in (0.75, 0.9, 1.5, 4.0):
        one = sample(mean, 10)
        given = gain_given_adopt(one, margin=0.0, level=0.0221, looks=(10,))
        interval = estimate_after_stop(one, margin=0.0, level=0.0221, looks=(10,))
        assert interval.lower <= given <= mean
    assert given == pytest.approx(4.0, abs=0.05), "far above what an adopt asks for"
