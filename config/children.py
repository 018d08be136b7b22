"""Child processes of the launcher: started in their own groups, watched, and surely stopped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LARGEST_LOG = 10 * 1024 * 1024
# Seconds before each start of a child that died again; after the last it is given up.
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
STEADY_SECONDS = 60.0  # one that lived so long has not failed to start

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(slots=True)
class Child:
    """A running child and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int  # bytes of the log that earlier starts wrote
    command: list[str]
    started_at: float = field(default_factory=time.monotonic)

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self.process.poll()

    def last_lines(self, count: int = 15) -> list[str]:
        """The newest lines this child wrote, oldest first."""
        with self.log.open("rb") as log:
            log.seek(max(self.log_start, log.seek(0, os.SEEK_END) - 64 * 1024))
            text = log.read().decode("utf-8", errors="replace")
        return text.splitlines()[-count:]

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the child and what it started in its group, if any of it is left."""
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            return


def start(name: str, command: list[str], *, environment: Mapping[str, str], logs: Path) -> Child:
    """Start a child whose output is appended to ``<logs>/<name>.log``.

    It has its own process group, so Ctrl-C reaches the launcher alone, and is killed by the
    kernel when the launcher dies without a chance to stop it.
    """
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=_die_with(os.getpid()) if _libc is not None else None,
        )
        return Child(name, process, log, output.tell(), command)


@dataclass(slots=True)
class Restarts:
    """Time at which a child that died is started again.

    Attributes:
        deaths: in a row, each within `STEADY_SECONDS` of its start.
        due: on the monotonic clock; None while it lives.
    """

    deaths: int = 0
    due: float | None = None

    def died(self, lived: float) -> float:
        """Take note of a death after so many seconds; returns how long to wait.

        Raises:
            IndexError: when it is to be given up.
        """
        self.deaths = self.deaths + 1 if lived < STEADY_SECONDS else 1
        pause = PAUSES[self.deaths - 1]
        self.due = time.monotonic() + pause
        return pause


def adopt_orphans() -> None:
    """Make grandchildren whose parent dies ours, so that ``kill_descendants`` finds them."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(own: Iterable[Child]) -> None:
    """Take the exit codes of adopted processes, which stay as zombies else; not of our own."""
    mine = {child.process.pid for child in own if child.exit_status is None}
    with contextlib.suppress(ChildProcessError):  # nothing is left to ask for
        while _libc is not None:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in mine:
                return
            os.waitpid(ended.si_pid, 0)


def stop(children: Iterable[Child], *, grace: float) -> None:
    """Ask every child to end, wait at most ``grace`` seconds in all, then kill their groups."""
    children = list(children)
    for child in children:
        if child.exit_status is None:
            child.signal_group(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(child.exit_status is None for child in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    for child in children:
        child.signal_group(signal.SIGKILL)
        child.process.wait()


def kill_descendants() -> None:
    """Kill whatever is left below this process, however deep and in whatever group."""
    for _ in range(10):  # a process may start another while we look
        left = psutil.Process().children(recursive=True)
        if not left:
            return
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=1)


def _die_with(parent: int) -> Callable[[], None]:
    def in_child() -> None:
        assert _libc is not None
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return in_child
