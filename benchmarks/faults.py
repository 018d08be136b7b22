"""Kill workers and training processes, restart Redis and PostgreSQL, and lose nothing.

    python -m benchmarks.faults [--json] [--seed 1] [--trials 200] [--workers 4] [--kills 34]

Trials of a second run on real worker processes, on a private PostgreSQL and Redis. Meanwhile
processes are killed with SIGKILL in training, right after a resume, and between a value and its
commit; Redis is killed and comes back empty, twice; PostgreSQL crashes and comes back. In the end
every trial is complete exactly once, under numbers and rows without a gap, with every metric at
every step bit for bit, and counters and best value are right. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._cluster import Cluster
from benchmarks._faults_training import TRACE, read_trace
from benchmarks._table import Row, as_text, row

STEPS = 12
PAUSE = 0.1
MOST_SECONDS = 900


def run(cluster: Cluster, trace: Path, arguments: argparse.Namespace) -> list[Row]:
    from django.contrib.auth import get_user_model

    from benchmarks import _faults
    from experiments.models import Experiment, Trial
    from experiments.team.queries.access import get_project
    from experiments.team.services import projects
    from experiments.trials.lifecycle.services import experiments

    rng = np.random.default_rng(arguments.seed)
    admin = get_user_model().objects.create_superuser("faults")
    projects.create(
        user=admin,
        slug="faults",
        name="Faults",
        official_metric="validation_accuracy",
        direction="maximize",
    )
    experiment = experiments.create(
        access=get_project(admin, "faults"),
        text=_faults.TEXT.format(
            trials=arguments.trials,
            parallel=arguments.workers,
            seed=arguments.seed % 2**31,
            steps=STEPS,
            pause=PAUSE,
        ),
    )
    started = time.monotonic()
    for _ in range(arguments.workers):
        cluster.workers.start()
    killer = _faults.Killer(
        experiment.pk, cluster.workers, trace, rng, step_seconds=PAUSE, steps=STEPS
    )
    restarts = {arguments.kills // 4: "redis", arguments.kills // 2: "postgresql"}
    restarts[3 * arguments.kills // 4] = "redis"
    for number, moment in enumerate(_faults.plan(arguments.kills, rng)):
        if restarts.get(number) == "redis":
            cluster.redis.kill_and_restart_empty(away_seconds=1)
        elif restarts.get(number) == "postgresql":
            cluster.postgresql.crash_and_restart(away_seconds=2)
        killer.kill(moment)

    def is_finished() -> bool:
        return bool(Experiment.objects.get(pk=experiment.pk).state == "finished")

    while not _faults.persistently(is_finished):
        if time.monotonic() - started > MOST_SECONDS:
            print(cluster.workers.logs())
            break
        time.sleep(0.2)
    seconds = time.monotonic() - started
    found = _faults.problems(experiment.pk, trials=arguments.trials, steps=STEPS, trace=trace)
    for line in found[:50]:
        print("WRONG:", line)
    attempts = sum(Trial.objects.values_list("attempt", flat=True))
    begun = [event for event in read_trace(trace) if event["event"] == "begun"]
    kills = sum(killer.kills.values())
    rows = [row("problems found", len(found), unit="", goal="0", met=not found)]
    wanted = min(30, arguments.kills)  # a moment may not come before all is over
    rows.append(row("kill -9", kills, unit="", goal=f">= {wanted}", met=kills >= wanted))
    rows += [row(f"kill -9: {name}", count, unit="") for name, count in killer.kills.items()]
    rows.append(row("trials", Trial.objects.count(), unit=""))
    rows.append(row("attempts", attempts, unit=""))
    rows.append(row("resumed from a checkpoint", sum(one["start"] > 0 for one in begun), unit=""))
    behind = _faults.behind_the_last_save(trace)
    rows.append(row("went on from before the last checkpoint saved", behind, unit=""))
    rows.append(row("all over after", seconds, unit="s"))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=34)
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = secrets.randbits(31)
    print(f"seed {arguments.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="verdict-faults-"))
    trace = folder / "trace.jsonl"
    environment = {
        TRACE: str(trace),
        "OBJECTIVES": "benchmarks._faults_training",
        "HEARTBEAT_SECONDS": "1",
        "STALE_AFTER_SECONDS": "3",
        "TRIAL_RETRIES": "100",
        "LOG_LEVEL": "WARNING",
    }
    try:
        with Cluster(folder, environment) as cluster:
            rows = run(cluster, trace, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(as_text(rows, as_json=arguments.json))
    return 1 if any(each.met is False for each in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
