from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from experiments.charts.sparkline import HEIGHT, WIDTH, sparkline

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_a_higher_mean_stands_higher_and_its_spread_reaches_either_way() -> None:
    line = sparkline([0.90, 0.95], [0.01, None])
    assert line is not None
    first, second = line.marks
    assert first.x < second.x and first.y > second.y
    assert first.low > first.y > first.high and second.low == second.y == second.high


def test_without_a_finite_mean_there_is_no_line() -> None:
    assert sparkline([], []) is None
    assert sparkline([None, math.nan], [0.1, None]) is None


@given(st.lists(st.tuples(finite, st.floats(0, 1e308)), min_size=1, max_size=9))
def test_every_mark_lies_within_the_picture(values: list[tuple[float, float]]) -> None:
    line = sparkline([mean for mean, _ in values], [spread for _, spread in values])
    assert line is not None and len(line.marks) == len(values)
    for mark in line.marks:
        assert 0 <= mark.x <= WIDTH
        assert all(0 <= y <= HEIGHT for y in (mark.y, mark.low, mark.high))
