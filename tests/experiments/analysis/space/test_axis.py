from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.space.axis import Axis, AxisKind, unit_positions


def test_rows_of_an_axis_must_be_equally_long() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Axis("x", np.zeros(3), np.zeros(2), np.ones(3, bool))


def test_a_log_range_is_halved_by_its_geometric_mean() -> None:
    assert unit_positions([1e-4, 1e-2, 1e-3], low=1e-4, high=1e-2, log=True) == pytest.approx(
        [0, 1, 0.5]
    )


def test_choices_lie_evenly_from_the_first_to_the_last() -> None:
    at = unit_positions(["b", "a", "?", None, "c"], choices=["a", "b", "c"])
    assert at[[0, 1, 4]].tolist() == [0.5, 0, 1]
    assert np.isnan(at[[2, 3]]).all()


def test_a_missing_value_has_no_position() -> None:
    assert np.isnan(unit_positions([None, "x"])).all()


@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e3), st.floats(0, 1), st.booleans())
def test_value_and_position_are_inverse(low: float, ratio: float, unit: float, log: bool) -> None:
    high = low * ratio
    axis = Axis("x", np.zeros(1), np.zeros(1), np.ones(1, bool), low=low, high=high, log=log)
    value = axis.value_at(unit)
    back = unit_positions([value], low=low, high=high, log=log)
    assert back[0] == pytest.approx(unit, abs=1e-6)


def test_unordered_choices_and_fixed_values_have_no_edges() -> None:
    rows = (np.zeros(1), np.zeros(1), np.ones(1, bool))
    assert not Axis("x", *rows, kind=AxisKind.CATEGORICAL, choices=("a", "b")).has_edges
    assert not Axis("x", *rows, kind=AxisKind.ORDERED, choices=(1,)).has_edges
    assert not Axis("x", *rows, low=1, high=1).has_edges
    assert Axis("x", *rows, kind=AxisKind.ORDERED, choices=(1, 2)).has_edges


def test_infeasible_and_scoreless_trials_are_not_usable() -> None:
    axis = Axis(
        "x",
        np.array([0.1, 0.2, np.nan, 0.4]),
        np.array([1.0, np.inf, 3.0, 4.0]),
        np.array([True, True, True, False]),
    )
    assert axis.usable.tolist() == [True, False, False, False]
