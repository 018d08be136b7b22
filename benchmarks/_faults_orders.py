"""Start web, worker, Redis and database in every order; a search has to end in each."""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks._cluster import ROOT, PostgreSQL, Redis, Workers
from benchmarks._faults_training import TRACE
from benchmarks._table import Row, row
from config import children

PARTS = ("database", "redis", "web", "worker")
MOST_SECONDS = 240.0
# In a process of its own: each order has another database.
ASK = """
import os, sys
import django
django.setup()
from django.contrib.auth import get_user_model
from benchmarks import _faults
from experiments.models import Experiment
from experiments.trials.lifecycle.services import experiments
from experiments.team.queries.access import get_project
from experiments.team.services import projects
if sys.argv[1] == "create":
    admin = get_user_model().objects.create_superuser("faults")
    projects.create(user=admin, slug="faults", name="Faults",
                    official_metric="validation_accuracy", direction="maximize")
    experiments.create(access=get_project(admin, "faults"), text=_faults.TEXT.format(
        trials=4, parallel=2, seed=1, steps=2, pause=0.0))
else:
    print(list(Experiment.objects.values_list("state", flat=True))[0])
"""


def start_in_orders(
    folder: Path, environment: Mapping[str, str], arguments: argparse.Namespace
) -> list[Row]:
    """One row an order: seconds until the search has ended."""
    rng = np.random.default_rng(arguments.seed)
    orders = list(itertools.permutations(PARTS))
    chosen = rng.permutation(len(orders))[: arguments.orders].tolist()
    found = []
    for number in chosen:
        place = folder / f"order-{number}"
        place.mkdir()
        began = time.monotonic()
        ended = _ends(place, orders[number], {**environment, TRACE: str(place / "trace.jsonl")})
        words = ", ".join(orders[number])
        seconds = time.monotonic() - began
        found.append(row(f"started as {words}", seconds, unit="s", goal="ends", met=ended))
        print(words, ended, flush=True)
    return found


def _ends(folder: Path, order: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    """Start the parts two seconds apart, the tables last; whether the search then ends."""
    server, redis = PostgreSQL(folder), Redis(folder)
    server.stop()
    redis.end()
    whole = {
        **os.environ,
        **environment,
        "DATABASE_URL": server.url,
        "REDIS_URL": redis.url,
        "VERDICT_DATA": str(folder / "data"),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PORT": str(18000 + os.getpid() % 1000),
    }
    workers = Workers(folder, whole)
    webs: list[children.Child] = []
    command = [sys.executable, "-m", "config.web_server"]
    start = {
        "database": server.resume,
        "redis": redis.start,
        "worker": workers.start,
        "web": lambda: webs.append(
            children.start("web", command, environment=whole, logs=folder / "logs")
        ),
    }
    try:
        for part in order:
            start[part]()
            time.sleep(2)
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], env=whole, check=True)
        _ask("create", whole)
        until = time.monotonic() + MOST_SECONDS
        while time.monotonic() < until:
            if _ask("state", whole) == "finished":
                return webs[0].exit_status is None
            time.sleep(1)
        print(workers.logs())
        return False
    finally:
        server.resume()
        workers.end()
        children.stop(webs, grace=5)
        redis.end()
        server.end()


def _ask(what: str, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, what],
        env=dict(environment),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()
