"""Damaged requests over forms, experiment files and the API: 100,000 of them unless told.

    python -m benchmarks.fuzz [--count 100000] [--raw 20000] [--seed 0] [--about TEXT ...] [--json]

In this process and on tables of its own (SQLite in memory, or the server of DATABASE_URL in a
test database), so it touches nothing that anybody uses. Every damaged request can be sent again:
the same seed makes the same ones. Ended early (Ctrl-C, SIGTERM) it tells of what it has sent;
`--about webhooks charts` damages only requests whose address holds one of the words.

Then `--raw` requests of damaged HTTP go over sockets to a web server of its own, followed by the
floods that once stopped it, while its memory and the waits of other clients are measured.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks._table import as_text, row

CHUNK = 250  # requests between two lines of progress


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--raw", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--about", nargs="+", default=[""], help="words of addresses")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    asked = parser.parse_args()
    _set_up()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    import numpy as np
    from django.db import transaction
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases

    from benchmarks import _fuzz_http, _fuzzing

    setup_test_environment()
    databases = setup_databases(verbosity=0, interactive=False)
    total = _fuzzing.Outcome()
    rng = np.random.default_rng(asked.seed)
    begun = time.perf_counter()
    try:
        with transaction.atomic():
            with suppress(KeyboardInterrupt):
                base, user = _fuzzing.prepared()
                base = [
                    request
                    for request in base
                    if any(word in request.path for word in asked.about)
                ]
                while total.sent < asked.count:
                    part = min(CHUNK, asked.count - total.sent)
                    total.add(_fuzzing.attack(base, user=user, count=part, rng=rng))
                    print(f"{total.sent} sent, {len(total.wrong)} kinds wrong", file=sys.stderr)
            transaction.set_rollback(True)
    finally:
        teardown_databases(databases, verbosity=0)
    seconds = time.perf_counter() - begun
    refused = sum(count for status, count in total.statuses.items() if 400 <= status < 500)
    rows = [
        row("damaged requests", total.sent, unit="count", goal="100000"),
        row("refused with 4xx", refused, unit="count"),
        row("answered 2xx or 3xx", total.sent - refused - total.statuses[500], unit="count"),
        row(
            "kinds of failure (5xx, half-written, error of another shape)",
            len(total.wrong),
            unit="count",
            goal="0",
            met=not total.wrong,
        ),
        row("requests per second", total.sent / seconds, unit="1/s"),
    ]
    wrong = dict(total.wrong)
    if asked.raw:
        folder = Path(tempfile.mkdtemp(prefix="verdict-fuzz-http-"))
        more, broken = _fuzz_http.rows(folder, count=asked.raw, seed=asked.seed)
        rows += more
        wrong |= {kind: repr(request) for kind, request in broken.items()}
    print(as_text(rows, as_json=asked.json))
    for kind, example in wrong.items():
        print(f"{kind}\n  {example}", file=sys.stderr)
    return 1 if wrong or any(measured.met is False for measured in rows) else 0


def _set_up() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ["VERDICT_DATA"] = tempfile.mkdtemp(prefix="verdict-fuzz-")
    import django
    from django.conf import settings

    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
    django.setup()


if __name__ == "__main__":
    sys.exit(main())
