"""End this process when its parent ends, also while it is busy in C code."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_CHECK_SECONDS = 1.0


def end_with_parent(parent: int) -> None:
    """Arrange that this process does not outlive the process `parent`.

    On Linux the kernel kills it (prctl(2), PR_SET_PDEATHSIG: when the *thread* that started this
    process ends); a thread that compares parent ids does the same wherever that is not to be had.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _end_if_orphaned(parent)  # it may have died before the call above
    threading.Thread(target=_watch, args=(parent,), name="parent watch", daemon=True).start()


def _watch(parent: int) -> None:
    while True:
        time.sleep(_CHECK_SECONDS)
        _end_if_orphaned(parent)


def _end_if_orphaned(parent: int) -> None:
    if os.getppid() != parent:
        os._exit(1)
