"""Verdict's side of `benchmarks.series`: a worker's path from log calls to the database, and the
web server, each in processes of their own.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks._series_work import NAMES, odd_points, points

PROJECT, EXPERIMENT = "bench", "series"
WORK = "benchmarks._series_work"


def serve(pipe: Connection, url: str, folder: str) -> None:
    """Answer `(method, arguments)` until None comes."""
    os.environ |= {
        "DATABASE_URL": url,
        "VERDICT_DATA": folder,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "ERROR",
    }
    import django

    django.setup()
    verdict = Verdict(Path(folder))
    pipe.send(None)
    while (asked := pipe.recv()) is not None:
        try:
            pipe.send(getattr(verdict, asked[0])(*asked[1]))
        except Exception as error:
            pipe.send(error)


class Verdict:
    """A worker process on a new database."""

    def __init__(self, folder: Path) -> None:
        from django.contrib.auth.models import User
        from django.core.management import call_command

        from experiments.models import Membership, Project

        call_command("migrate", verbosity=0)
        self.folder = folder
        self.user = User.objects.create_superuser("bench", password="only for this run")
        self.project = Project.objects.create(
            slug=PROJECT, name=PROJECT, official_metric="s0", direction="minimize"
        )
        Membership.objects.create(user=self.user, project=self.project, role="admin")
        self.made = 0

    def token(self) -> str:
        from experiments.team.services import tokens

        return tokens.create(user=self.user, project=None, name="bench", scopes=["read", "write"])[
            1
        ]

    def session(self) -> str:
        """The cookie of somebody who is logged in."""
        from django.conf import settings
        from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
        from django.contrib.sessions.backends.db import SessionStore

        store = SessionStore()
        store[SESSION_KEY] = str(self.user.pk)
        store["_auth_user_backend"] = settings.AUTHENTICATION_BACKENDS[0]
        store[HASH_SESSION_KEY] = self.user.get_session_auth_hash()
        store.save()
        return f"{settings.SESSION_COOKIE_NAME}={store.session_key}"

    def runs(self, count: int, experiment: str = EXPERIMENT) -> list[int]:
        """Running trials without a worker of theirs; the flushes come through an uploader."""
        from experiments.team.queries.access import get_project
        from experiments.trials.lifecycle.services import runs

        new = runs.NewRun(experiment=experiment, params={"lr": 0.1})
        made = [
            runs.create(access=get_project(self.user, self.project.slug), new=new)
            for _ in range(count)
        ]
        return [run.run_id for run in made]

    def train(self, function: str, count: int, steps: int, **params: Any) -> dict[str, Any]:
        """Training processes log; seconds from their common start until all is durable."""
        place = self.folder / f"work-{self.made}"
        place.mkdir()
        ids = self.runs(count)
        seeds = list(range(self.made, self.made + count))
        self.made += count
        given = [{"folder": str(place), "seed": s, "steps": steps, **params} for s in seeds]
        with _Slots(self.folder / "spool", function, ids, given) as slots:
            _until(lambda: all((place / f"ready-{s}").exists() for s in seeds))
            start = time.perf_counter()
            (place / "go").touch()
            slots.join()
            seconds = time.perf_counter() - start
        told = [json.loads((place / f"told-{seed}").read_text()) for seed in seeds]
        return {"seconds": seconds, "ids": ids, "seeds": seeds, "told": told}

    def outage(self, steps: int, rate: int) -> dict[str, Any]:
        """As `train` with one process at a fixed rate; also what the worker's memory did."""
        from django.db import connections

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = self.train("log_at_a_rate", 1, steps, rate=rate)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        calls = odd_points(found["seeds"][0], steps)
        connections.close_all()  # this thread's own was cut, too
        return {**found, "grown_mb": grown / 1024, "same": self._holds(found["ids"][0], calls)}

    def killed(self, steps: int) -> float:
        """Seconds that lie between the newest stored point of a killed process and its end."""
        from experiments.trials.series.queries import series

        found = self.train("log_until_killed", 1, steps)
        values = series.read(found["ids"])[found["ids"][0]]["s0"].values
        return float(found["told"][0]["killed"] - values[-1])

    def _holds(self, trial_id: int, calls: list[tuple[dict[str, float], int]]) -> bool:
        """Whether a trial reads back what was logged: every bit, in order."""
        from experiments.trials.series.queries import series

        read = series.read([trial_id])[trial_id]
        for name in NAMES:
            values = b"".join(struct.pack("<d", values[name]) for values, _ in calls)
            if read[name].values.astype("<f8").tobytes() != values:
                return False
            if read[name].steps.tolist() != [step for _, step in calls]:
                return False
        return True

    def missing(self, ids: list[int], seeds: list[int], steps: int) -> int:
        """How many points do not read back as they were logged."""
        from experiments.trials.series.queries import series

        wrong = 0
        for trial_id, seed in zip(ids, seeds, strict=True):
            read = series.read([trial_id]).get(trial_id, {})
            expected = points(seed, steps)
            for name in NAMES:
                got = read[name].values.tolist() if name in read else []
                hits = sum(v == row[name] for v, row in zip(got, expected, strict=False))
                wrong += steps - hits
        return wrong

    def read_seconds(self, ids: list[int]) -> float:
        """Seconds in which everything is read into arrays."""
        from experiments.trials.series.queries import series

        start = time.perf_counter()
        series.read(ids)
        return time.perf_counter() - start

    def bytes_a_point(self, ids: list[int]) -> float:
        """Of the table with its indexes, when the trials have ended and it has been vacuumed."""
        from django.db import connection
        from django.db.models import Sum

        from experiments.models import SeriesBatch
        from experiments.trials.series.services import series

        for trial_id in ids:
            series.compact(trial_id)
        held = SeriesBatch.objects.aggregate(total=Sum("points"))["total"]
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("VACUUM FULL experiments_seriesbatch")
                cursor.execute("SELECT pg_total_relation_size('experiments_seriesbatch')")
            else:
                cursor.execute("VACUUM")
                cursor.execute(
                    "SELECT sum(pgsize) FROM dbstat WHERE name LIKE '%experiments_seriesbatch%'"
                )
            size = cursor.fetchone()[0]
        return float(size) / float(held)

    def long_series(self, count: int) -> dict[str, Any]:
        """A trial with a series of so many points, logged in flushes and ended."""
        import numpy as np

        from experiments.models import Trial
        from experiments.trials.lifecycle.services import run_ends
        from experiments.trials.series.series_encoding import encode
        from experiments.trials.series.services import series

        (trial_id,) = self.runs(1, f"long {count}")
        rng = np.random.default_rng(count)

        for batch, first in enumerate(range(0, count, 10_000)):
            steps = range(first, min(count, first + 10_000))
            calls = [
                (step, 1_700_000_000_000 + 5 * step, {"s0": 1 / (step + 1) + noise})
                for step, noise in zip(steps, 0.01 * rng.random(len(steps)), strict=True)
            ]
            series.append(
                series.Batch(trial_id, 0, batch, encode(calls), len(calls), steps[0], steps[-1])
            )
        run_ends.finish(run_id=trial_id, state="complete")
        return {"id": trial_id, "number": Trial.objects.get(pk=trial_id).number}

    def running(self, trials: int) -> dict[str, Any]:
        """So many running trials with a hundred evaluations each."""
        from experiments.trials.series.series_encoding import encode
        from experiments.trials.series.services import series

        for trial_id in self.runs(trials, "running"):
            calls = [(s, 1_700_000_000_000 + s, {"s0": 1 / (s + 1)}) for s in range(100)]
            series.append(series.Batch(trial_id, 0, 0, encode(calls), 100, 0, 99, 0.01, 99))
        return {"experiment": "running"}

    def collect_static(self) -> None:
        from config.static_files import collect_if_changed

        collect_if_changed()


class _Slots:
    """Training processes, one thread of the worker each, and the worker's uploader."""

    def __init__(
        self, queue: Path, function: str, ids: list[int], params: list[dict[str, Any]]
    ) -> None:
        from workers.delivery.series_uploader import SeriesUploader
        from workers.node.supervisor import Slot

        self._function = function
        self._uploader = SeriesUploader(queue)
        self._slots = [Slot() for _ in ids]
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=arguments)
            for arguments in zip(self._slots, ids, params, strict=True)
        ]

    def __enter__(self) -> _Slots:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.join()
        for slot in self._slots:
            slot.close()
        self._uploader.close()

    def join(self) -> None:
        """Return when every flush is in the database."""
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self, slot: Any, trial_id: int, params: dict[str, Any]) -> None:
        from experiments.trials.series.services.series import Batch
        from workers.training.messages import Job, SeriesFlush

        def put(flush: SeriesFlush) -> None:
            self._uploader.put(
                Batch(
                    trial_id,
                    0,
                    flush.batch,
                    flush.payload,
                    flush.points,
                    flush.first_step,
                    flush.last_step,
                    flush.score.last_value,
                    flush.score.last_step,
                )
            )

        job = Job(
            label=str(trial_id),
            objective=f"{WORK}:{self._function}",
            allowed=(WORK,),
            params=params,
            train_seed=1,
            split_seed=1,
            official_metric="s0",
            direction="minimize",
        )
        try:
            outcome = slot.run(
                job,
                on_series=put,
                on_report=lambda step, value: None,
                on_sealed=lambda sealed: None,
                on_log_tail=lambda text: None,
                on_tick=lambda: None,
            )
            if outcome.state != "complete" and self._function != "log_until_killed":
                raise RuntimeError(f"{outcome.state}: {outcome.reason}\n{outcome.log_tail}")
            self._uploader.wait(trial_id, 0, give_up=threading.Event())
        except BaseException as error:
            self._errors.append(error)


def _until(condition: Any) -> None:
    while not condition():
        time.sleep(0.002)


@contextmanager
def web_server(url: str, folder: Path, port: int) -> Iterator[str]:
    """The production web server; gives its address."""
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "VERDICT_DATA": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [sys.executable, "-m", "config.web_server", "--port", str(port)]
    with (folder / "web.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--lifespan", "off"],
            env=environment,
            cwd=Path(__file__).resolve().parents[1],
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        while not _answers(address):
            if server.poll() is not None:
                raise RuntimeError((folder / "web.log").read_text()[-2000:])
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def _answers(address: str) -> bool:
    try:
        with closing(urllib.request.urlopen(f"{address}/no-such-page", timeout=5)):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
