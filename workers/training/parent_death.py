"""Ending processes with their parent and with all their descendants."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

import psutil

MARK = "VERDICT_PROCESSES"  # environment variable that what belongs together inherits
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CHECK_SECONDS = 1.0


def kill_with_parent(parent: int | None) -> None:
    """Let the kernel kill this process when its parent ends, also while it is busy in C code;
    None: not any more.

    Linux, prctl(2), PR_SET_PDEATHSIG: when the *thread* that started this process ends.
    """
    _prctl(_PR_SET_PDEATHSIG, 0 if parent is None else signal.SIGKILL)
    if parent is not None:
        _end_if_orphaned(parent)  # it may have died before the call above


def end_with_parent(parent: int) -> None:
    """As `kill_with_parent`; a thread that compares parent ids does the same wherever that is not
    to be had.
    """
    kill_with_parent(parent)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(parent,), name="parent watch", daemon=True).start()


def become_subreaper() -> None:
    """Become the parent of processes below this one whose own parent ends (prctl(2), Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_marked(mark: str, apart_from: int = 0) -> None:
    """Kill all processes with this mark in their environment, orphans in any session included."""
    for _ in range(10):  # one may start another while we look
        found = [process for process in psutil.process_iter() if _is_marked(process, mark)]
        found = [process for process in found if process.pid != apart_from]
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not found:
            return
        psutil.wait_procs(found, timeout=1)


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return bool(process.environ().get(MARK) == mark)
    except (psutil.Error, OSError):
        return False


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _watch(parent: int) -> None:
    while True:
        time.sleep(_CHECK_SECONDS)
        _end_if_orphaned(parent)


def _end_if_orphaned(parent: int) -> None:
    if os.getppid() != parent:
        os._exit(1)
