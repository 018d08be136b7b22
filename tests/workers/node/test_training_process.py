"""When a fork server is used again, when it is replaced, and what is told of memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.slot_owner import Owner
from workers.node import training_process
from workers.node.supervisor import Order, Slot


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot(grace_seconds=0.5)
    yield slot
    slot.close()


def test_a_change_of_code_begins_a_new_server(
    slot: Slot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "changing_objective.py"
    monkeypatch.syspath_prepend(str(tmp_path))  # a spawned process gets it, too
    outcomes: list[tuple[float | None, list[int]]] = []
    for value in (0.25, 0.25, 0.75):
        text = f"def train(run):\n    run.log({{'validation_accuracy': {value}}})\n"
        if not source.exists() or source.read_text() != text:
            source.write_text(text)
            past = time.time_ns() - 10**9 * (10 - len(outcomes))
            os.utime(source, ns=(past, past))
        where = {"objective": "changing_objective:train", "allowed": ("changing_objective",)}
        outcomes.append((Owner().run(slot, "", **where).score.value, slot.server_pids))
    assert [value for value, _ in outcomes] == [0.25, 0.25, 0.75]
    assert outcomes[0][1] == outcomes[1][1] != outcomes[2][1]


def test_memory_that_ran_out_is_named_with_the_traceback(slot: Slot) -> None:
    outcome = Owner().run(slot, "runs_out_of_memory")
    assert outcome.state == "failed"
    assert outcome.reason == "out of memory: the machine gave the process no more (8 TiB)"
    assert "MemoryError" in outcome.traceback


@pytest.mark.parametrize("order", ["stop", "leave"])
def test_who_is_to_leave_is_asked_before_it_is_killed(slot: Slot, order: Order) -> None:
    outcome = Owner(order).run(slot, "logs_until_stopped_and_saves")
    assert outcome.state == "stopped" and outcome.log_tail == "saved\n"


def test_the_kernels_kills_are_counted_in_the_processs_own_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 4\noom_kill 3\n")
    monkeypatch.setattr(training_process, "_memory_events", lambda: [tmp_path / "none", events])
    assert training_process._out_of_memory_kills() == 3
