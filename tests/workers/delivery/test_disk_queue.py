from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.trials.series.services.series import Batch
from workers.delivery import disk_queue as spools
from workers.delivery.disk_queue import DiskQueue, abandoned


def batch(number: int, size: int = 10, trial: int = 1) -> Batch:
    payload = bytes([number % 256]) * size
    return Batch(trial, 1, number, payload, 3, -5, 7, latest_value=number / 3, latest_step=number)


def numbers(queue: DiskQueue) -> list[int]:
    """Takes everything out, as somebody does who delivers."""
    found = []
    while front := queue.front(2, 10**6):
        found += [flush.batch for flush in front]
        queue.drop(len(front))
    return found


def test_flushes_come_out_as_they_came_in_and_nothing_is_written(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path / "a.spool")
    for number in range(3):
        queue.put(batch(number))
    assert queue.front(10, 10**6) == [batch(0), batch(1), batch(2)]
    assert numbers(queue) == [0, 1, 2]
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_a_flush_comes_back_from_disk_to_the_last_bit(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path / "a.spool")
    odd = [
        Batch(2**40, 3, 7, os.urandom(100), 5, -(2**63), 2**63 - 1, math.inf, -1),
        Batch(1, 0, 0, b"", 0, 0, 0),
    ]
    for flush in odd:
        queue.put(flush)
    queue.spill()
    assert queue.memory_bytes == 0
    assert queue.front(10, 10**6) == odd
    queue.put(Batch(1, 0, 1, b"", 0, 0, 0, math.nan, 2))
    back = queue.front(10, 10**6)[2].latest_value
    assert back is not None and math.isnan(back)
    queue.close()


@given(
    st.lists(st.sampled_from(["put", "spill", "take", "take two", "late"]), max_size=60),
    st.integers(1, 40),
)
def test_whatever_waits_where_none_is_lost_doubled_or_overtaken(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], limit: int
) -> None:
    queue = DiskQueue(tmp_path_factory.mktemp("spool") / "a.spool")
    put, taken = 0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spools, "MEMORY_BYTES", limit)
        for act in acts:
            if act == "put":
                queue.put(batch(put))
                put += 1
            elif act == "spill":
                queue.spill()
            elif act == "late":  # it went to disk while it was being delivered
                front = queue.front(2, 10**6)
                queue.spill()
                queue.drop(len(front))
                taken += [flush.batch for flush in front]
            else:
                front = queue.front(1 if act == "take" else 2, 15)
                queue.drop(len(front))
                taken += [flush.batch for flush in front]
            assert queue.memory_bytes <= limit
    assert taken + numbers(queue) == list(range(put))
    queue.close()


def test_memory_is_bounded_and_a_drained_file_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "MEMORY_BYTES", 1000)
    queue = DiskQueue(tmp_path / "a.spool")
    for number in range(100):
        queue.put(batch(number, 100))
        assert queue.memory_bytes <= 1000
    assert (tmp_path / "a.spool").stat().st_size > 80 * 100
    assert numbers(queue) == list(range(100))
    assert (tmp_path / "a.spool").stat().st_size == 0
    queue.put(batch(100))
    assert queue.memory_bytes == 10
    queue.close()


def test_what_has_waited_too_long_goes_to_disk_with_the_next_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = DiskQueue(tmp_path / "a.spool")
    queue.put(batch(0))
    assert queue.memory_bytes == 10
    monkeypatch.setattr(spools, "MEMORY_SECONDS", -1.0)
    queue.put(batch(1))
    assert queue.memory_bytes == 0
    queue.close()


def test_what_a_process_left_is_found_once_and_a_living_ones_is_not(tmp_path: Path) -> None:
    left = DiskQueue(tmp_path / "dead.spool")
    for number in range(3):
        left.put(batch(number))
    left.close()
    living = DiskQueue(tmp_path / "living.spool")
    living.put(batch(9))
    living.spill()
    (found,) = abandoned(tmp_path)
    assert list(abandoned(tmp_path)) == []
    assert numbers(found) == [0, 1, 2]
    found.close()
    assert [path.name for path in tmp_path.iterdir()] == ["living.spool"]
    living.close()


@pytest.mark.parametrize("damage", ["cut", "altered", "garbage"])
def test_a_record_that_a_kill_cut_off_costs_only_itself(tmp_path: Path, damage: str) -> None:
    left = DiskQueue(tmp_path / "dead.spool")
    for number in range(3):
        left.put(batch(number))
    left.close()
    path = tmp_path / "dead.spool"
    raw = path.read_bytes()
    if damage == "cut":
        path.write_bytes(raw[:-1])
    elif damage == "altered":
        path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    else:
        path.write_bytes(raw + struct.pack("<III", 2**31, 2**31, 0))
    (found,) = abandoned(tmp_path)
    assert numbers(found) == ([0, 1, 2] if damage == "garbage" else [0, 1])
    found.close()


def test_a_full_disk_keeps_flushes_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queue = DiskQueue(tmp_path / "a.spool")
    queue.put(batch(0))
    queue.spill()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        queue.put(batch(1))
        queue.put(batch(2))
    assert "cannot be written" in caplog.text
    assert queue.memory_bytes == 20
    queue.put(batch(3))
    assert queue.memory_bytes == 0
    assert numbers(queue) == [0, 1, 2, 3]
    queue.close()


def test_only_this_user_may_read_the_file(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path / "deep" / "a.spool")
    queue.put(batch(0))
    queue.spill()
    assert (tmp_path / "deep" / "a.spool").stat().st_mode & 0o077 == 0
    queue.close()
