"""Measure the MLflow protocol: Verdict's server beside MLflow's own, in turns, on one PostgreSQL.

    python -m benchmarks.mlflow [--json] [--only PART ...] [--scale 1.0] [--peer PYTHON]

Both get the same requests over kept-alive connections. `--peer` is the interpreter of an
environment in which MLflow and psycopg2 are installed, by default this one. Each part takes a few
minutes. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import _mlflow_runs as runs
from benchmarks import _series_peers as peers
from benchmarks import _series_verdict as ours
from benchmarks._mlflow_runs import Tracker, batch
from benchmarks.series import Places, Worker, _port, _web
from benchmarks.storage import Row, row, show

ROUNDS = 5
CLIENTS = 8
AT_ONCE = 16  # clients of one run
HALF, FIVE_TIMES = "half the p50", "5 times"
Work = Callable[[Tracker, str, int], object]  # connection, run, number of the turn


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers."""

    address: str
    database: str
    token: str = ""

    def client(self) -> Tracker:
        return Tracker(self.address, self.token)


@contextmanager
def servers(places: Places, python: str) -> Iterator[list[Side]]:
    """Verdict's production server and, where it is installed, MLflow's."""
    with Worker(places, "PostgreSQL") as worker, _web(worker) as address:
        sides = [Side(f"{address}/projects/{ours.PROJECT}", worker.url, worker.do("token"))]
        if subprocess.run([python, "-c", "import mlflow"], capture_output=True).returncode:
            print("MLflow is not installed: make setup PEERS=1, or --peer", file=sys.stderr)
            yield sides
            return
        database = places.url("PostgreSQL")
        with peers.mlflow_server(database, places.new(), _port(), python) as theirs:
            yield [*sides, Side(theirs, database)]


def single(sides: list[Side], scale: float) -> Iterator[Row]:
    """One client on one connection: median time of a call."""
    points = batch(0, 100, 10)
    parts: dict[str, tuple[int, Work]] = {
        "log-metric": (
            60,
            lambda at, run, n: at.post("runs/log-metric", run_id=run, **batch(n, 1, 1)[0]),
        ),
        "log-batch of 1,000 metrics": (
            6,
            lambda at, run, n: at.post("runs/log-batch", run_id=run, metrics=points),
        ),
        "create run": (30, lambda at, run, n: at.run(run)),
    }
    for what, (count, work) in parts.items():
        medians = _medians(sides, what, max(3, int(count * scale)), work)
        yield from _latency(f"{what}, kept alive, p50", [1e3 * median for median in medians])
        if "1,000" in what:
            yield row("  points/s", *_pair([1000 / median for median in medians]), "/s")


def _medians(sides: list[Side], what: str, count: int, work: Work) -> list[float]:
    """Median seconds of a call on each side; the sides take turns."""
    clients = [side.client() for side in sides]
    targets = []
    for client in clients:
        experiment = client.experiment(what)
        targets.append(experiment if what == "create run" else client.run(experiment))
    for turn in range(ROUNDS + 1):
        for client, target in zip(clients, targets, strict=True):
            if turn == 1:
                client.seconds.clear()  # the first turn warms up
            for number in range(count):
                work(client, target, turn * count + number)
    for client in clients:
        client.close()
    return [statistics.median(client.seconds) for client in clients]


def throughput(sides: list[Side], scale: float) -> Iterator[Row]:
    """Eight clients, each with a connection and a run of its own."""
    points = batch(0, 100, 10)
    parts: dict[str, tuple[int, Work]] = {
        "log-metric, requests/s": (
            1,
            lambda at, run, n: at.post("runs/log-metric", run_id=run, **batch(n, 1, 1)[0]),
        ),
        "log-batch of 1,000, points/s": (
            1000,
            lambda at, run, n: at.post(
                "runs/log-batch",
                run_id=run,
                metrics=[
                    {**p, "step": p["step"] + 100 * n, "timestamp": p["timestamp"] + 100 * n}
                    for p in points
                ],
            ),
        ),
    }
    for what, (of_call, work) in parts.items():
        rates: list[list[float]] = [[] for _ in sides]
        wrong = [0 for _ in sides]
        loads = [Load(side, CLIENTS, work) for side in sides]
        for _ in range(ROUNDS):
            for place, load in enumerate(loads):
                rates[place].append(of_call * load.rate(4 * scale))
        for place, load in enumerate(loads):
            for error in load.errors[:1]:
                print(f"{sides[place].address}: {error!r}", file=sys.stderr)
            wrong[place] = len(load.errors) + load.lost(max(1, of_call // 10))
        mine, theirs = _pair([statistics.median(values) for values in rates])
        met = None if theirs is None else mine >= 5 * theirs
        yield row(f"{CLIENTS} clients, {what}", mine, theirs, "/s", FIVE_TIMES, met)
        yield row("  refused or lost", *_pair(wrong), "", "0", wrong[0] == 0)


class Load:
    """Clients that send at the same time, each to a run of its own or all to one."""

    def __init__(self, side: Side, count: int, work: Work, *, one_run: bool = False) -> None:
        self._clients = [side.client() for _ in range(count)]
        first = self._clients[0]
        experiment = first.experiment(f"load of {id(self)}")
        self.runs = [first.run(experiment) for _ in range(1 if one_run else count)] * count
        self._work = work
        self.sent = [0] * count
        self.errors: list[Exception] = []

    def rate(self, seconds: float, most: int = 10**9) -> float:
        """Calls a second of all clients together, each of which sends so many at most."""
        before, start = sum(self.sent), time.perf_counter()
        threads = [
            threading.Thread(target=self._send, args=(place, start + seconds, most))
            for place in range(len(self._clients))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (sum(self.sent) - before) / (time.perf_counter() - start)

    def _send(self, place: int, until: float, most: int) -> None:
        for _ in range(most):
            if time.perf_counter() > until:
                return
            try:
                self._work(self._clients[place], self.runs[place], self.sent[place])
                self.sent[place] += 1
            except (RuntimeError, OSError, HTTPException) as error:
                self.errors.append(error)

    def lost(self, points: int) -> int:
        """How many points of the metric m0 do not read back, of so many a call."""
        return sum(
            abs(points * sent - len(self._clients[0].history(run, "m0")))
            for run, sent in zip(self.runs, self.sent, strict=False)
        )


def one_run(sides: list[Side], scale: float) -> Iterator[Row]:
    """Sixteen clients log the same metrics and tags to one run (mlflow#24923)."""
    calls = max(2, int(20 * scale))
    found, rates = [], []
    for side in sides:
        load = Load(side, AT_ONCE, _shared_batch, one_run=True)
        for place in range(AT_ONCE):
            load.sent[place] = 1000 * place  # steps of their own
        rates.append(load.rate(120, calls))
        sent = sum(load.sent) - sum(1000 * place for place in range(AT_ONCE))
        read = len(load._clients[0].history(load.runs[0], "m0"))
        found.append(len(load.errors) + abs(sent - read))
        for error in load.errors[:1]:
            print(f"{side.address}: {error}", file=sys.stderr)
    yield row(f"{AT_ONCE} clients on one run, requests/s", *_pair(rates), "/s")
    yield row("  refused (deadlocks among them) or lost", *_pair(found), "", "0", found[0] == 0)


def _shared_batch(client: Tracker, run: str, step: int) -> None:
    names = batch(step, 1, 10)
    if step % 2:  # in another order, which is what two locks need for a deadlock
        names.reverse()
    client.post(
        "runs/log-batch", run_id=run, metrics=names, tags=[{"key": "step", "value": str(step)}]
    )


def search(sides: list[Side], scale: float) -> Iterator[Row]:
    """First page of 10,000 runs, sorted by a metric."""
    count = int(10_000 * scale)
    clients, experiments = [side.client() for side in sides], []
    for side, client, tables in zip(sides, clients, (runs.OURS, runs.THEIRS), strict=False):
        experiments.append(client.experiment("10,000 runs"))
        run = client.run(experiments[-1])
        params = [{"key": f"p{k}", "value": str(k / 7)} for k in range(10)]
        client.post("runs/log-batch", run_id=run, metrics=batch(0, 1, 10), params=params)
        runs.multiply(side.database, tables, run, count - 1)
    for page in (100, 1000):
        for client in clients:
            client.seconds.clear()
        for turn in range(2 * ROUNDS):
            for client, experiment in zip(clients, experiments, strict=True):
                found = client.post(
                    "runs/search",
                    experiment_ids=[experiment],
                    order_by=["metrics.m0 DESC"],
                    max_results=page,
                )["runs"]
                values = [
                    m["value"] for r in found for m in r["data"]["metrics"] if m["key"] == "m0"
                ]
                assert len(values) == page and values == sorted(values, reverse=True)
                if not turn:
                    client.seconds.clear()
        medians = [1e3 * statistics.median(client.seconds) for client in clients]
        yield from _latency(f"search of {count:,} runs by a metric, page of {page:,}", medians)


def history(sides: list[Side], scale: float) -> Iterator[Row]:
    """All 100,000 points of a metric, in pages of 25,000."""
    count, totals = int(100_000 * scale), []
    clients = [side.client() for side in sides]
    targets = [client.run(client.experiment("long")) for client in clients]
    for client, run in zip(clients, targets, strict=True):
        for first in range(0, count, 1000):
            client.post("runs/log-batch", run_id=run, metrics=batch(first, 1000, 1))
    totals = [[] for _ in clients]
    for _ in range(ROUNDS):
        for place, (client, run) in enumerate(zip(clients, targets, strict=True)):
            start = time.perf_counter()
            assert len(client.history(run, "m0")) == count
            totals[place].append(time.perf_counter() - start)
    medians = [1e3 * statistics.median(values) for values in totals]
    yield from _latency(f"get-history of {count:,} points, 4 pages", medians)


def artifact(sides: list[Side], scale: float) -> Iterator[Row]:
    """One file of 1 GiB sent to Verdict and read back."""
    size, client = int(2**30 * scale), sides[0].client()
    experiment = client.experiment("large files")
    name = f"{experiment}/{client.run(experiment)}/artifacts/large.bin"
    with _memory() as grown:
        start = time.perf_counter()
        sent = client.send_file(name, size)
        middle = time.perf_counter()
        same = client.file_digest(name) == sent
        end = time.perf_counter()
    megabytes = size / 1e6
    yield row(f"a file of {megabytes:,.0f} MB, sent", megabytes / (middle - start), None, "MB/s")
    yield row("  read back", megabytes / (end - middle), None, "MB/s")
    yield row("  read back other than sent", int(not same), None, "", "0", same)
    yield row("  the web server's memory grew by", max(grown), None, "MB", "<= 32",
              max(grown) <= 32)  # fmt: skip


@contextmanager
def _memory() -> Iterator[list[float]]:
    """MB by which the web server has grown, looked at every 50 ms until the block ends."""
    import psutil

    children = psutil.Process().children(recursive=True)
    (server,) = (child for child in children if "config.web_server" in child.cmdline())
    grown, before, done = [0.0], server.memory_info().rss, threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            grown.append((server.memory_info().rss - before) / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield grown
    finally:
        done.set()
        watcher.join()


def _latency(what: str, medians: list[float]) -> Iterator[Row]:
    mine, theirs = _pair(medians)
    yield row(what, mine, theirs, "ms", HALF, None if theirs is None else mine <= theirs / 2)


def _pair(found: list[float] | list[int]) -> tuple[float, float | None]:
    return found[0], found[1] if len(found) > 1 else None


PARTS = (single, throughput, one_run, search, history, artifact)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of requests")
    parser.add_argument("--only", nargs="*", default=[], help="names of the parts to run")
    parser.add_argument("--peer", default=sys.executable, help="interpreter that has MLflow")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    folder = Path(tempfile.mkdtemp(prefix="verdict-bench-"))
    short = False
    places = Places(folder)
    try:
        with servers(places, options.peer) as sides:
            for part in PARTS:
                if options.only and part.__name__ not in options.only:
                    continue
                for measured in part(sides, options.scale):
                    show(measured, options.json)
                    short = short or measured.met is False
    finally:
        places.server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
