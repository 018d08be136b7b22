"""Start web, worker, Redis and database in every order, and let each go away for a while.

All limits are the defaults. A search has to go on each time, and to end as if nothing had been.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks._cluster import ROOT, PostgreSQL, Redis, Workers, signal_all
from benchmarks._faults_training import TRACE
from benchmarks._table import Row, row
from config import children

PARTS = ("database", "redis", "web", "worker")
MOST_SECONDS = 240.0  # until the search goes on, or ends
TRIALS, STEPS, PAUSE = 100, 6, 1.0  # enough to run in each absence; without one, four do
# In a process of its own, as each order has another database; it answers a line for each question.
ASK = """
import json, os, sys
from pathlib import Path
import django
django.setup()
from django.contrib.auth import get_user_model
from django.db import connections
from benchmarks import _faults
from experiments.models import Experiment
from experiments.trials.lifecycle.services import experiments
from experiments.team.queries.access import get_project
from experiments.team.services import projects
trials, steps, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def create():
    admin = get_user_model().objects.create_superuser("faults")
    projects.create(user=admin, slug="faults", name="Faults",
                    official_metric="validation_accuracy", direction="maximize")
    experiments.create(access=get_project(admin, "faults"), text=_faults.TEXT.format(
        trials=trials, parallel=2, seed=1, steps=steps, pause=pause))
    return {}
def state():
    one = Experiment.objects.get()
    found = {"state": one.state, "trials": one.trial_count}
    if one.state == "finished" and _faults.is_settled(one.pk):
        found["wrong"] = _faults.problems(
            one.pk, trials=trials, steps=steps, trace=Path(os.environ["VERDICT_FAULTS_TRACE"]))
    return found
for question in sys.stdin:
    print(json.dumps({"create": create, "state": state}[question.strip()]()), flush=True)
    connections.close_all()
"""


def start_in_orders(
    folder: Path, environment: Mapping[str, str], arguments: argparse.Namespace
) -> list[Row]:
    """One row an order: seconds until its search has ended; and one an absence: until it went on.

    With `arguments.away`, each part is stopped in turn for so many seconds (SIGSTOP: no socket
    is closed) while trials run.
    """
    rng = np.random.default_rng(arguments.seed)
    orders = list(itertools.permutations(PARTS))
    chosen = rng.permutation(len(orders)).tolist()[arguments.skip :][: arguments.orders]
    found = []
    for number in chosen:
        place = folder / f"order-{number}"
        place.mkdir()
        words = ", ".join(orders[number])
        print(f"started as {words}", flush=True)
        trials = TRIALS if arguments.away else 4
        parts = _Parts(place, {**environment, TRACE: str(place / "trace.jsonl")}, trials)
        began = time.monotonic()
        try:
            wrong = _wrong(parts, orders[number], rng, arguments.away)
        finally:
            parts.end()
        for line in wrong[:20]:
            print("WRONG:", line, flush=True)
        seconds = time.monotonic() - began
        found.append(row(f"started as {words}", seconds, unit="s", goal="ends", met=not wrong))
        for part, waited in parts.went_on.items():
            found.append(row(f"went on after {part} was away", waited, unit="s"))
    return found


def _wrong(
    parts: _Parts, order: tuple[str, ...], rng: np.random.Generator, away: float
) -> list[str]:
    """Start the parts two seconds apart, the tables last, and take each away in turn.

    Returns:
        What is not as if nothing had happened.
    """
    for part in order:
        parts.start(part)
        time.sleep(2)
    parts.migrate()
    parts.ask("create")
    for part in rng.permutation(PARTS).tolist() if away else ():
        if not parts.goes_on():
            print(parts.logs())
            return ["nothing has begun", *parts.dead()]
        parts.stop(part)
        time.sleep(away)
        parts.resume(part)
        began = time.monotonic()
        if not parts.goes_on():
            print(parts.logs())
            return [f"nothing went on after {part} was away", *parts.dead()]
        parts.went_on[part] = time.monotonic() - began
        print(f"  {part}: went on after {parts.went_on[part]:.1f} s", flush=True)
    until = time.monotonic() + MOST_SECONDS + parts.trials * STEPS * PAUSE
    while time.monotonic() < until:
        found = parts.ask("state")
        if "wrong" in found:
            return [*found["wrong"], *parts.dead()]
        time.sleep(1)
    print(parts.logs())
    return ["the search has not ended", *parts.dead()]


@dataclass(slots=True)
class _Parts:
    """Web, worker, Redis and database of one order; none of them runs at first."""

    folder: Path
    given: Mapping[str, str]
    trials: int
    went_on: dict[str, float] = field(default_factory=dict)
    server: PostgreSQL = field(init=False)
    redis: Redis = field(init=False)
    workers: Workers = field(init=False)
    environment: dict[str, str] = field(init=False)
    web: children.Child | None = None
    asked: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self.server, self.redis = PostgreSQL(self.folder), Redis(self.folder)
        self.server.stop()
        self.redis.end()
        self.environment = {
            **os.environ,
            **self.given,
            "DATABASE_URL": self.server.url,
            "REDIS_URL": self.redis.url,
            "VERDICT_DATA": str(self.folder / "data"),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PORT": str(18000 + os.getpid() % 1000),
        }
        self.workers = Workers(self.folder, self.environment, slots=2)

    def start(self, part: str) -> None:
        starts: dict[str, Callable[[], object]] = {
            "database": self.server.resume,
            "redis": self.redis.start,
            "worker": self.workers.start,
            "web": self._start_web,
        }
        starts[part]()

    def _start_web(self) -> None:
        command = [sys.executable, "-m", "config.web_server"]
        logs = self.folder / "logs"
        self.web = children.start("web", command, environment=self.environment, logs=logs)

    def stop(self, part: str) -> None:
        self._signal(part, signal.SIGSTOP)

    def resume(self, part: str) -> None:
        self._signal(part, signal.SIGCONT)

    def _signal(self, part: str, number: signal.Signals) -> None:
        stopped = number is signal.SIGSTOP
        if part == "database":
            (self.server.stop if stopped else self.server.resume)()
        elif part == "redis":
            (self.redis.stop if stopped else self.redis.resume)()
        elif part == "worker":
            for pid in self.workers.running:
                signal_all(pid, number)
        elif self.web is not None:
            signal_all(self.web.process.pid, number)

    def migrate(self) -> None:
        command = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(command, env=self.environment, cwd=ROOT, check=True)

    def ask(self, what: str) -> dict[str, Any]:
        """Create the search, or read how far it is."""
        if self.asked is None:
            numbers = (self.trials, STEPS, PAUSE)
            self.asked = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", ASK, *map(str, numbers)],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.asked.stdin is not None and self.asked.stdout is not None
        print(what, file=self.asked.stdin, flush=True)
        found: dict[str, Any] = json.loads(self.asked.stdout.readline())
        return found

    def goes_on(self) -> bool:
        """Wait until another trial has finished and the web server answers."""
        before = self.ask("state")
        until = time.monotonic() + MOST_SECONDS
        while time.monotonic() < until:
            now = self.ask("state")
            if (now["trials"] != before["trials"] or now["state"] == "finished") and self._ready():
                return True
            time.sleep(0.5)
        return False

    def _ready(self) -> bool:
        address = f"http://127.0.0.1:{self.environment['PORT']}/readyz"
        with suppress(OSError), urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
        return False

    def dead(self) -> list[str]:
        """Processes that have ended, and were not to."""
        running = [process for process in (self.web, *self.workers.running.values()) if process]
        ended = [process for process in running if process.exit_status is not None]
        return [f"{process.name} ended with {process.exit_status}" for process in ended]

    def logs(self) -> str:
        web = [] if self.web is None else self.web.last_lines(15)
        return "\n".join([*web, self.workers.logs(30)])

    def end(self) -> None:
        self.server.resume()
        for part in ("web", "worker"):
            with suppress(psutil.NoSuchProcess):  # it may have ended
                self.resume(part)
        if self.asked is not None:
            self.asked.kill()
            self.asked.wait()
        self.workers.end()
        children.stop([self.web] if self.web else [], grace=5)
        self.redis.end()
        self.server.end()
