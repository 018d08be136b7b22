from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.seeds.replication import (
    ScoreRule,
    evaluation_mismatch,
    gains,
    score,
    tail_length,
)

curves = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("evaluations", "tail"), [(0, 1), (1, 1), (5, 1), (6, 2), (10, 2), (60, 12)]
)
def test_the_tail_is_the_last_fifth_and_at_least_one_evaluation(
    evaluations: int, tail: int
) -> None:
    assert tail_length(evaluations) == tail


def test_the_default_score_is_the_median_of_the_last_fifth() -> None:
    values = [0.1] * 12 + [0.9, 0.5, 0.7]
    assert score(values, direction="maximize") == 0.7


def test_last_and_best_read_the_curve_as_they_say() -> None:
    values = [0.2, 0.9, 0.4]
    assert score(values, rule="last", direction="maximize") == 0.4
    assert score(values, rule="best", direction="maximize") == 0.9
    assert score(values, rule="best", direction="minimize") == 0.2


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_a_run_that_ends_non_finite_has_no_finite_score(bad: float) -> None:
    values = [0.5] * 9 + [bad]
    assert isnan(score(values, direction="minimize"))
    assert isnan(score(values, rule="last", direction="minimize"))


def test_a_run_that_recovered_before_the_tail_keeps_its_score() -> None:
    assert score([nan, inf, *[0.5] * 10], direction="minimize") == 0.5


def test_the_best_of_a_run_that_later_diverged_is_its_best_finite_value() -> None:
    assert score([0.3, 0.8, nan, inf], rule="best", direction="maximize") == 0.8
    assert isnan(score([nan, inf], rule="best", direction="maximize"))


@pytest.mark.parametrize("rule", ["tail_median", "last", "best"])
def test_a_run_without_evaluations_has_no_finite_score(rule: ScoreRule) -> None:
    assert isnan(score([], rule=rule, direction="maximize"))


@given(curves, st.sampled_from(["tail_median", "last", "best"]))
def test_minimising_a_metric_is_maximising_its_negative(
    values: list[float], rule: ScoreRule
) -> None:
    negated = [-value for value in values]
    assert score(values, rule=rule, direction="minimize") == -score(
        negated, rule=rule, direction="maximize"
    )


@given(curves, st.sampled_from(["tail_median", "last", "best"]))
def test_a_score_lies_within_the_curve(values: list[float], rule: ScoreRule) -> None:
    assert min(values) <= score(values, rule=rule, direction="maximize") <= max(values)


def test_unknown_rules_and_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="mean"):
        score([1.0], rule="mean", direction="maximize")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="upwards"):
        score([1.0], direction="upwards")  # type: ignore[arg-type]


def test_gains_are_positive_when_the_candidate_is_better_in_either_direction() -> None:
    assert gains([2.0], [1.0], "maximize")[0] == 1.0
    assert gains([2.0], [1.0], "minimize")[0] == -1.0
    assert np.isnan(gains([inf], [inf], "minimize")[0])


def test_arms_evaluated_equally_often_may_be_compared() -> None:
    assert evaluation_mismatch([1, 2], [1, 2], [60, 60], [60, 60]) is None
    assert evaluation_mismatch([1, 2], [1, 2], [None, None], [60, 60]) is None
    assert evaluation_mismatch([1, 2], [1, 2], [], []) is None


def test_unequal_evaluation_counts_are_named() -> None:
    reason = evaluation_mismatch([1, 2], [1, 2], [50, 50], [60, 80])
    assert reason is not None
    assert "50 evaluations for the candidate" in reason
    assert "60 to 80 for the baseline" in reason


def test_a_diverged_run_that_stopped_early_is_not_held_against_its_arm() -> None:
    assert evaluation_mismatch([1.0, nan], [1.0, 2.0], [60, 12], [60, 60]) is None
