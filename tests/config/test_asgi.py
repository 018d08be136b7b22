from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings

pytestmark = pytest.mark.processes

# What only a worker needs; loading torch alone takes seconds and hundreds of megabytes.
WORKERS_ONLY = {"torch", "sklearn", "workers.tasks", "workers.node.runner", "workers.search"}


def test_the_web_process_loads_nothing_that_only_workers_need() -> None:
    program = (
        "import sys, config.asgi\n"  # imports every view, before the first visitor
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {
        "experiments.site.urls",
        "experiments.decisions.pages.decide",
        "experiments.site.api.routes",
    } <= loaded
    assert not WORKERS_ONLY & loaded
    late = {"pandas", "pyarrow", "scipy.stats", "scipy.ndimage", "scipy.optimize"}
    assert not late & loaded, "most of a second of the start, for few pages"


def test_what_was_read_in_before_the_first_visitor_is_never_collected_again() -> None:
    program = (
        "import gc, config.asgi\n"
        "print(gc.get_freeze_count() > 100_000, len(gc.get_objects()) < 10_000)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True True\n", done.stderr
