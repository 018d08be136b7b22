"""What many workers cost the database: idle ones, and those that ask for a trial all at once.

    python -m benchmarks.many_workers [--json] [--workers 1000] [--claimers 200] [--seconds 30]

A private PostgreSQL, durable, as shipped. Idle workers are real records that send their real
heartbeats at their real times, from the threads of one process; what one of them does for all is
done when its turn comes. Claimers are threads of a few processes, each with a connection of its
own, that begin at one moment; the time of each is from that moment to its trial. Exits with 1
when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import redis

from benchmarks._cluster import Cluster
from benchmarks._table import Row, as_text, row

HEARTBEAT_SECONDS = 5.0
PROCESSES = 4
LONGEST_WAIT = 100.0  # ms
TEXT = """
project: many
experiment: {name}
goal: Do claims wait for each other?
objective: benchmarks._dispatch_training:{objective}
metrics:
  validation_accuracy: {{official: true, direction: maximize}}
search: {{sampler: halton, trials: {trials}, parallel: {trials}, seed: 1, pruner: none}}
hyperparameters:
  x: {{role: nuisance, low: 0.0, high: 1.0}}
"""


class Statements:
    """Counter of the statements that this process sends, over all threads."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        with self._lock:
            self.count += 1
        return execute(sql, params, many, context)


def idle(workers: int, seconds: float) -> list[Row]:
    """Statements of idle workers, and how long a heartbeat takes."""
    from django.db import connection

    from experiments.trials.lifecycle.services import workers as services

    ids = [
        services.register(
            name=f"node-{n}", host=f"host-{n}", pid=1, queues=["cpu"], slots=1, devices=["cpu"]
        )
        for n in range(workers)
    ]
    rng = random.Random(1)
    due = [(rng.uniform(0, 2 * HEARTBEAT_SECONDS), worker) for worker in ids]
    took: list[float] = []
    turns = [0]
    counted = Statements()
    started = time.perf_counter()

    def live(share: list[tuple[float, int]]) -> None:
        with connection.execute_wrapper(counted):
            while share:
                share.sort()
                at, worker = share.pop(0)
                if at > seconds:
                    break
                time.sleep(max(0.0, started + at - time.perf_counter()))
                began = time.perf_counter()
                heard = services.heartbeat(
                    worker_id=worker, queues=["cpu"], turn_seconds=HEARTBEAT_SECONDS / 2
                )
                took.append(1000 * (time.perf_counter() - began))
                has_turn = heard is not None and heard.has_turn
                if has_turn:
                    turns[0] += 1
                    _run_periodic_checks()
                share.append((at + HEARTBEAT_SECONDS * (1 if has_turn else 2), worker))
        connection.close()

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(live, due[n::8]) for n in range(8)]:
            done.result()
    statements = counted.count / workers / seconds * 10
    return [
        row(
            f"{workers:,} idle workers: statements a worker in 10 s, all its turns included",
            statements,
            unit="statements",
            goal="<= 1.1",
            met=statements <= 1.1,
        ),
        row("a heartbeat, median", statistics.median(took), unit="ms"),
        row("a heartbeat, longest", max(took), unit="ms"),
        row("turns to look after all, in 10 s", turns[0] / seconds * 10, unit="turns"),
    ]


def _run_periodic_checks() -> None:
    """The statements of a worker's turn where nothing is owed."""
    import datetime as dt

    from experiments.team.services import deliveries
    from experiments.trials.findings.queries.findings_due import (
        due_experiments,
        due_summaries,
        due_trials,
    )
    from experiments.trials.lifecycle.services import (
        batch_sizes,
        dry_runs,
        edge_probes,
        experiments,
        queue,
        run_ends,
        stalled,
    )
    from experiments.verdict.services import variance

    silence = dt.timedelta(minutes=1)
    batch_sizes.fail_silent(stale_after=silence)
    dry_runs.fail_silent(stale_after=silence)
    queue.reap(stale_after=silence)
    run_ends.fail_silent()
    edge_probes.advance_all()
    due_trials(5, silence=silence)
    due_experiments(1, silence=silence)
    due_summaries(20)
    variance.queue_winners()
    experiments.stop_overdue()
    stalled.check()
    deliveries.any_due()


def busy(cluster: Cluster) -> list[Row]:
    """Transactions and messages of one worker that trains."""
    from experiments.models import Trial
    from experiments.models.trial import TrialState

    _create("steady", "steady", trials=1)
    cluster.workers.start()
    while not Trial.objects.filter(latest_step__gt=1).exists():
        time.sleep(0.1)
    before, began = _committed(cluster), time.perf_counter()
    time.sleep(20)
    after, seconds = _committed(cluster), time.perf_counter() - began
    if not Trial.objects.filter(state=TrialState.RUNNING).exists():
        raise RuntimeError("the trial has ended before its time")
    cluster.workers.end()
    transactions, messages = (
        later - earlier for later, earlier in zip(after, before, strict=True)
    )
    return [
        row(
            "a worker that trains, turns included: transactions in 10 s",
            transactions / seconds * 10,
            unit="transactions",
        ),
        row("a worker that trains: Redis commands in 10 s", messages / seconds * 10, unit="calls"),
    ]


def _committed(cluster: Cluster) -> tuple[int, int]:
    """Transactions of the database, and commands of Redis, up to now."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        found = int(cursor.fetchone()[0])
    with redis.Redis.from_url(cluster.redis.url.replace("redis+socket", "unix", 1)) as client:
        return found, int(client.info()["total_commands_processed"])


def _create(name: str, objective: str, *, trials: int) -> None:
    from django.contrib.auth import get_user_model

    from experiments.team.queries.access import get_project
    from experiments.team.services import projects
    from experiments.trials.lifecycle.services import experiments

    user, made = get_user_model().objects.get_or_create(
        username="many", defaults={"is_superuser": True}
    )
    if made:
        projects.create(
            user=user,
            slug="many",
            name="Many",
            official_metric="validation_accuracy",
            direction="maximize",
        )
    text = TEXT.format(name=name, objective=objective, trials=trials)
    experiments.create(access=get_project(user, "many"), text=text)


def claims(claimers: int) -> list[Row]:
    """Time from one moment to the trial of each of many claimers."""
    from django.db import connections

    _create("claims", "nothing", trials=2 * claimers)
    alone = _claim_at_once(1, 1)["ms"]
    connections.close_all()
    found = _claim_at_once(claimers, PROCESSES)
    waits = sorted(found["ms"])
    trials = found["trials"]
    return [
        row("one claim alone", alone[0], unit="ms"),
        row(f"{claimers} claims at once: median", statistics.median(waits), unit="ms"),
        row(
            f"{claimers} claims at once: longest",
            waits[-1],
            unit="ms",
            goal=f"<= {LONGEST_WAIT:g}",
            met=waits[-1] <= LONGEST_WAIT,
        ),
        row("claims a second meanwhile", 1000 * len(waits) / waits[-1], unit="claims/s"),
        row(
            "claims that failed, or took a trial twice",
            found["failed"] + len(trials) - len(set(trials)),
            unit="claims",
            goal="0",
            met=not found["failed"] and len(trials) == len(set(trials)) == claimers,
        ),
    ]


def _claim_at_once(claimers: int, processes: int) -> dict[str, Any]:
    at = time.time() + 5 + 2 * processes
    shares = [claimers // processes + (n < claimers % processes) for n in range(processes)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.many_workers", "--claim", f"{at}:{share}"],
            stdout=subprocess.PIPE,
            env=dict(os.environ),
        )
        for share in shares
        if share
    ]
    told = [json.loads(process.communicate(timeout=300)[0]) for process in started]
    return {
        "ms": [ms for answer in told for ms in answer["ms"]],
        "trials": [trial for answer in told for trial in answer["trials"]],
        "failed": sum(answer["failed"] for answer in told),
    }


def claim(at: float, threads: int) -> str:
    """Claim from so many threads at the moment `at` of the clock; as JSON."""
    from django.db import DatabaseError, connection

    from experiments.trials.lifecycle.services import queue

    found: dict[str, Any] = {"ms": [], "trials": [], "failed": 0}

    def one() -> None:
        queue.claimable("cpu")  # as idle workers do: no claim is its session's first statement
        time.sleep(max(0.0, at - time.time()))
        try:
            claimed = queue.claim(queue="cpu", worker_id=None)
        except DatabaseError:
            claimed = None
        if claimed is None:
            found["failed"] += 1
        else:
            found["ms"].append(1000 * (time.time() - at))
            found["trials"].append(claimed.trial_id)
        connection.close()

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(one) for _ in range(threads)]:
            done.result()
    return json.dumps(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--claimers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--claim", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.claim:
        at, _, threads = arguments.claim.partition(":")
        import django

        django.setup()
        print(claim(float(at), int(threads)))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="verdict-workers-"))
    environment = {"OBJECTIVES": "benchmarks._dispatch_training", "LOG_LEVEL": "ERROR"}
    try:
        with Cluster(folder, environment, max_connections=arguments.claimers + 50) as cluster:
            rows = [*busy(cluster), *idle(arguments.workers, arguments.seconds)]
            rows += claims(arguments.claimers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(as_text(rows, as_json=arguments.json))
    return 1 if any(measured.met is False for measured in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
