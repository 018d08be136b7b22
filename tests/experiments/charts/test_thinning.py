from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.charts.thinning import counts_up_to, evenly, leading_and_even

rows = hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(-10, 10) | st.just(np.nan))


@settings(max_examples=40)
@given(rows, st.integers(3, 60), st.booleans())
def test_the_best_are_always_drawn_and_never_too_many(
    scores: np.ndarray, most: int, maximize: bool
) -> None:
    shown = leading_and_even(scores, most, maximize=maximize)
    assert shown.sum() <= max(most, 0) or scores.size <= most
    finite = scores[np.isfinite(scores)]
    if finite.size:
        best = finite.max() if maximize else finite.min()
        assert best in scores[shown]


@given(st.integers(1, 5000), st.integers(2, 300))
def test_an_even_draw_keeps_both_ends(count: int, most: int) -> None:
    places = evenly(count, most)
    assert places[0] == 0 and places[-1] == count - 1
    assert places.size <= most


@given(st.integers(1, 100_000))
def test_counts_begin_with_one_and_end_with_all(most: int) -> None:
    counts = counts_up_to(most)
    assert counts[0] == 1 and counts[-1] == most
    assert counts == sorted(set(counts)) and len(counts) <= 62


def test_nothing_is_drawn_of_nothing() -> None:
    assert evenly(0, 10).size == 0 or evenly(0, 10).tolist() == []
    assert counts_up_to(0) == []
