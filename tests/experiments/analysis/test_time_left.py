from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.time_left import Span, concurrency, time_left

WORKERS, BUDGET = 4, 60
LONGEST = 3.0  # run of a search, when the shortest takes 1


def a_search(durations: Iterable[float], workers: int = WORKERS) -> list[Span]:
    """Spans of a search, in the order of their ends; each run starts when a worker is free."""
    free = [0.0] * workers
    spans = []
    for seconds in durations:
        start = heapq.heappop(free)
        spans.append((start, start + seconds))
        heapq.heappush(free, start + seconds)
    return sorted(spans, key=lambda span: span[1])


def expected_ends(spans: list[Span], workers: int, first: int) -> list[float]:
    """Expected end of the search as it is told after each run from the `first` on."""
    ends = []
    for done in range(first, len(spans) - workers):
        left = time_left(spans[:done], len(spans) - done - workers / 2, running=workers)
        assert left is not None
        ends.append(spans[done - 1][1] + left.expected)
    return ends


def test_the_range_holds_the_truth() -> None:
    hits, jumps = [], []
    for seed in range(40):
        spans = a_search(np.random.default_rng(seed).lognormal(3.0, 0.6, BUDGET).tolist())
        whole = spans[-1][1]
        for done in range(2, BUDGET - WORKERS):
            left = time_left(spans[:done], BUDGET - done - WORKERS / 2, running=WORKERS)
            assert left is not None
            hits.append(left.low <= whole - spans[done - 1][1] <= left.high)
        ends = expected_ends(spans, WORKERS, first=4)
        jumps += [max(a, b) / min(a, b) for a, b in pairwise(ends)]
    assert np.mean(hits) > 0.75
    assert max(jumps) < 1.5, "though some runs take ten times as long as others"


@given(st.integers(1, 8), st.lists(st.floats(1.0, LONGEST), min_size=12, max_size=40))
def test_the_expected_end_moves_less_than_the_lengths_of_runs_differ(
    workers: int, seconds: list[float]
) -> None:
    ends = expected_ends(a_search(seconds, workers), workers, first=2)
    for before, after in pairwise(ends):
        assert LONGEST > after / before > 1 / LONGEST


def test_runs_that_have_not_ended_count_as_at_once() -> None:
    first = [(0.0, 10.0), (0.0, 11.0)]
    alone, beside = time_left(first, 40), time_left(first, 40, running=8)
    assert alone is not None and beside is not None
    assert beside.expected < alone.expected / 2


def test_more_trials_narrow_the_range() -> None:
    spans = a_search(np.random.default_rng(1).lognormal(3.0, 0.6, BUDGET).tolist())
    early, late = time_left(spans[:4], 30), time_left(spans[:40], 30)
    assert early is not None and late is not None
    assert early.high / early.low > late.high / late.low > 1


def test_equal_runs_take_as_long_again() -> None:
    spans = [(float(n // 2) * 10, float(n // 2) * 10 + 10) for n in range(80)]
    alone, together = time_left(spans, 4, at_once=1), time_left(spans, 4)
    assert alone is not None and alone.expected == pytest.approx(40)
    assert together is not None and together.expected == pytest.approx(22.5, rel=0.01), "half idle"


def test_a_pause_does_not_make_workers_slower() -> None:
    assert concurrency([(0, 10), (0, 10), (1000, 1010), (1000, 1010)]) == pytest.approx(4 / 3)
    assert concurrency([(0, 10), (10, 20), (21, 31)]) == pytest.approx(30 / 31)


def test_one_run_gives_a_wide_range_and_none_gives_none() -> None:
    one = time_left([(0.0, 10.0), (3.0, 3.0)], 5)
    assert one is not None and one.low < 35 and one.high > 80, "five as long would take 50"
    assert time_left([], 5) is None and time_left([(3.0, 3.0)], 5) is None


def test_nothing_is_left_of_no_runs() -> None:
    assert time_left([(0.0, 9.0), (0.0, 9.0)], 0) is None
