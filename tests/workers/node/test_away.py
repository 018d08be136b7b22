"""Workers whose Redis or database is away, stopped or broken: they wait, and go on."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from django.conf import settings

from benchmarks._cluster import PostgreSQL, Redis, Workers
from experiments.models import Experiment, Trial, Worker
from experiments.trials.lifecycle.services import experiments
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until
from tests.waiting import PATIENCE
from tests.waiting import wait_until as wait_for

TEXT = """
project: digits
experiment: {name}
goal: Is the work found where it lies?
objective: tests.workers.quick_objectives:bowl
search: {{sampler: halton, trials: 2, parallel: 2, seed: 5, pruner: none}}
hyperparameters:
  x: {{role: nuisance, low: 0.0, high: 0.8}}
  pause: {{role: fixed, value: 0.0}}
"""
Start = Callable[..., WorkerProcess]
_numbers = itertools.count()


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One of this test's own: it is broken."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.resume()
    server.end()


@pytest.fixture(autouse=True)
def allow_test_objectives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["tests.workers"])


def _runs_a_search(worker: WorkerProcess) -> None:
    """Wait until a worker has run a search that nobody told it of."""
    text = TEXT.format(name=f"search-{next(_numbers)}")
    made = experiments.create(access=cast.access("ada"), text=text)
    done = Experiment.objects.filter(pk=made.pk, state="finished", complete_count=2)
    wait_until(done.exists, worker=worker)


@pytest.mark.django_db(transaction=True)
def test_a_worker_runs_trials_while_redis_is_away_or_broken_in_any_way(
    start_worker: Start, redis: Redis
) -> None:
    cast.project()
    redis.end()
    worker = start_worker(REDIS_URL=redis.url)
    _runs_a_search(worker)  # it has never seen a Redis
    redis.start()
    _runs_a_search(worker)
    for broken in (redis.fill, redis.make_read_only):
        broken()
        _runs_a_search(worker)
        redis.empty()
    with redis.replaced_by_another_server():
        _runs_a_search(worker)
    redis.stop()
    _runs_a_search(worker)
    redis.resume()
    _runs_a_search(worker)
    assert worker.terminate() == 0
    assert Worker.objects.get().stopped_at is not None
    assert {trial.attempt for trial in Trial.objects.all()} == {1}


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_record_is_gone_ends_with_a_code(start_worker: Start) -> None:
    worker = start_worker()
    wait_until(Worker.objects.exists, worker=worker)
    Worker.objects.all().delete()
    assert worker.child.process.wait(timeout=PATIENCE) == 1
    assert "no longer knows this worker" in worker.log()


def test_celery_alone_is_no_worker(service_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers", "worker"],
        env=service_environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "start this worker with manage.py worker" in done.stderr


def test_a_worker_that_starts_before_its_database_waits_for_server_and_tables(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("away")
    server, redis = PostgreSQL(folder), Redis(folder)
    redis.end()
    environment = {
        "DATABASE_URL": server.url,
        "REDIS_URL": redis.url,
        "VERDICT_DATA": str(folder / "data"),
        "HEARTBEAT_SECONDS": "1",
        "DATABASE_SECONDS": "2",
    }
    workers = Workers(folder, environment)
    log = folder / "logs" / "worker-1.log"

    def has_said(text: str) -> None:
        wait_for(lambda: text in log.read_text(), told=log.read_text)

    server.stop()
    try:
        workers.start()
        has_said("the database is away")
        server.resume()
        has_said("the database lacks")
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity=0"],
            cwd=settings.BASE_DIR,
            env={**os.environ, **environment},
            check=True,
        )
        redis.start()
        with psycopg2.connect(server.url) as connection, connection.cursor() as cursor:

            def stands_there() -> bool:
                cursor.execute("SELECT name, queues FROM experiments_worker")
                return bool(cursor.fetchall() == [("worker-1", "cpu")])

            wait_for(stands_there, told=log.read_text)
        connection.close()
    finally:
        server.resume()
        workers.end()
        redis.end()
        server.end()


def test_a_worker_that_is_asked_to_end_while_it_waits_for_its_database_does(
    tmp_path: Path,
) -> None:
    environment = {
        "DATABASE_URL": f"postgresql://nobody@/nothing?host={tmp_path}",
        "VERDICT_DATA": str(tmp_path / "data"),
    }
    workers = Workers(tmp_path, environment)
    child = workers.running[workers.start()]
    wait_for(lambda: "the database is away" in child.log.read_text(), told=child.log.read_text)
    child.process.terminate()
    assert child.process.wait(timeout=PATIENCE) == 0
