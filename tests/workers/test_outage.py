"""A real training process while the database hangs: nobody waits, and nothing is lost."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from experiments.trials.series.series_encoding import decode
from experiments.trials.series.services.series import Batch
from tests.waiting import PATIENCE, wait_until
from tests.workers.slot_owner import Owner, job
from tests.workers.training_functions import odd_calls
from workers.delivery import disk_queue as spools
from workers.delivery.series_uploader import SeriesUploader
from workers.node.supervisor import Slot
from workers.training.messages import Outcome, SeriesFlush


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot(grace_seconds=0.5)
    yield slot
    slot.close()


class HangingDatabase:
    """Answers nothing until it is told to."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.taken: list[Batch] = []

    def deliver(self, batches: Sequence[Batch]) -> None:
        assert self.answers.wait(PATIENCE)
        self.taken += batches

    def points(self) -> dict[str, list[tuple[int, bytes]]]:
        found: dict[str, list[tuple[int, bytes]]] = {}
        for batch in self.taken:
            for name, columns in decode(batch.payload).items():
                values = [struct.pack("<d", value) for value in columns.values]
                found.setdefault(name, []).extend(zip(columns.steps.tolist(), values, strict=True))
        return found


def run_beside(slot: Slot, owner: Owner, uploader: SeriesUploader, function: str) -> Outcome:
    def put(flush: SeriesFlush) -> None:
        owner.flushes.append(flush)
        uploader.put(
            Batch(
                1, 1, flush.batch, flush.payload, flush.points, flush.first_step, flush.last_step
            )
        )

    return slot.run(
        job(function),
        on_series=put,
        on_report=owner.on_report,
        on_sealed=owner.sealed.append,
        on_log_tail=owner.tails.append,
        on_tick=owner.on_tick,
        tick_seconds=0.1,
    )


def test_a_database_that_hangs_holds_up_no_call_and_loses_no_bit(
    slot: Slot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "MEMORY_BYTES", 20_000)
    database, owner = HangingDatabase(), Owner()
    uploader = SeriesUploader(tmp_path, deliver=database.deliver)
    try:
        outcome = run_beside(slot, owner, uploader, "logs_a_thousand_a_second")
        assert outcome.state == "complete"
        assert database.taken == [], "it still hangs, and nobody waited for it"
        assert uploader.memory_bytes <= 20_000
        database.answers.set()
        uploader.wait(1, 1, give_up=threading.Event())
    finally:
        database.answers.set()
        uploader.close()
    found = database.points()
    expected: dict[str, list[tuple[int, bytes]]] = {}
    for number, (values, step) in enumerate(odd_calls()):
        for name, value in values.items():
            at = number if step is None else step
            expected.setdefault(name, []).append((at, struct.pack("<d", value)))
    assert {name: found[name] for name in expected} == expected


def test_a_supervisor_whose_owner_blocks_holds_up_no_call_either(
    slot: Slot, tmp_path: Path
) -> None:
    done = tmp_path / "done"

    class Blocking(Owner):
        def run(self, slot: Slot, function: str, **changes: object) -> Outcome:
            return slot.run(
                job(function, params={"file": str(done)}),
                on_series=self.keep_slowly,
                on_report=self.on_report,
                on_sealed=self.sealed.append,
                on_log_tail=self.tails.append,
                on_tick=self.on_tick,
                tick_seconds=0.1,
            )

        def keep_slowly(self, flush: SeriesFlush) -> None:
            if not self.flushes:
                wait_until(done.exists, what="all has been logged while this one blocks")
            self.flushes.append(flush)

    owner = Blocking()
    assert owner.run(slot, "logs_a_thousand_a_second").state == "complete"
    points = owner.points()
    assert len(points["steady"]) == sum("steady" in values for values, _ in odd_calls())
