"""Every page of an installation with much of everything: processor time, queries, bytes.

    python -m benchmarks.everything [--json] [--trials 100000] [--folder FOLDER]

100,000 trials in one experiment, 2,000 experiments in one project, 2,000 projects, 5,000 of each
of what else there is, in a SQLite file (`--folder`: kept there, and filled once), or in the
database that DATABASE_URL names. Every page is asked for three times within the process; the
second and third count. Exits with 1 when a page takes more than a second or 500 kB.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._page_database import EXPERIMENT, PERSON, PROJECT
from benchmarks._table import Row, as_text

SECONDS, BYTES = 1.0, 500_000
# Not pages: they change something, or hand out a whole file of everything by design.
LEFT_OUT = re.compile(
    r"logout|password/|invitations/|shared/|trials\.csv|series\.|decisions\.(csv|jsonl)|/export"
    r"|/zip|revoke|withdraw|static|healthz|readyz|metrics"
)
ALSO = (
    f"/projects/{PROJECT}/?state=running&page=7",
    f"/projects/{PROJECT}/?q=experiment&order=name",
    "/jump/?q=person-0", "/jump/?q=experiment-00", "/jump/?q=tag-0", "/jump/?q=learning",
    f"/projects/{PROJECT}/runs/?experiments={EXPERIMENT}&group=params.batch_size",
)  # fmt: skip


def addresses() -> Iterator[tuple[str, str]]:
    """Every page that is read with GET, with something real in each place; name, address."""
    from django.urls import get_resolver

    from experiments.site import urls

    del get_resolver
    values = _values()
    for pattern in urls.urlpatterns:
        route = str(pattern.pattern)
        parts = re.findall(r"<(?:\w+:)?(\w+)>", route)
        if LEFT_OUT.search(route) or any(part not in values for part in parts):
            continue
        yield (
            getattr(pattern, "name", "") or route,
            "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda part: values[part[1]], route),
        )
    for address in ALSO:
        yield address, address


def _values() -> dict[str, str]:
    from experiments.models import Study, Trial

    trial = Trial.objects.filter(study__experiment__name=EXPERIMENT).order_by("pk").first()
    study = Study.objects.filter(kind="free").first()
    return {
        "slug": PROJECT,
        "name": EXPERIMENT,
        "trial": "A0" if trial else "",
        "sequence": "4999",
        "chapter": "glossary",
        "study": str(study.pk) if study else "",
    }


def measure(pattern: str = "", details: bool = False) -> Iterator[tuple[str, float, int, int]]:
    """Name, seconds of processor time, queries and bytes of each page."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username=PERSON))
    for name, address in addresses():
        if pattern and not re.search(pattern, name):
            continue
        if client.get(address, secure=True).status_code in (404, 405, 302):
            continue
        took, statements = [], list[tuple[float, str]]()

        def watch(execute: Any, sql: str, *more: Any, kept: Any = statements) -> Any:
            began = time.process_time()
            try:
                return execute(sql, *more)
            finally:
                kept.append((time.process_time() - began, sql))

        for _ in range(2):
            statements.clear()
            began = time.process_time()
            with connection.execute_wrapper(watch):
                answer = client.get(address, secure=True)
                body = b"".join(answer) if answer.streaming else answer.content
            took.append(time.process_time() - began)
        if answer.status_code != 200:
            print(f"# {name}: {answer.status_code}", file=sys.stderr)
        if details:
            for seconds, sql in sorted(statements, reverse=True)[:4]:
                print(f"    {1000 * seconds:.0f} ms {sql[:900]}", file=sys.stderr)
        yield name, min(took), len(statements), len(body)


def rows_of(name: str, seconds: float, queries: int, size: int) -> Iterator[Row]:
    yield Row(f"{name}: processor time, {queries} queries", seconds, None, None, "s", "under 1",
              seconds < SECONDS)  # fmt: skip
    yield Row(f"{name}: size", size / 1000, None, None, "kB", "under 500", size < BYTES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--folder", help="keep the database there")
    parser.add_argument("--only", default="", help="regular expression of pages' names")
    parser.add_argument("--sql", action="store_true", help="the slowest statements of each page")
    options = parser.parse_args()
    folder = options.folder or tempfile.mkdtemp(prefix="verdict-everything-")
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder}/everything.sqlite3")
    os.environ |= {
        "VERDICT_DATA": folder,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "ERROR",
    }
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks._much_of_everything import Amounts, fill_all
    from config.static_files import collect_if_changed
    from experiments.models import Webhook

    call_command("migrate", verbosity=0)
    collect_if_changed()
    if not Webhook.objects.exists():
        began = time.perf_counter()
        fill_all(Amounts(trials=options.trials))
        print(f"# filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    rows = list[Row]()
    for found in measure(options.only, options.sql):
        print("# {}: {:.3f} s, {} queries, {:,} B".format(*found), file=sys.stderr, flush=True)
        rows += rows_of(*found)
    print(as_text(rows, as_json=options.json))
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
