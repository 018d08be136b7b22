from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.document.fidelity import Fidelity


def test_epochs_grow_within_a_run_and_nothing_else_does() -> None:
    assert Fidelity("epochs", 1, 27).grows_within_a_run
    assert not Fidelity("data_fraction", 0.1, 1.0).grows_within_a_run
    assert not Fidelity("width", 16, 256).grows_within_a_run


def test_rungs_are_the_whole_budget_divided_by_powers_of_the_factor() -> None:
    rungs = Fidelity("data_fraction", 0.03, 1.0).rungs(3)
    assert [rung.budget for rung in rungs] == pytest.approx([1 / 27, 1 / 9, 1 / 3, 1.0])
    assert [rung.step for rung in rungs] == [1, 3, 9, 27]


def test_a_whole_power_is_not_lost_to_rounding() -> None:
    for exponent in range(1, 12):
        assert Fidelity("epochs", 1, 3**exponent).brackets(3) == exponent + 1


def test_a_range_narrower_than_the_factor_has_one_rung() -> None:
    assert [rung.budget for rung in Fidelity("width", 20, 30).rungs(4)] == [30]


@given(st.integers(1, 50), st.integers(1, 2000), st.integers(2, 6))
def test_rungs_rise_to_the_whole_budget_and_never_start_below_the_least(
    low: int, more: int, factor: int
) -> None:
    fidelity = Fidelity("width", low, low + more)
    rungs = fidelity.rungs(factor)
    budgets = [rung.budget for rung in rungs]
    assert budgets == sorted(set(budgets)) and budgets[-1] == low + more
    assert budgets[0] >= low and all(isinstance(budget, int) for budget in budgets)
    assert [rung.step for rung in rungs] == [factor**index for index in range(len(rungs))]
