"""What things cost as an experiment grows: processor time against the number of its trials.

    python -m benchmarks.growth [--json] [--sizes 1000 10000 100000] [--points 20]

Each size is an experiment in a SQLite file and a process of its own; nothing trains. A trial is
claimed, drawn, told with one point and looked at by the rules, as a worker does it; pages are
asked for within the process. Medians of processor time (of this process, so that a busy machine
changes little), and the memory of the process after all of it. Exits with 1 when something costs
more than `MOST` times what it costs at the smallest size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks._page_database import EXPERIMENT, FILE, PERSON, PROJECT, fill
from benchmarks._table import Row, as_text, row

MOST = 1.5
ROOT = f"/projects/{PROJECT}/experiments/{EXPERIMENT}/"
PAGES = {
    "experiment page": ROOT,
    "live poll of its parts": f"{ROOT}live/",
    "runs, first page": f"/projects/{PROJECT}/runs/?experiment={EXPERIMENT}",
    "page of the project": f"/projects/{PROJECT}/",
    "chart: learning curves": f"{ROOT}charts/?tab=curves",
    "chart: history": f"{ROOT}charts/?tab=history",
    "chart: parallel coordinates": f"{ROOT}charts/?tab=parallel",
    "findings, decide page": f"{ROOT}decide/",
}


class Reservation:
    """A place whose training logs one point and ends."""

    device = "cpu"

    def __init__(self) -> None:
        self.slot = self

    def allocate(self, gpus: int) -> str:
        return self.device

    def run(self, job: Any, *, on_series: Callable[..., None], **_: object) -> Any:
        from experiments.trials.series.series_encoding import encode
        from workers.training.messages import Outcome, Score, SeriesFlush

        score = Score(value=0.5, best_step=1, last_value=0.5, last_step=1, evaluations=1)
        payload = encode([(1, 1_700_000_000_000, {"validation_accuracy": 0.5})])
        names = ("validation_accuracy",)
        on_series(SeriesFlush(0, payload, 1, 1, 1, names, score))
        return Outcome("complete", score, names=names)


def measure(trials: int, points: int) -> Iterator[tuple[str, float]]:
    """Names of what was measured with milliseconds of processor time, or megabytes."""
    fill(trials, points)
    yield from _pages(trials)
    yield from _workers()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield "memory of a process that did all of it, MB", used


def _pages(trials: int) -> Iterator[tuple[str, float]]:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username=PERSON))

    def ask(address: str) -> None:
        answer = client.get(address, secure=True)
        if answer.status_code >= 300:
            raise RuntimeError(f"{address}: {answer.status_code}")
        for _ in answer:
            pass

    for name, address in PAGES.items():
        yield f"{name}, ms", _median(lambda address=address: ask(address))  # type: ignore[misc]
    rows = _median(lambda: ask(f"{ROOT}trials.csv"), times=1) / trials
    yield "trials.csv, of 1,000 rows, ms", 1000 * rows


def _workers() -> Iterator[tuple[str, float]]:
    from django.db.models import F
    from django.utils import timezone

    from experiments.design.document import experiment_file
    from experiments.models import Experiment, Study
    from workers.node.runner import TrialRunner
    from workers.search.storage import VerdictStorage

    experiment = Experiment.objects.get(name=EXPERIMENT)
    Experiment.objects.filter(pk=experiment.pk).update(state="running")
    Study.objects.filter(experiment=experiment).update(budget=F("next_row") + 1000)
    reservation = Reservation()
    for sampler in ("halton", "tpe"):
        text = FILE.format(project=PROJECT, name=EXPERIMENT, trials=10**6, seed=0)
        file = experiment_file.parse(text.replace("halton", sampler))
        # A file never changes, and what is known of it is kept under the time it was given.
        Experiment.objects.filter(pk=experiment.pk).update(
            sampler=sampler,
            document=experiment_file.as_document(file),
            created_at=timezone.now(),
        )
        runner = TrialRunner(worker_id=None, storage=VerdictStorage(), stopping=threading.Event())  # type: ignore[arg-type]

        def trial(runner: TrialRunner = runner) -> None:
            if not runner.run_next("cpu", reservation):  # type: ignore[arg-type]
                raise RuntimeError("nothing was claimed")

        yield f"a trial by {sampler}: claim, draw, tell, findings, ms", _median(trial, times=15)
        runner.close()


def _median(action: Callable[[], None], times: int = 5) -> float:
    """Milliseconds of processor time, after two calls that are not counted."""
    took = []
    for turn in range(times + 2):
        began = time.process_time()
        action()
        if turn > 1:
            took.append(1000 * (time.process_time() - began))
    return statistics.median(took)


def _of_size(trials: int, points: int) -> dict[str, float]:
    folder = tempfile.mkdtemp(prefix="verdict-growth-")
    environment = {
        **os.environ,
        "VERDICT_DATA": folder,
        "DATABASE_URL": f"sqlite:///{folder}/growth.sqlite3",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "ERROR",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "benchmarks.growth", "--one", str(trials)]
    try:
        done = subprocess.run(
            [*command, "--points", str(points)],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows_of(found: dict[int, dict[str, float]]) -> Iterator[Row]:
    smallest, *others = sorted(found)
    for name, least in found[smallest].items():
        for size in others:
            cost = found[size][name]
            what, _, unit = name.rpartition(", ")
            yield row(
                f"{what}: {size:,} against {smallest:,} trials",
                cost,
                least,
                unit=unit,
                goal=f"<= {MOST:g} times",
                met=cost <= MOST * least,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        import django

        django.setup()
        from django.core.management import call_command

        from config.static_files import collect_if_changed

        call_command("migrate", verbosity=0)
        collect_if_changed()
        print(json.dumps(dict(measure(arguments.one, arguments.points))))
        return 0
    rows = list(rows_of({size: _of_size(size, arguments.points) for size in arguments.sizes}))
    print(as_text(rows, as_json=arguments.json))
    return 1 if any(measured.met is False for measured in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
