"""A warm training process seen from its supervisor: start it, talk to it, end it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from workers.node.log_tail import LogTail
from workers.training import child
from workers.training.messages import FromChild, FromSupervisor, Quit

_SPAWN = multiprocessing.get_context("spawn")
# The kernel ends a training process with the *thread* that started it (prctl(2)), and a
# worker's threads come and go; this one stays as long as this process.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="process starter")
_INBOX = 64  # messages; a full inbox makes the training process's flusher wait, not its loop
_QUIT_SECONDS = 2.0


class Gone(Exception):
    """The training process has ended."""


class TrainingProcess:
    """One spawned child. Not for use by several threads, except for `send` and `kill`."""

    def __init__(
        self, hidden: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self._has_gpus = bool(environment and environment.get("CUDA_VISIBLE_DEVICES"))
        self._connection, connection = _SPAWN.Pipe()
        reader, output = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(
            target=child.main,
            args=(connection, output, os.getpid(), tuple(hidden), dict(environment or {})),
            name="training",
        )
        _STARTER.submit(self._process.start).result()
        connection.close()
        output.close()
        self._sending = threading.Lock()
        self.log_tail = LogTail(reader)
        self._inbox: queue.Queue[FromChild | None] = queue.Queue(_INBOX)
        self._reader = threading.Thread(target=self._read, name="child link", daemon=True)
        self._reader.start()
        self._out_of_memory_kills = _out_of_memory_kills()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, message: FromSupervisor) -> None:
        """Raises `Gone` when nobody is there to read it."""
        try:
            with self._sending:
                self._connection.send(message)
        except OSError as error:
            raise Gone from error

    def receive(self, timeout: float) -> FromChild | None:
        """The next message, or None after `timeout` seconds; raises `Gone` after the last one."""
        try:
            message = self._inbox.get(timeout=timeout)
        except queue.Empty:
            if self._process.is_alive():
                return None
            # The pipe may stay open beyond its end: a forked grandchild holds a copy.
            self._hang_up()
            message = self._inbox.get()
        if message is None:
            self._inbox.put(None)  # and again for whoever asks again
            raise Gone
        return message

    def kill(self) -> None:
        """End it now, with all that it started in its session."""
        if self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # it may have had no time yet to begin a session

    def cause_of_death(self) -> str:
        """Wait for its end and say how it came about, as far as this can be known."""
        self._process.join()
        return describe_exit(
            self._process.exitcode or 0,
            memory_ran_out=_out_of_memory_kills() > self._out_of_memory_kills,
        )

    def close(self) -> None:
        """End it: politely when it listens, by force when not. Frees all that belongs to it."""
        with contextlib.suppress(Gone):
            self.send(Quit())
        self._await_end(time.monotonic() + _QUIT_SECONDS)
        self.kill()
        self._process.join()
        self._await_end_of_group()
        self._hang_up()
        while self._reader.is_alive():  # it may wait for room
            with contextlib.suppress(queue.Empty):
                self._inbox.get(timeout=0.05)
        self._connection.close()
        self.log_tail.close()
        self._process.close()

    def _await_end(self, deadline: float) -> None:
        with contextlib.suppress(Gone):
            while time.monotonic() < deadline:
                self.receive(timeout=0.05)

    def _await_end_of_group(self) -> None:
        """What it started may hold memory of its device a moment longer than it does itself."""
        deadline = time.monotonic() + _QUIT_SECONDS
        while self._has_gpus and self._group_lives() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _group_lives(self) -> bool:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                mine = os.getpgid(process.pid) == self._process.pid
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False

    def _hang_up(self) -> None:
        """Let the reader take what is still in the pipe and then end."""
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(self._connection.fileno())) as pipe,
        ):
            pipe.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        # A message cut off by a kill ends in one of these, too.
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._inbox.put(self._connection.recv())
        self._inbox.put(None)


def describe_exit(code: int, memory_ran_out: bool) -> str:
    """Say what an exit code of multiprocessing means: a signal is its negative number."""
    if code >= 0:
        return f"the process exited with code {code} in the middle of the trial"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    text = f"killed by signal {-code} ({name})"
    if -code == signal.SIGKILL:
        if memory_ran_out:
            return f"{text}; out of memory: the kernel's killer was at work at that time"
        return f"{text}; out of memory is likely when the machine's memory was full"
    return text


def _out_of_memory_kills() -> int:
    """How often the kernel has killed for memory so far; 0 where it does not say.

    Counted in this process's control group (cgroup v2) where it has one, else on the machine.
    """
    for file in (*_memory_events(), Path("/proc/vmstat")):
        with contextlib.suppress(OSError):
            for line in file.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _memory_events() -> list[Path]:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            hierarchy, _, group = line.split(":", 2)
            if hierarchy == "0":
                root = Path("/sys/fs/cgroup")
                return [root / group.lstrip("/") / "memory.events", root / "memory.events"]
    return []
