from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.analysis.curves.throughput import choose_batch
from experiments.trials.batch_size_results import answer, measured, noise
from tests.waiting import is_running
from tests.workers.forking_functions import started
from tests.workers.run_memory import Memory
from tests.workers.slot_owner import job
from workers.problems import digits
from workers.training.batch_size import Measured, in_a_process, measure_here, sizes_up
from workers.training.run import Run

RATES = {8: 100.0, 16: 190.0, 32: 300.0, 64: 310.0, 128: 312.0}


def asked(batch: int) -> Measured:
    return Measured(batch, RATES[batch], batch / RATES[batch], 50.0)


def test_sizes_are_doubled_until_throughput_rises_no_more() -> None:
    assert [row.batch for row in sizes_up(asked, first=8)] == [8, 16, 32, 64, 128]


def test_sizes_are_measured_in_turns_and_their_medians_are_told() -> None:
    order: list[int] = []
    told: list[list[Measured]] = []

    def measure(batch: int) -> Measured:
        order.append(batch)
        slow = len(order) == 3  # one disturbed measurement
        rate = RATES[batch] / (10 if slow else 1)
        return Measured(batch, rate, batch / rate, 50.0, busy=0.5)

    rows = sizes_up(measure, first=8, largest=32, tell=told.append)
    assert order == [8, 16, 32, 32, 16, 8, 8, 16, 32]
    assert [row.examples_per_second for row in rows] == [100.0, 190.0, 300.0]
    assert (rows[2].repeats, rows[2].spread, rows[2].busy) == (3, 0.9, 0.5)
    assert len(told) == 9 and len(told[0]) == 1


def test_a_single_slow_measurement_does_not_end_the_search() -> None:
    calls: list[int] = []

    def measure(batch: int) -> Measured:
        calls.append(batch)
        rate = 100.0 if calls == [8, 16] else RATES[batch]
        return Measured(batch, rate, batch / rate, 50.0)

    assert [row.batch for row in sizes_up(measure, first=8)] == [8, 16, 32, 64, 128]


def test_runs_of_one_function_on_a_restless_machine_agree() -> None:
    """Throughput saturates at 256; noise of a tenth, every eighth measurement at half speed."""
    chosen = []
    for seed in range(60):
        rng = np.random.default_rng(seed)

        def measure(batch: int, rng: np.random.Generator = rng) -> Measured:
            rate = 1000 * batch / (batch + 16) if batch < 256 else 960.0
            rate *= float(np.exp(0.1 * rng.normal())) * (0.5 if rng.random() < 1 / 8 else 1)
            return Measured(batch, rate, batch / rate, 50.0)

        rows = [asdict(row) for row in sizes_up(measure, first=8)]
        choice = choose_batch(measured(rows), noise(rows))
        assert choice is not None
        chosen.append(choice.batch)
    within = np.mean([32 <= batch <= 256 for batch in chosen])
    assert within >= 0.95, sorted(chosen)


def test_a_busy_machine_is_noticed_and_said() -> None:
    def measure(batch: int, busy: float) -> Measured:
        return Measured(batch, RATES[batch], batch / RATES[batch], 50.0, busy=busy)

    calm, restless = (
        answer([asdict(row) for row in sizes_up(lambda size, b=b: measure(size, b), first=8)])  # type: ignore[misc]
        for b in (0.05, 0.63)
    )
    assert "busy" not in calm
    assert "The machine was busy: others used up to 63 % of its processors" in restless


def test_the_end_of_memory_ends_the_search_and_is_said() -> None:
    def measure(batch: int) -> Measured:
        return asked(batch) if batch < 32 else Measured(batch, ended="memory", reason="no more")

    rows = sizes_up(measure, first=8)
    assert [row.ended for row in rows] == ["", "", "memory"]
    said = answer([_plain(row) for row in rows])
    assert said.startswith("Take 16: the smallest size within 5 % of the highest throughput (190")
    assert "Memory ended at 32: no more." in said


def test_the_answer_is_the_smallest_size_that_is_fast_enough() -> None:
    said = answer([_plain(row) for row in sizes_up(asked, first=8)])
    assert said.startswith("Take 32:")
    assert "From 64 to 128 throughput hardly rose." in said
    assert answer([]) == "No batch size could be measured."
    failed = answer([_plain(Measured(8, ended="failed", reason="boom"))])
    assert failed == "No batch size could be measured. The measurement failed at 8: boom."


def test_a_training_function_is_timed_as_it_is_and_not_beyond_its_data() -> None:
    def measure(batch: int) -> Measured:
        params = {"epochs": 50, "batch_size": batch, "hidden_units": 8}
        run = Run(job("x", params=params), Memory())
        try:
            return measure_here(digits.train, run, batch=batch, steps=5)
        finally:
            run.close()

    row = measure(64)
    assert not row.ended and row.step_seconds and row.examples_per_second
    assert row.examples_per_second * row.step_seconds == pytest.approx(64)
    assert row.peak_memory_mb and row.peak_memory_mb > 50
    beyond = measure(2048)
    assert (beyond.ended, beyond.reason) == ("data", "the network was given 1077 examples at most")


def test_memory_that_ends_is_told_from_other_errors() -> None:
    def greedy(run: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    row = measure_here(greedy, None, batch=8, steps=1)
    assert row.ended == "memory" and row.reason.startswith("CUDA out of memory")


def test_each_size_has_a_process_of_its_own_whose_memory_is_capped() -> None:
    function = "tests.workers.training_functions:takes_a_gigabyte_of_torch"
    measure = in_a_process(function, {}, parameter="batch_size", steps=1, memory_mb=200)
    row = measure(8)
    assert row.ended == "memory", row


def _plain(row: Measured) -> dict[str, Any]:
    return {
        "batch": row.batch,
        "examples_per_second": row.examples_per_second,
        "ended": row.ended,
        "reason": row.reason,
    }


def test_what_a_measured_function_started_in_another_session_ends_with_it(tmp_path: Path) -> None:
    measure = in_a_process(
        "tests.workers.forking_functions:starts_in_sessions_of_their_own",
        {"folder": str(tmp_path), "ending": "returns"},
        parameter="batch_size",
        steps=1,
    )
    assert measure(8).ended == "failed"  # it makes no steps
    for pid in started(tmp_path):
        assert not is_running(pid)
