"""Measure how long pages of a big experiment take to be seen, in a real Chromium.

    python -m benchmarks.pages [--json] [--trials 10000] [--points 100] [--runs 5]
                               [--peer-trials 1000] [--pictures FOLDER]

Generates an experiment in a database of its own, serves it as in production, and opens each of
its charts in a fresh browser profile whose cache holds the scripts. Measured from the start of
navigation until every chart within the window is drawn; bytes without the cached scripts; the
longest time that the page did not answer. Of the runs table also the processor time that its
sorted, filtered, grouped and counted rows take the server. optuna-dashboard runs in the same way
on a study of its own when it is installed. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks._page_database import EXPERIMENT, PASSWORD, PERSON, PROJECT, fill
from benchmarks._page_visits import ROOT, Visit, browser, running, signed_in, visit
from benchmarks._table import Row

SECONDS, BYTES, BLOCK_MS = 1.5, 1_000_000, 200.0
TABS = {
    "curves": "learning curves",
    "axes": "axes",
    "isolation": "isolation",
    "importance": "importance",
    "parallel": "parallel coordinates",
    "contour": "contour",
    "history": "progress",
}
SAME = {"progress": "history", "axes": "analytics"}  # of ours and of the peer
ANSWERS = {
    "first page": "",
    "sorted by a metric": "sort=metrics.metric_07",
    "sorted by a parameter": "sort=params.dropout",
    "filtered by a metric": "filter=metrics.metric_07 < 0.3",
    "filtered by a parameter": "filter=params.dropout < 0.3",
    "grouped by a parameter": "group=params.batch_size",
    "grouped by arm, two metrics": "group=arm&col=metrics.metric_01&col=metrics.metric_02",
    "facets": "facets=1",
}
ANSWER_SECONDS = 0.3
PEER_PAGES = {"": "history", "/analytics": "analytics", "/smartSelection": "parallel coordinates"}


def rows_of(name: str, visits: list[Visit], peer: float | None) -> Iterator[Row]:
    """Median time, largest answer, and the median of the longest blocks."""
    seconds = statistics.median(one_visit.seconds for one_visit in visits)
    size = max(one_visit.bytes for one_visit in visits)
    block = statistics.median(one_visit.longest_block_ms for one_visit in visits)
    ratio = None if peer is None else seconds / peer
    yield Row(f"{name}: visible", seconds, peer, ratio, "s", "under 1.5", seconds < SECONDS)
    yield Row(f"{name}: data", size / 1e6, None, None, "MB", "under 1", size < BYTES)
    yield Row(f"{name}: longest block", block, None, None, "ms", "under 200", block < BLOCK_MS)
    drawing = statistics.median(one_visit.drawing_block_ms for one_visit in visits)
    what = f"{name}: longest block of drawing"
    yield Row(what, drawing, None, None, "ms", "under 200", drawing < BLOCK_MS)


@contextmanager
def served(folder: Path, trials: int, points: int) -> Iterator[str]:
    """The address of a web server on a generated database."""
    os.environ |= {
        "VERDICT_DATA": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
    }
    import django

    django.setup()
    from django.core.management import call_command

    from config.static_files import collect_if_changed

    call_command("migrate", verbosity=0)
    collect_if_changed()
    began = time.perf_counter()
    fill(trials, points)
    print(f"# {trials:,} trials of {points} points in {time.perf_counter() - began:.0f} s",
          file=sys.stderr)  # fmt: skip
    command = [sys.executable, "-m", "config.web_server", "--lifespan", "off"]
    with running(command, folder / "web.log") as url:
        yield url


def ours(chromium: Any, url: str, options: argparse.Namespace) -> dict[str, list[Visit]]:
    """Visits of every chart by its name; the runs of all charts take turns."""
    session = signed_in(chromium, url, PERSON, PASSWORD)
    root = f"{url}/projects/{PROJECT}"
    page = f"{root}/experiments/{EXPERIMENT}/"
    addresses = {title: f"{page}?tab={tab}" for tab, title in TABS.items()}
    addresses["runs table"] = f"{root}/runs/?experiments={EXPERIMENT}"
    addresses["comparison"] = f"{root}/compare/?a={EXPERIMENT}&b={EXPERIMENT}-again"
    found: dict[str, list[Visit]] = {title: [] for title in addresses}
    for turn in range(options.runs):
        for title, address in addresses.items():
            picture = f"{options.pictures}/{title}.png" if options.pictures and not turn else ""
            found[title].append(
                visit(
                    chromium, address, session=session, warm_up=f"{page}?tab=none", picture=picture
                )
            )
    return found


def answers() -> Iterator[Row]:
    """The server's processor time for the runs table alone, the least of three."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.get(username=PERSON))
    for title, query in ANSWERS.items():
        address = f"/projects/{PROJECT}/runs/table/?experiments={EXPERIMENT}&{query}"
        times = []
        for _ in range(3):
            began = time.process_time()
            if client.get(address).status_code != 200:
                raise SystemExit(f"{address} cannot be read")
            times.append(time.process_time() - began)
        met = min(times) < ANSWER_SECONDS
        yield Row(f"runs table: {title}", min(times), None, None, "s", "under 0.3", met)


def peers(chromium: Any, folder: Path, options: argparse.Namespace) -> dict[str, list[Visit]]:
    """optuna-dashboard's pages on a study in the fastest of its storages, a journal file."""
    dashboard = Path(sys.executable).with_name("optuna-dashboard")
    if not options.peer_trials or not dashboard.exists():
        print("# optuna-dashboard: not measured (make setup PEERS=1)", file=sys.stderr)
        return {}
    journal = folder / "journal.log"
    code = (
        "from benchmarks._page_database import fill_optuna; import sys; fill_optuna(*sys.argv[1:])"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(journal), str(options.peer_trials), str(options.points)],
        cwd=ROOT, check=True,
    )  # fmt: skip
    found: dict[str, list[Visit]] = {}
    with running([str(dashboard), str(journal)], folder / "dashboard.log") as url:
        for path, title in PEER_PAGES.items():
            address = f"{url}/dashboard/studies/0{path}"
            found[title] = [
                visit(chromium, address, warm_up=address, limit=options.peer_limit)
                for _ in range(min(3, options.runs))
            ]
    return found


def show(row: Row, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(row)), flush=True)
        return
    peer = "" if row.peer is None else f"{row.peer:.2f}"
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    met = {True: "met", False: "short", None: ""}[row.met]
    print(f"{row.what:<46} {row.ours or 0.0:>9.3f} {peer:>8} {ratio:>7} {row.unit:<3} "
          f"{row.goal:<10} {met}", flush=True)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer-trials", type=int, default=1000, help="0 leaves the peer out")
    parser.add_argument("--peer-limit", type=float, default=120, help="seconds for one page")
    parser.add_argument("--pictures", default="", help="folder for a picture of each page")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="verdict-bench-"))
    short = False
    try:
        with browser() as chromium:
            beside = peers(chromium, folder, options)
            for title, visits in beside.items():
                typical = statistics.median(one_visit.seconds for one_visit in visits)
                size = max(one_visit.bytes for one_visit in visits) / 1e6
                print(f"# optuna-dashboard {options.peer_trials:,} trials, {title}: "
                      f"{typical:.1f} s, {size:.1f} MB", file=sys.stderr)  # fmt: skip
            with served(folder, options.trials, options.points) as url:
                for title, visits in ours(chromium, url, options).items():
                    peer = beside.get(
                        {"progress": "history", "axes": "analytics"}.get(title, title)
                    )
                    times = [one_visit.seconds for one_visit in peer or ()]
                    for row in rows_of(title, visits, statistics.median(times) if times else None):
                        show(row, options.json)
                        short = short or row.met is False
                for row in answers():
                    show(row, options.json)
                    short = short or row.met is False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
