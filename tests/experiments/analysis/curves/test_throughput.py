from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.throughput import (
    batch_size,
    choose_batch,
    input_bound,
    seconds_per_step,
)
from experiments.analysis.diagnosis import Status

STEADY = np.random.default_rng(0).normal(0.1, 0.005, 200)


def test_steady_steps_do_not_wait() -> None:
    assert input_bound(STEADY).status is Status.PASSED


def test_steps_that_jump_cost_time() -> None:
    jumping = STEADY.copy()
    jumping[::10] = 1.0
    found = input_bound(jumping)
    assert found.fired
    assert found.evidence["slow_steps"] == 20


def test_one_slow_step_is_no_brake() -> None:
    once = STEADY.copy()
    once[0] = 1.0
    assert input_bound(once).status is Status.PASSED


def test_waiting_a_fifth_of_the_time_is_said() -> None:
    assert input_bound(STEADY, 0.3 * STEADY).title == "Training waits for data 30 % of the time"
    assert input_bound(STEADY, 0.1 * STEADY).status is Status.PASSED


def test_twenty_step_times_are_needed() -> None:
    assert input_bound(STEADY[:19]).status is Status.NOT_CHECKABLE


def test_seconds_per_step_come_from_log_points() -> None:
    found = seconds_per_step(np.array([0.0, 10, 20, 20]), np.array([0.0, 1, 3, 4]))
    assert found[:2].tolist() == pytest.approx([0.1, 0.2])
    assert math.isnan(found[2])


THROUGHPUT = {32: 100.0, 64: 195.0, 128: 300.0, 256: 310.0, 512: 305.0}


def test_the_smallest_batch_within_five_per_cent_of_the_best_is_chosen() -> None:
    choice = choose_batch(THROUGHPUT)
    assert choice is not None
    assert choice.batch == 128
    assert [doubling.verdict for doubling in choice.doublings] == [
        "not saturated",
        "diminishing",
        "no gain",
        "no gain",
    ]


def test_a_fourfold_step_is_judged_as_two_doublings() -> None:
    choice = choose_batch({32: 100.0, 128: 400.0})
    assert choice is not None
    assert choice.doublings[0].factor == pytest.approx(2.0)


def test_a_batch_with_far_lower_throughput_is_noticed() -> None:
    assert batch_size(32, THROUGHPUT).fired
    assert batch_size(128, THROUGHPUT).status is Status.PASSED
    assert batch_size(7, THROUGHPUT).status is Status.NOT_CHECKABLE
    assert choose_batch({}) is None


@given(st.lists(st.floats(), max_size=40), st.lists(st.floats(), max_size=40))
def test_no_times_break_the_rule(seconds: list[float], waiting: list[float]) -> None:
    row = np.array(seconds)
    waits = np.resize(np.array([*waiting, 0.0]), row.size)
    with np.errstate(all="ignore"):
        assert input_bound(row, waits).status in Status


@given(st.dictionaries(st.integers(1, 4096), st.floats(), max_size=6))
def test_no_throughput_breaks_the_rule(measured: dict[int, float]) -> None:
    for batch in measured:
        assert batch_size(batch, measured).status in Status
