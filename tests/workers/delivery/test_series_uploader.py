from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from django.db import IntegrityError, OperationalError

from experiments.trials.series.services.series import Batch
from tests.waiting import PATIENCE, wait_until
from workers.delivery import disk_queue as spools
from workers.delivery import series_uploader as couriers
from workers.delivery.disk_queue import DiskQueue
from workers.delivery.series_uploader import SeriesUploader, Undelivered

NEVER = threading.Event()
ALREADY = threading.Event()
ALREADY.set()


class Database:
    """Takes flushes, unless it is away or hangs."""

    def __init__(self) -> None:
        self.taken: list[Batch] = []
        self.away = False
        self.refuses: int | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.calls = 0

    def deliver(self, batches: Sequence[Batch]) -> None:
        self.calls += 1
        assert self.answers.wait(PATIENCE)
        if self.away:
            raise OperationalError("connection refused")
        if any(batch.batch == self.refuses for batch in batches):
            raise IntegrityError("no")
        self.taken += batches

    def numbers(self, trial: int = 1) -> list[int]:
        return [batch.batch for batch in self.taken if batch.trial_id == trial]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(couriers, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(couriers, "_CLOSE_SECONDS", PATIENCE)
    monkeypatch.setattr(couriers.series, "compact", lambda _: None)
    return Database()


Start = Callable[[], SeriesUploader]


@pytest.fixture
def start(tmp_path: Path, database: Database) -> Iterator[Start]:
    started: list[SeriesUploader] = []

    def make() -> SeriesUploader:
        started.append(SeriesUploader(tmp_path, deliver=database.deliver))
        return started[-1]

    yield make
    database.answers.set()
    for uploader in started:
        uploader.close()


def batch(number: int, trial: int = 1, attempt: int = 1, size: int = 1000) -> Batch:
    return Batch(trial, attempt, number, b"x" * size, 1, number, number)


def test_flushes_arrive_in_order_and_whoever_waits_goes_on(
    start: Start, database: Database
) -> None:
    uploader = start()
    for number in range(20):
        uploader.put(batch(number))
    uploader.wait(1, 1, give_up=NEVER)
    assert database.numbers() == list(range(20))
    uploader.wait(2, 1, give_up=NEVER)  # of which there is nothing


def test_while_the_database_is_away_flushes_go_to_disk_and_arrive_later_in_order(
    start: Start, database: Database, tmp_path: Path
) -> None:
    database.away = True
    uploader = start()
    for number in range(50):
        uploader.put(batch(number))
    wait_until(lambda: uploader.memory_bytes == 0)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 50_000
    with pytest.raises(Undelivered):
        uploader.wait(1, 1, give_up=ALREADY)
    database.away = False
    uploader.wait(1, 1, give_up=NEVER)
    assert database.numbers() == list(range(50))


def test_while_the_database_hangs_nobody_waits_and_memory_is_bounded(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "MEMORY_BYTES", 20_000)
    database.answers.clear()
    uploader = start()
    for number in range(500):
        uploader.put(batch(number))
        assert uploader.memory_bytes <= 20_000
    assert database.taken == [], "it still hangs, and nobody waited for it"
    database.answers.set()
    uploader.wait(1, 1, give_up=NEVER)
    assert database.numbers() == list(range(500))


def test_a_refused_flush_is_told_to_its_trial_and_holds_up_no_other(
    start: Start, database: Database
) -> None:
    database.refuses = 3
    database.answers.clear()
    uploader = start()
    for number in range(5):
        uploader.put(batch(number))
    uploader.put(batch(0, trial=2))
    database.answers.set()
    with pytest.raises(IntegrityError):
        uploader.wait(1, 1, give_up=NEVER)
    uploader.wait(2, 1, give_up=NEVER)
    assert database.numbers() == [0, 1, 2, 4]


def test_what_a_dead_process_left_is_delivered_by_the_next(
    start: Start, database: Database, tmp_path: Path
) -> None:
    left = DiskQueue(tmp_path / "dead.spool")
    for number in range(3):
        left.put(batch(number))
    left.close()
    uploader = start()
    uploader.put(batch(3))
    wait_until(lambda: len(database.taken) == 4)
    wait_until(lambda: not list(tmp_path.glob("*.spool")))
    assert sorted(database.numbers()) == [0, 1, 2, 3]


def test_closing_leaves_what_cannot_be_delivered_on_disk(
    start: Start, database: Database, tmp_path: Path
) -> None:
    database.away = True
    uploader = start()
    for number in range(3):
        uploader.put(batch(number))
    uploader.close()
    assert database.taken == []
    database.away = False
    start().put(batch(3))
    wait_until(lambda: len(database.taken) == 4)


def test_closing_while_the_database_hangs_leaves_all_on_disk(
    start: Start, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "_CLOSE_SECONDS", 0.3)
    database.answers.clear()
    uploader = start()
    for number in range(3):
        uploader.put(batch(number))
    wait_until(lambda: database.calls)
    uploader.close()
    (left,) = [DiskQueue.found(path, path.open("r+b")) for path in tmp_path.glob("*.spool")]
    assert [flush.batch for flush in left.front(9, 10**6)] == [0, 1, 2]
    left.close()


def test_a_long_run_has_its_flushes_joined_as_it_goes(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[int] = []
    monkeypatch.setattr(couriers.series, "compact", joined.append)
    monkeypatch.setattr(couriers, "COMPACT_EVERY", 4)
    uploader = start()
    for number in range(10):
        uploader.put(batch(number))
    uploader.wait(1, 1, give_up=NEVER)
    assert joined == [1, 1]
