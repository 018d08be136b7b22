from __future__ import annotations

import numpy as np

from experiments.analysis.seeds.skew import judge_skew


def share_flagged(draws: np.ndarray) -> float:
    return float(np.mean([judge_skew(row).flagged is True for row in draws]))


def test_an_exponential_shape_is_seen_in_nearly_all_samples_of_thirty() -> None:
    assert share_flagged(np.random.default_rng(0).exponential(size=(500, 30))) > 0.88


def test_normal_differences_are_rarely_called_skewed() -> None:
    assert share_flagged(np.random.default_rng(0).normal(size=(1_000, 30))) < 0.14


def test_the_side_of_the_tail_says_which_outcome_is_in_danger() -> None:
    tail = np.random.default_rng(1).exponential(size=30)
    assert "a reject can be wrong" in judge_skew(tail).text
    assert "an adopt can be wrong" in judge_skew(-tail).text


def test_few_or_equal_differences_are_not_judged() -> None:
    assert judge_skew(np.arange(7.0)).flagged is None
    assert judge_skew(np.ones(12)).flagged is None
