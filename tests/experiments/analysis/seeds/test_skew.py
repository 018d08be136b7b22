from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.seeds.skew import (
    correction,
    judge_skew,
    skewness_of_difference,
    skewness_of_mean,
    transformed,
    untransformed,
)


def share_flagged(draws: np.ndarray) -> float:
    return float(np.mean([judge_skew(row).flagged is True for row in draws]))


def test_an_exponential_shape_is_seen_in_nearly_all_samples_of_thirty() -> None:
    assert share_flagged(np.random.default_rng(0).exponential(size=(500, 30))) > 0.88


def test_normal_differences_are_rarely_called_skewed() -> None:
    assert share_flagged(np.random.default_rng(0).normal(size=(1_000, 30))) < 0.14


def test_the_side_of_the_tail_says_which_outcome_is_in_danger() -> None:
    tail = np.random.default_rng(1).exponential(size=30)
    assert "a reject can still err" in judge_skew(tail).text
    assert "an adopt can still err" in judge_skew(-tail).text


def test_few_or_equal_differences_are_not_judged() -> None:
    assert judge_skew(np.arange(7.0)).flagged is None
    assert judge_skew(np.ones(12)).flagged is None


def test_the_correction_and_its_inverse_agree_also_without_skewness() -> None:
    quantiles = np.linspace(0, 8, 25)
    for lean in (-2.0, -0.3, 0.0, 1e-12, 0.3, 2.0):
        back = transformed(untransformed(quantiles, np.full(25, lean)), np.full(25, lean))
        np.testing.assert_allclose(back, quantiles, atol=1e-9)


def test_a_lean_against_the_claim_counts_more_than_one_in_its_favour() -> None:
    against, favour = correction(np.array([-0.2, 0.2]), 10)
    assert -against > 2 * favour > 0
    assert correction(np.array([-0.2]), 3)[0] == pytest.approx(0.3 * against)


def test_the_skewness_of_a_difference_is_that_of_both_means_together() -> None:
    rng = np.random.default_rng(4)
    left, right = rng.exponential(size=12), rng.normal(size=9)
    alone = skewness_of_mean(left[None])[0]
    assert skewness_of_difference(left, np.zeros(5))[0] == pytest.approx(alone)
    both = skewness_of_difference(left, right)[0]
    assert skewness_of_difference(right, left)[0] == pytest.approx(-both)
