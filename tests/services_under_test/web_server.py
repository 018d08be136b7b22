"""The production web server as a process of its own, on the tests' database."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.conf import settings

from config import children


@dataclass(frozen=True, slots=True)
class WebServer:
    """``url`` without a final slash."""

    url: str


@pytest.fixture(scope="session")
def web_server(service_environment: dict[str, str]) -> Iterator[WebServer]:
    """uvicorn with hashed static files.

    Tests using it need ``django_db(transaction=True)``, or it cannot see what they write.
    """
    collect = "import django; django.setup(); from config.static_files import *"
    subprocess.run(
        [sys.executable, "-c", f"{collect}; collect_if_changed()"],
        env=service_environment,
        cwd=settings.BASE_DIR,
        check=True,
    )
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port)]
    command += ["--lifespan", "off", "--no-access-log", "--timeout-graceful-shutdown", "1"]
    child = children.start("web", command, environment=service_environment, logs=settings.LOGS_DIR)
    try:
        _wait_until_it_answers(child, port)
        yield WebServer(f"http://127.0.0.1:{port}")
    finally:
        children.stop([child], grace=3)


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(child: children.Child, port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/no-such-page", timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            if child.exit_status is not None or time.monotonic() > deadline:
                pytest.fail("the web server does not answer:\n" + "\n".join(child.last_lines(60)))
            time.sleep(0.05)
