"""Import of an objective's module in a fork server, and whether forks may follow it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from workers.objectives import python_function
from workers.training.loaded_sources import LoadedSources
from workers.training.messages import NotForked

_FORK_SAFE_THREADS = ("jemalloc_bg_thd",)  # its library stops and starts it around a fork
_finalizers: list[Callable[[], object]] = []
_FORK_SAFE_FILES = ("/dev/null", "/dev/urandom")


def import_module(module: str, allowed: Sequence[str], sources: LoadedSources) -> NotForked | None:
    """Import an objective's module; the reason not to fork, None when forks are safe."""
    if sys.platform != "linux":
        return NotForked("unforkable", f"a fork may crash what was imported on {sys.platform}")
    opened = set(_open_files())
    if not python_function.is_allowed(module, allowed):
        return NotForked("failed")
    try:
        python_function.import_module(module)
    except BaseException:  # sys.exit() as well: the trial meets the same and tells of it
        return NotForked("failed")
    finally:
        sources.note()
        _keep_finalizers()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
    left = [*_threads(), *_processes(), *_timers()]
    left += [file for number, file in _open_files().items() if number not in opened]
    if not left:
        return None
    reason = f"the import of {module} leaves {', '.join(left[:3])}"
    return NotForked("unforkable", reason, sources.stamps)


def _keep_finalizers() -> None:
    """Let no trial tidy up at its exit what the import has made for all of them, such as a
    temporary folder; of torch's there are thousands, too.
    """
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
        _finalizers.append(finalizer)


def tidy_up() -> None:
    """Run the finalizers that `_keep_finalizers` withheld from trials, at the server's exit."""
    for finalizer in reversed(_finalizers):
        with contextlib.suppress(Exception):
            finalizer()


def _threads() -> list[str]:
    """Threads that would be missing in a forked process."""
    pid = os.fork()  # OpenBLAS and others end their threads before a fork
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    known = {thread.native_id: thread.name for thread in threading.enumerate()}
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            name = (task / "comm").read_text().strip()
            if int(task.name) != os.getpid() and name not in _FORK_SAFE_THREADS:
                names.append(f"the thread {known.get(int(task.name), name)!r}")
    return names


def _processes() -> list[str]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    return ["a process"]


def _timers() -> list[str]:
    return ["an alarm"] if any(signal.getitimer(signal.ITIMER_REAL)) else []


def _open_files() -> dict[str, str]:
    """Open files by descriptor: forked processes would share their positions."""
    found = {}
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            file = str(descriptor.readlink())
            if not _is_fork_safe(file):
                found[descriptor.name] = f"open {file}"
    return found


def _is_fork_safe(file: str) -> bool:
    """NVML keeps files of GPUs open, and forks survive it; CUDA opens one of unified memory, too,
    and then none survives.
    """
    if file.startswith("/dev/nvidia"):
        return "uvm" not in file
    return file in _FORK_SAFE_FILES or file == f"/proc/{os.getpid()}/fd"


class RandomStates:
    """Generators of Python and NumPy as an import left them, for the processes forked after it.

    One that it left alone is seeded anew in each, as a script's is.
    """

    def __init__(self) -> None:
        self._python: object = random.getstate()
        self._numpy = _numpy_state()
        self._is_seeded = (False, False)

    def note(self) -> None:
        """Note which generators were seeded or drawn from since the start."""
        python, before = random.getstate(), self._python
        self._is_seeded = (python != before, _numpy_state() != self._numpy)
        self._python = python

    def restore(self) -> None:
        """To be called in a forked process; Python seeds its own generator after each fork."""
        python, numpy = self._is_seeded
        if python:
            random.setstate(self._python)  # type: ignore[arg-type]
        if not numpy:
            np.random.seed()


def _numpy_state() -> tuple[bytes, int]:
    state = np.random.get_state(legacy=False)["state"]
    return state["key"].tobytes(), int(state["pos"])
