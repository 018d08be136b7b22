from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError

from experiments.trials.lifecycle.services import queue
from tests.waiting import PATIENCE, wait_until
from workers.node.heartbeats import Heartbeats, RunningAttempt


class Record:
    """Stands for the services that write heartbeats and log tails."""

    def __init__(self) -> None:
        self.beats: list[int] = []
        self.tails: list[str] = []
        self.control: str | None = ""
        self.away = False
        self.refused = 0

    def heartbeat(self, *, trial_id: int, attempt: int) -> str | None:
        if self.away:
            self.refused += 1
            raise OperationalError("connection refused")
        self.beats.append(trial_id)
        return self.control

    def keep_log_tail(self, *, trial_id: int, attempt: int, text: str) -> None:
        self.tails.append(text)


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    made = Record()
    monkeypatch.setattr(queue, "heartbeat", made.heartbeat)
    monkeypatch.setattr(queue, "keep_log_tail", made.keep_log_tail)
    return made


@pytest.fixture
def heartbeats(record: Record) -> Iterator[Heartbeats]:
    made = Heartbeats(seconds=0.01)
    yield made
    made.close()


def test_watched_trials_beat_and_hear_what_is_asked_of_them(
    heartbeats: Heartbeats, record: Record
) -> None:
    first, second = heartbeats.watch(1, 1), heartbeats.watch(2, 4)
    wait_until(lambda: {1, 2} <= set(record.beats))
    assert (first.control, first.fenced) == ("", False)
    record.control = "stop"
    wait_until(lambda: first.control == second.control == "stop")
    record.control = None
    wait_until(lambda: first.fenced and second.fenced)
    heartbeats.forget(first)
    record.beats.clear()
    wait_until(lambda: len(record.beats) > 3)
    assert record.beats.count(1) <= 1  # one that was on its way


def test_a_log_tail_is_written_once_and_the_newest_wins(
    heartbeats: Heartbeats, record: Record
) -> None:
    watched = heartbeats.watch(1, 1)
    watched.log_tail = "first"
    wait_until(lambda: record.tails)
    watched.log_tail = "second"
    wait_until(lambda: len(record.tails) == 2)
    count = len(record.beats)
    wait_until(lambda: len(record.beats) > count + 2)
    assert record.tails == ["first", "second"]


def test_a_database_that_is_away_ends_nothing(heartbeats: Heartbeats, record: Record) -> None:
    watched = heartbeats.watch(1, 1)
    record.away = True
    watched.log_tail = "later"
    wait_until(lambda: record.refused > 2)
    record.away = False
    wait_until(lambda: record.tails == ["later"])
    assert not watched.fenced


def test_after_forgetting_nothing_is_written(
    heartbeats: Heartbeats, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(*, trial_id: int, attempt: int, text: str) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)
        record.tails.append(text)

    monkeypatch.setattr(queue, "keep_log_tail", slow)
    watched: RunningAttempt = heartbeats.watch(1, 1)
    watched.log_tail = "on its way"
    assert entered.wait(PATIENCE)
    done = threading.Event()
    threading.Thread(target=lambda: (heartbeats.forget(watched), done.set())).start()
    assert not done.wait(0.05)
    go_on.set()
    assert done.wait(PATIENCE)
    assert record.tails == ["on its way"]
