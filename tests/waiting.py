"""Waiting for what threads and other processes do, on a machine of any speed.

Tests wait for a condition or compare the order of events; none of them measures how long
something took.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import pytest

# Seconds until a test gives up. Nothing that works comes near it, so it costs nothing.
PATIENCE = 480.0


def wait_until(
    holds: Callable[[], object], *, what: str = "it happens", told: Callable[[], str] = str
) -> None:
    """Return once `holds` gives something true; `told` is added to the failure otherwise."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain until {what}\n{told()}")
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process lives; one that ended and was not asked for its end yet does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pid: int) -> None:
    """Return once a process has ended."""
    wait_until(lambda: not is_running(pid), what=f"process {pid} is gone")
