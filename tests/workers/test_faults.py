"""A short version of `benchmarks/faults.py`: kills, stopped parts, odd nodes; nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.conf import settings

from benchmarks import _faults
from benchmarks._cluster import Redis, Workers
from benchmarks._faults_parts import Disturber
from benchmarks._faults_training import TRACE
from experiments.models import Experiment
from experiments.trials.lifecycle.services import experiments
from tests import cast
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

TRIALS, STEPS, PAUSE = 16, 6, 0.15
SEED = 20260817


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One of this test's own: it is killed."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.end()


@pytest.fixture
def workers(
    service_environment: dict[str, str], redis: Redis, tmp_path: Path
) -> Iterator[Workers]:
    environment = {
        **service_environment,
        "REDIS_URL": redis.url,
        TRACE: str(tmp_path / "trace.jsonl"),
        "OBJECTIVES": "benchmarks._faults_training",
        "HEARTBEAT_SECONDS": "1",
        "STALE_AFTER_SECONDS": "5",
        "TRIAL_RETRIES": "20",
    }
    found = Workers(tmp_path, environment)
    yield found
    for pid in list(found.running):
        found.kill(pid)


def test_killed_again_and_again_every_trial_is_complete_once_with_every_point(
    workers: Workers, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["benchmarks._faults_training"])
    cast.project("faults")
    text = _faults.TEXT.format(trials=TRIALS, parallel=2, seed=5, steps=STEPS, pause=PAUSE)
    experiment = experiments.create(access=cast.access("ada", "faults"), text=text)
    for _ in range(2):
        workers.start()
    trace = tmp_path / "trace.jsonl"
    killer = _faults.Killer(
        experiment.pk,
        workers,
        trace,
        np.random.default_rng(SEED),
        step_seconds=PAUSE,
        steps=STEPS,
    )
    moments = [_faults.MOMENTS[0], _faults.MOMENTS[2], _faults.MOMENTS[1], _faults.BEFORE_COMMIT]
    for number, moment in enumerate(moments):
        if number == 2:
            redis.kill_and_restart_empty(away_seconds=0.2)
        assert killer.kill(moment, seconds=PATIENCE), f"{moment} never came\n{workers.logs()}"
    running = Experiment.objects.filter(pk=experiment.pk, state="running")
    wait_until(lambda: not running.exists(), told=workers.logs)
    assert _faults.problems(experiment.pk, trials=TRIALS, steps=STEPS, trace=trace) == []
    assert sum(killer.kills.values()) == 4


def test_stopped_starved_and_misplaced_every_trial_is_complete_once_with_all_that_follows(
    workers: Workers, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["benchmarks._faults_training"])
    cast.project("faults")
    text = _faults.TEXT.format(trials=TRIALS, parallel=2, seed=5, steps=STEPS, pause=PAUSE)
    experiment = experiments.create(access=cast.access("ada", "faults"), text=text)
    for _ in range(2):
        workers.start()
    trace, rng = tmp_path / "trace.jsonl", np.random.default_rng(SEED)
    killer = _faults.Killer(experiment.pk, workers, trace, rng, step_seconds=PAUSE, steps=STEPS)
    cluster: Any = SimpleNamespace(
        folder=tmp_path, workers=workers, redis=redis, postgresql=None, small_disk=False
    )
    disturber = Disturber(cluster, killer, rng, away=6.0)  # others wait 5 s for a heartbeat
    for name in ("redis stopped", "worker stopped", "node with other code"):
        assert disturber.disturb(name), f"{name}: all was over before\n{workers.logs()}"
    settled = partial(_faults.is_settled, experiment.pk)
    wait_until(lambda: killer.is_finished() and settled(), told=workers.logs)
    assert _faults.problems(experiment.pk, trials=TRIALS, steps=STEPS, trace=trace) == []


def test_the_plan_of_kills_has_every_moment_and_resumes_what_was_killed() -> None:
    for seed in range(20):
        moments = _faults.plan(32, np.random.default_rng(seed))
        assert len(moments) == 32 and moments[0] != _faults.MOMENTS[2]
        counts = {moment: moments.count(moment) for moment in set(moments)}
        assert len(counts) == 4 and set(counts.values()) == {8}
