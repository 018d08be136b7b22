"""What a trial costs that does nothing: from the queue to its recorded result.

    python -m benchmarks.dispatch [--json] [--trials 400]

Two `manage.py worker` processes of one slot each, a private PostgreSQL (durable, as shipped) and
a private Redis. A trial is claimed, drawn, run in a process of its own, its point stored, its
result recorded, and the rules look at it. Celery's bare round trip is measured on the same Redis;
Ray Tune's figure is the published one of `PUBLISHED`. How soon such a process begins is measured
with an objective that imports torch, in a slot of its own; peer: a new interpreter that imports
it. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from benchmarks._cluster import ROOT, Cluster
from benchmarks._table import Row, as_text, row

# Ray Tune 2.60.0, 20 trials on two cores of this kind: 1,120 to 1,280 ms, a fresh process each.
PUBLISHED = 1120.0
TEXT = """
project: dispatch
experiment: {name}
goal: What does a trial cost that does nothing?
objective: benchmarks._dispatch_training:nothing
metrics:
  validation_accuracy: {{official: true, direction: maximize}}
search: {{sampler: halton, trials: {trials}, parallel: {parallel}, seed: 1, pruner: none}}
hyperparameters:
  x: {{role: nuisance, low: 0.0, high: 1.0}}
"""


def seconds_for(name: str, *, trials: int, parallel: int) -> float:
    """From the start of an experiment to the end of its last trial."""
    from django.contrib.auth import get_user_model

    from experiments.models import Experiment
    from experiments.team.queries.access import get_project
    from experiments.trials.lifecycle.services import experiments

    user = get_user_model().objects.get()
    text = TEXT.format(name=name, trials=trials, parallel=parallel)
    started = time.perf_counter()
    found = experiments.create(access=get_project(user, "dispatch"), text=text)
    while Experiment.objects.get(pk=found.pk).state != "finished":
        if time.perf_counter() - started > 300:
            raise RuntimeError(f"{name} does not end")
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    found.refresh_from_db()
    if found.complete_count != trials:
        raise RuntimeError(f"{name}: {found.complete_count} of {trials} trials are complete")
    return seconds


def dispatch(cluster: Cluster, trials: int) -> list[Row]:
    from django.contrib.auth import get_user_model

    from benchmarks._dispatch_celery import round_trip_ms
    from experiments.team.services import projects

    user = get_user_model().objects.create_superuser("dispatch")
    projects.create(
        user=user,
        slug="dispatch",
        name="Dispatch",
        official_metric="validation_accuracy",
        direction="maximize",
    )
    celery = round_trip_ms(cluster.redis.url)
    for _ in range(2):
        cluster.workers.start()
    seconds_for("warm-up", trials=40, parallel=2)
    idle = [_rss_mb(pid) for pid in cluster.workers.running]
    both = seconds_for("both", trials=trials, parallel=2)
    alone = seconds_for("alone", trials=trials // 2, parallel=1)
    milliseconds = 1e3 * both / trials
    one = 1e3 * alone / (trials // 2)
    rate = trials / both
    return [
        row(
            "a trial, 2 workers (beside Celery's round trip)",
            milliseconds,
            celery,
            unit="ms",
            goal="< 25",
            met=milliseconds < 25,
        ),
        row(
            "a trial, 2 workers (beside Ray Tune, published)",
            milliseconds,
            PUBLISHED,
            unit="ms",
            goal="< 25",
            met=milliseconds < 25,
        ),
        row(
            "trials in a second, 2 workers",
            rate,
            1e3 / PUBLISHED,
            unit="1/s",
            goal=">= 60",
            met=rate >= 60,
        ),
        row("a trial, one at a time (beside Celery's round trip)", one, celery, unit="ms"),
        row(
            "memory of an idle worker, without children",
            max(idle),
            unit="MB",
            goal="< 300",
            met=max(idle) < 300,
        ),
    ]


def starts(trials: int) -> list[Row]:
    """From handing a trial of torch to a slot to the first line of its function."""
    from workers.node.supervisor import Slot
    from workers.training.messages import Job, Outcome

    def run(slot: Slot) -> Outcome:
        return slot.run(
            Job(
                label="starts",
                objective="benchmarks._dispatch_torch:begins",
                allowed=("benchmarks._dispatch_torch",),
                params={},
                train_seed=0,
                split_seed=0,
                official_metric="validation_accuracy",
                direction="maximize",
            ),
            on_series=lambda flush: None,
            on_report=lambda step, value: None,
            on_sealed=lambda sealed: None,
            on_log_tail=lambda text: None,
            on_tick=lambda: None,
        )

    slot = Slot()
    waits, wholes = [], []
    try:
        run(slot)  # imports torch
        for _ in range(trials):
            handed = time.time()
            began = run(slot).score.value
            if began is None:
                raise RuntimeError("a trial of torch did not complete")
            wholes.append(1e3 * (time.time() - handed))
            waits.append(1e3 * (began - handed))
    finally:
        slot.close()
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    peer = 1e3 * (time.perf_counter() - began)
    middle, most = statistics.median(waits), statistics.quantiles(waits, n=20)[-1]
    return [
        row(
            "a clean process with torch begins, median",
            middle,
            peer,
            unit="ms",
            goal="< 50",
            met=middle < 50,
        ),
        row("a clean process with torch begins, 95 %", most, peer, unit="ms"),
        row("a trial of it from hand-over to end, median", statistics.median(wholes), unit="ms"),
    ]


def web(cluster: Cluster) -> list[Row]:
    """Memory of the web process after it has answered pages."""
    from config.static_files import collect_if_changed

    collect_if_changed()
    port = 18753
    command = [sys.executable, "-m", "config.web_server", "--port", str(port)]
    quiet = {**os.environ, "LOG_LEVEL": "ERROR", "METRICS_NETWORKS": "127.0.0.1"}
    server = subprocess.Popen(command, cwd=ROOT, env=quiet)
    try:
        deadline = time.monotonic() + 180
        while not _answers(f"http://127.0.0.1:{port}/readyz"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the web server does not answer")
            time.sleep(0.1)
        for _ in range(50):
            for page in ("login/", "metrics"):
                if not _answers(f"http://127.0.0.1:{port}/{page}"):
                    raise RuntimeError(f"/{page} does not answer")
        memory = _rss_mb(server.pid)
    finally:
        server.terminate()
        server.wait(20)
    return [row("memory of the web process", memory, unit="MB", goal="< 300", met=memory < 300)]


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            answer.read()
            return True
    except (urllib.error.URLError, OSError):
        return False


def _rss_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--trials", type=int, default=400)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="verdict-dispatch-"))
    environment = {"OBJECTIVES": "benchmarks._dispatch_training", "LOG_LEVEL": "WARNING"}
    try:
        with Cluster(folder, environment) as cluster:
            rows = [*dispatch(cluster, arguments.trials), *starts(50), *web(cluster)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(as_text(rows, as_json=arguments.json))
    return 1 if any(measured.met is False for measured in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
