from __future__ import annotations

import heapq
from itertools import pairwise

import numpy as np
import pytest

from experiments.analysis.time_left import Span, concurrency, time_left

WORKERS, BUDGET = 4, 60


def a_search(seed: int) -> list[Span]:
    """Spans of a search whose trials differ much in length, in the order of their ends."""
    rng = np.random.default_rng(seed)
    free = [0.0] * WORKERS
    spans = []
    for seconds in rng.lognormal(3.0, 0.6, BUDGET):
        start = heapq.heappop(free)
        spans.append((start, start + float(seconds)))
        heapq.heappush(free, start + float(seconds))
    return sorted(spans, key=lambda span: span[1])


def test_the_range_holds_the_truth_and_the_estimate_does_not_jump() -> None:
    hits, jumps = [], []
    for seed in range(40):
        spans = a_search(seed)
        whole, ends = spans[-1][1], []
        for done in range(4, BUDGET - WORKERS):
            now = spans[done - 1][1]
            left = time_left(spans[:done], BUDGET - done - WORKERS / 2)
            assert left is not None
            hits.append(left.low <= whole - now <= left.high)
            ends.append(now + left.expected)
        jumps += [max(a, b) / min(a, b) for a, b in pairwise(ends[4:])]
    assert np.mean(hits) > 0.75
    assert max(jumps) < 1.5, "the expected end moves little from one trial to the next"


def test_more_trials_narrow_the_range() -> None:
    spans = a_search(1)
    early, late = time_left(spans[:4], 30), time_left(spans[:40], 30)
    assert early is not None and late is not None
    assert early.high / early.low > late.high / late.low > 1


def test_equal_runs_take_as_long_again() -> None:
    spans = [(float(n // 2) * 10, float(n // 2) * 10 + 10) for n in range(8)]
    alone, together = time_left(spans, 4, at_once=1), time_left(spans, 4)
    assert alone is not None and alone.expected == pytest.approx(40)
    assert together is not None and together.expected == pytest.approx(22.5), "half a run to wait"


def test_a_pause_does_not_make_workers_slower() -> None:
    assert concurrency([(0, 10), (0, 10), (1000, 1010), (1000, 1010)]) == pytest.approx(4 / 3)
    assert concurrency([(0, 10), (10, 20), (21, 31)]) == pytest.approx(30 / 31)


@pytest.mark.parametrize("spans", [(), [(0.0, 9.0)], [(0.0, 9.0), (3.0, 3.0)]])
def test_two_runs_must_have_ended(spans: list[Span]) -> None:
    assert time_left(spans, 5) is None


def test_nothing_is_left_of_no_runs() -> None:
    assert time_left([(0.0, 9.0), (0.0, 9.0)], 0) is None
