from __future__ import annotations

import datetime as dt

import pytest

from experiments.trials.lifecycle.services import batch_sizes, dry_runs, queue
from experiments.trials.series.services import series
from workers.node import reaper
from workers.node.reaper import Reaper, idle_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reaper, "time", clock)
    return clock


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dt.timedelta]:
    asked: list[dt.timedelta] = []

    def reap(*, stale_after: dt.timedelta) -> list[int]:
        asked.append(stale_after)
        return [7]

    monkeypatch.setattr(queue, "reap", reap)
    for jobs in (batch_sizes, dry_runs):
        monkeypatch.setattr(jobs, "fail_silent", lambda *, stale_after: None)
    monkeypatch.setattr(series, "compact", lambda trial_id: None)
    return asked


def test_a_fresh_worker_takes_over_at_once(clock: Clock, asked: list[dt.timedelta]) -> None:
    assert Reaper(stale_after=60).reap() == [7]
    assert asked == [dt.timedelta(seconds=60)]


@pytest.mark.parametrize("stale_after", [10, 60])
def test_the_pauses_of_an_idle_worker_are_no_outage(
    clock: Clock, asked: list[dt.timedelta], stale_after: int
) -> None:
    reaper = Reaper(stale_after=stale_after)
    reaper.database_answered()
    clock.now += idle_seconds(5, stale_after) + 0.1
    assert reaper.reap() == [7]


def test_after_an_outage_others_get_time_to_be_heard(
    clock: Clock, asked: list[dt.timedelta]
) -> None:
    reaper = Reaper(stale_after=60)
    reaper.reap()
    clock.now += 5
    reaper.database_failed()
    clock.now += 59
    assert reaper.reap() == []
    clock.now += 2
    assert reaper.reap() == [7]


def test_one_whose_turn_comes_seldom_is_not_taken_for_deaf(
    clock: Clock, asked: list[dt.timedelta]
) -> None:
    reaper = Reaper(stale_after=60)
    for _ in range(100):
        clock.now += 10
        reaper.database_answered()
    assert reaper.reap() == [7]


def test_a_machine_that_slept_judges_nobody_at_first(
    clock: Clock, asked: list[dt.timedelta]
) -> None:
    reaper = Reaper(stale_after=60)
    reaper.reap()
    clock.now += 3600
    assert reaper.reap() == []
    for _ in range(13):
        clock.now += 5
        found = reaper.reap()
    assert found == [7]
