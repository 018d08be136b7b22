from __future__ import annotations

import pytest

from experiments.analysis.curves.warmup import (
    probe_learning_rates,
    unstable_above_best,
    warmup_advice,
    warmup_plan,
)
from experiments.analysis.diagnosis import Status


def test_the_playbooks_example_ten_thousand_steps_and_a_thousand_make_eleven_thousand() -> None:
    plan = warmup_plan(10_000, 0.01)
    assert plan.base_learning_rate == pytest.approx(0.1)
    assert [option.warmup_steps for option in plan.options] == [10, 1000]
    assert plan.options[1].total_steps == 11_000
    assert plan.options[1].post_warmup_steps == 2_000


def test_a_warm_up_takes_at_most_a_tenth_of_the_steps() -> None:
    assert [option.warmup_steps for option in warmup_plan(9_999, 1.0).options] == [10]
    assert [option.warmup_steps for option in warmup_plan(10**6, 1.0).options] == [
        10,
        1_000,
        10_000,
        100_000,
    ]


@pytest.mark.parametrize(("steps", "rate"), [(0, 0.1), (100, 0.0), (100, -1.0)])
def test_steps_and_rate_must_be_positive(steps: int, rate: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        warmup_plan(steps, rate)


def test_instability_is_looked_for_at_two_five_and_ten_times_the_best_rate() -> None:
    assert probe_learning_rates(0.1) == pytest.approx((0.2, 0.5, 1.0))


def test_a_best_rate_just_below_instability_calls_for_warm_up() -> None:
    found = warmup_advice(
        max_train_steps=10_000,
        decades_below_instability=0.3,
        unstable_learning_rate=0.02,
        best_learning_rate=0.01,
    )
    assert found.fired
    assert found.evidence["base_learning_rate"] == pytest.approx(0.2)
    assert "1,000" in found.advice
    assert "raise the total to 11,000" in found.advice


def test_early_divergence_at_ordinary_rates_calls_for_warm_up() -> None:
    found = warmup_advice(
        max_train_steps=None,
        decades_below_instability=None,
        unstable_learning_rate=None,
        best_learning_rate=0.01,
        early_divergences=[0.005, 0.5],
    )
    assert found.fired
    assert found.evidence["early_divergences_up_to_best"] == 1


def test_early_divergence_at_high_rates_only_does_not() -> None:
    found = warmup_advice(
        max_train_steps=None,
        decades_below_instability=2.0,
        unstable_learning_rate=1.0,
        best_learning_rate=0.01,
        early_divergences=[0.5],
    )
    assert found.status is Status.PASSED


def test_without_a_best_rate_nothing_can_be_said() -> None:
    found = warmup_advice(
        max_train_steps=100,
        decades_below_instability=None,
        unstable_learning_rate=None,
        best_learning_rate=None,
    )
    assert found.status is Status.NOT_CHECKABLE


def test_runs_too_short_for_ten_steps_of_warm_up_are_told_so() -> None:
    found = warmup_advice(
        max_train_steps=50,
        decades_below_instability=0.1,
        unstable_learning_rate=0.02,
        best_learning_rate=0.01,
    )
    assert "too short" in found.advice


def test_trials_that_break_just_above_the_best_rate_are_told() -> None:
    rates, broke = [0.01, 0.02, 0.05, 0.1, 1.0], [False, True, True, False, False]
    found = unstable_above_best(rates, broke, 0.01)
    assert found.fired
    assert (found.evidence["unstable"], found.evidence["trials_above"]) == (2, 3)


def test_steady_trials_above_the_best_rate_pass() -> None:
    assert unstable_above_best([0.01, 0.02], [False, False], 0.01).status is Status.PASSED


def test_without_trials_above_the_best_rate_nothing_can_be_said() -> None:
    for best in (0.02, None):
        assert unstable_above_best([0.01, 0.02], [None, True], best).status is (
            Status.NOT_CHECKABLE
        )
