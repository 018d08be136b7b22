"""The production web server as a process of its own, on the tests' database."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from django.conf import settings

from config import children
from tests.waiting import PATIENCE, wait_until


@dataclass(frozen=True, slots=True)
class WebServer:
    """``url`` without a final slash; ``pid`` for looking at the process from outside."""

    url: str
    pid: int
    child: children.Child


@pytest.fixture(scope="session")
def collected_files(service_environment: dict[str, str]) -> None:
    """The static files, hashed, where the server looks for them."""
    collect = "import django; django.setup(); from config.static_files import *"
    subprocess.run(
        [sys.executable, "-c", f"{collect}; collect_if_changed()"],
        env=service_environment,
        cwd=settings.BASE_DIR,
        check=True,
    )


@pytest.fixture(scope="session")
def web_server(service_environment: dict[str, str], collected_files: None) -> Iterator[WebServer]:
    """The server as the launcher starts it, on any free port.

    Tests using it need ``django_db(transaction=True)``, or it cannot see what they write.
    """
    with started(service_environment) as server:
        yield server


@pytest.fixture(scope="session")
def strict_server(
    service_environment: dict[str, str], collected_files: None
) -> Iterator[WebServer]:
    """The same with little patience, few connections an address, and 256 descriptors."""
    limits = {"WEB_CLIENT_SECONDS": "2", "WEB_CONNECTIONS_PER_ADDRESS": "20"}
    with started({**service_environment, **limits}, descriptors=256) as server:
        yield server


@contextmanager
def started(environment: Mapping[str, str], *, descriptors: int = 0) -> Iterator[WebServer]:
    """The web server as a process of its own; `descriptors` bounds what it may open."""
    command = [sys.executable, "-m", "config.web_server", "--port", "0", "--lifespan", "off"]
    if descriptors:
        command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    child = children.start("web", command, environment=environment, logs=settings.LOGS_DIR)
    try:
        yield WebServer(_address_of(child), child.process.pid, child)
    finally:
        children.stop([child], grace=3)


def _address_of(child: children.Child) -> str:
    """Where it listens, once it answers there: the kernel chose the port."""
    found: list[str] = []

    def answers() -> bool:
        said = "\n".join(child.last_lines(60))
        if child.exit_status is not None:
            pytest.fail(f"the web server ended:\n{said}")
        found[:] = re.findall(r"running on (http://127\.0\.0\.1:\d+)", said)
        return bool(found) and _answers(found[0])

    wait_until(
        answers,
        what="the web server answers",
        told=lambda: "\n".join(child.last_lines(60)),
    )
    return found[0]


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/no-such-page", timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True
