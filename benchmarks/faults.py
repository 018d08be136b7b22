"""Kill, stop and starve whatever runs trials, and lose nothing.

    python -m benchmarks.faults [--json] [--seed 1] [--trials 200] [--workers 4] [--kills 34]
        [--disturb 22] [--away 6] [--only "redis full,disk full"] [--sqlite] [--small-disk]
    python -m benchmarks.faults --orders 24 [--skip 0] [--away 90] [--seed 1]

Trials of a second run on real worker processes, on a private PostgreSQL (or SQLite) and Redis.
Meanwhile processes are killed with SIGKILL in training, right after a resume, and between a value
and its commit; `--disturb` faults of other kinds come in turn, each `--away` seconds long: workers
stopped for longer than others wait for their heartbeat, database and Redis killed or stopped
without a closed socket, Redis full, read-only or another server, a full disk (`--small-disk`, as
root), nodes with another clock or other code. In the end every trial is complete exactly once,
under numbers and rows without a gap, with every metric at every step bit for bit; counters and
best value are right, and findings and importance are there. `--orders` starts web, worker, Redis
and database in so many orders instead, with the default limits; each is stopped in turn for
`--away` seconds, the search has to go on each time, and to end likewise. Exits with 1 otherwise.

A large run is made of parts: other seeds, each kind of database and disk, and with `--skip` other
orders of the same seed.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._cluster import Cluster
from benchmarks._faults_orders import start_in_orders
from benchmarks._faults_training import TRACE, read_trace
from benchmarks._table import Row, as_text, row

STEPS = 12
PAUSE = 0.1
RESUMED = "right after a resume"


def run(cluster: Cluster, trace: Path, arguments: argparse.Namespace) -> list[Row]:
    from django.contrib.auth import get_user_model

    from benchmarks import _faults
    from benchmarks._faults_parts import Disturber
    from experiments.database import limit_statements
    from experiments.models import Trial
    from experiments.team.queries.access import get_project
    from experiments.team.services import projects
    from experiments.trials.lifecycle.services import experiments

    limit_statements(5.0)
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
    disturber = Disturber(cluster, killer, rng, arguments.away)
    for kind, name in _mixed(arguments, list(disturber.faults()), rng):
        print(f"{time.monotonic() - started:6.0f} s  {name}", flush=True)
        if kind == "kill":
            killer.kill(name)
        else:
            disturber.disturb(name)
    settled = partial(_faults.is_settled, experiment.pk)
    while not (killer.is_finished() and _faults.persistently(settled)):
        if time.monotonic() - started > arguments.most_seconds:
            print(cluster.workers.logs())
            break
        time.sleep(0.5)
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
    rows += [row(name, count, unit="") for name, count in disturber.done.items()]
    rows.append(row("faults in all", kills + disturber.done.total(), unit=""))
    rows.append(row("trials", Trial.objects.count(), unit=""))
    rows.append(row("attempts", attempts, unit=""))
    rows.append(row("resumed from a checkpoint", sum(one["start"] > 0 for one in begun), unit=""))
    behind = _faults.behind_the_last_save(trace)
    rows.append(row("went on from before the last checkpoint saved", behind, unit=""))
    rows.append(row("all over after", seconds, unit="s"))
    return rows


def _mixed(
    arguments: argparse.Namespace, names: list[str], rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Kills in their order, and faults of all kinds equally often between them."""
    from benchmarks import _faults

    only = [name.strip() for name in arguments.only.split(",") if name.strip()]
    if unknown := set(only) - set(names):
        raise SystemExit(f"--only: found {', '.join(unknown)}; here are {', '.join(names)}")
    chosen = only or names
    faults = [chosen[i % len(chosen)] for i in range(arguments.disturb)]
    rng.shuffle(faults)
    kills = _faults.plan(arguments.kills, rng) if arguments.kills else []
    found = [("kill", moment) for moment in kills]
    for name in faults:  # not before the second kill of two
        places = [i for i in range(len(found) + 1) if found[i : i + 1] != [("kill", RESUMED)]]
        found.insert(places[int(rng.integers(len(places)))], ("fault", name))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=34)
    parser.add_argument("--disturb", type=int, default=22)
    parser.add_argument("--away", type=float, default=6.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--small-disk", action="store_true")
    parser.add_argument("--most-seconds", type=float, default=1800)
    parser.add_argument("--orders", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="orders that other parts start")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = secrets.randbits(31)
    print(f"seed {arguments.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="verdict-faults-"))
    trace = folder / "trace.jsonl"
    environment = {
        TRACE: str(trace),
        "OBJECTIVES": "benchmarks._faults_training",
        "LOG_LEVEL": "WARNING",
    }
    quick = {
        "HEARTBEAT_SECONDS": "1",
        "STALE_AFTER_SECONDS": "3",
        "DATABASE_SECONDS": "5",
        "TRIAL_RETRIES": "100",
    }
    options = {"sqlite": arguments.sqlite, "small_disk": arguments.small_disk}
    try:
        if arguments.orders:
            rows = start_in_orders(folder, environment, arguments)
        else:
            with Cluster(folder, environment | quick, **options) as cluster:
                rows = run(cluster, trace, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(as_text(rows, as_json=arguments.json))
    return 1 if any(measured.met is False for measured in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
