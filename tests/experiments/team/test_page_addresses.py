from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import load_command_class
from django.urls import reverse

from experiments.team.page_addresses import PAGES, page

pytestmark = pytest.mark.processes

ARGUMENTS = {
    "decide": ("digits", "wider net (2)"),
    "decision": ("digits", 3),
    "experiment": ("digits", "größer+50%"),
    "messages": (),
    "seeds": ("digits", "a.b_c-d"),
    "webhooks": ("digits",),
}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_addresses_are_those_of_the_pages(name: str) -> None:
    assert page(name, *ARGUMENTS[name]) == reverse(name, args=ARGUMENTS[name])


def test_a_worker_writes_messages_without_the_packages_of_the_web() -> None:
    program = (
        "import sys\n"
        "for name in ('ninja', 'plotly', 'nh3', 'uvicorn', 'pyarrow'): sys.modules[name] = None\n"
        "import django; django.setup()\n"
        "import workers.tasks, workers.node.worker\n"
        "from experiments.team.services import messages\n"
        "from experiments.trials.lifecycle.services import stalled\n"
        "from experiments.team.page_addresses import page\n"
        "print(page('experiment', 'p', 'e'), 'experiments.site.urls' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["/projects/p/experiments/e/", "False"]


@pytest.mark.parametrize("command", ["worker", "node_health"])
def test_commands_of_a_worker_start_without_the_pages(command: str) -> None:
    loaded = load_command_class("workers", command)
    assert not loaded.requires_system_checks
