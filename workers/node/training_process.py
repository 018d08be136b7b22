"""Handles of a trial's process and of the fork server it comes from, for their supervisor."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from pathlib import Path
from pickle import UnpicklingError

from workers.node.log_tail import LogTail
from workers.training.messages import (
    EndTrial,
    Forked,
    FromServer,
    FromTrial,
    Job,
    NotForked,
    Preload,
    Signed,
    ToTrial,
    TrialEnded,
)
from workers.training.parent_death import MARK, kill_marked
from workers.training.threads import thread_variables

# The kernel ends a fork server with the *thread* that started it (prctl(2)), and a worker's
# threads come and go; this one stays as long as this process.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="process starter")
# No module of its own is `__main__` there: a process that a trial spawns imports that again.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from workers.training.fork_server import main; main(int(sys.argv[2]))"
)
_INBOX = 64  # messages; a full inbox makes the training process's flusher wait, not its loop
_END_SECONDS = 2.0
OUT_OF_MEMORY = "out of memory: the kernel's killer was at work at that time"


class ProcessEnded(Exception):
    """The training process has ended."""


class ForkRefused(Exception):
    """The fork server has forked nothing for this job; `answer` None: it is gone."""

    def __init__(self, answer: NotForked | None) -> None:
        super().__init__(answer)
        self.answer = answer


class ForkServer:
    """A process that forks another for each trial, one at a time (`workers.training.fork_server`).

    Args:
        job: one of those that it is for: its objective, environment and threads.
        module: what to import before; "": each trial imports its objective itself.
        hidden, environment: as for `workers.node.supervisor.Slot`.
        refused: why an earlier server could not import, copied to each trial's log.
    """

    def __init__(
        self,
        job: Job,
        module: str,
        hidden: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        refused: NotForked | None = None,
    ) -> None:
        self.module = module
        self.has_forked = False
        self.serves_once = False
        self._mark = secrets.token_hex(8)
        self._socket, theirs = socket.socketpair()
        self.control = Connection(os.dup(self._socket.fileno()))
        seen = {name: value for name, value in os.environ.items() if name not in set(hidden)}
        # An import that asks whether there is a GPU must not begin to use it (torch's notes on
        # CUDA and forks): it asks the driver's NVML instead.
        seen.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
        seen |= {**(environment or {}), **thread_variables(job.threads), **job.environment}
        self._process = _STARTER.submit(self._start, theirs, {**seen, MARK: self._mark}).result()
        theirs.close()
        reason = refused.reason if refused is not None else ""
        self._send(
            Preload(
                module=module,
                allowed=job.allowed,
                script=job.objective.partition(":")[0].replace(".", os.sep) + ".py",
                parent=os.getpid(),
                note=f"{reason}: it is imported anew for each trial\n" if reason else "",
                sources=refused.sources if refused is not None else {},
            )
        )

    def _start(
        self, theirs: socket.socket, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        descriptor = theirs.fileno()
        return subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path), str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # until it has said what becomes of its output
            stderr=subprocess.STDOUT,
            env=dict(environment),
            pass_fds=(descriptor,),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int:
        """Exit code; waits for the process to end."""
        return self._process.wait()

    def fork(self, job: Job, channel: int, output: int) -> None:
        """Request a trial's process; the answer arrives over `control`."""
        self._send(job)
        with contextlib.suppress(OSError):
            socket.send_fds(self._socket, [b"\0"], [channel, output])

    def end_trial(self) -> None:
        """Ask it to kill its trial with all that the trial started."""
        self._send(EndTrial())

    def kill(self) -> None:
        """Kill it with its trial, and all that any of them has started."""
        self._process.kill()
        self._process.wait()
        kill_marked(self._mark)

    def close(self) -> None:
        """End the server, with a trial that still runs; killed after `_END_SECONDS`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.control.close()
        self._socket.close()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _send(self, message: Preload | Job | EndTrial) -> None:
        with contextlib.suppress(OSError):  # it has ended: its reader notices
            self.control.send(message)


class TrainingProcess:
    """The process of one trial. Not for use by several threads, except for `send` and `kill`."""

    def __init__(self, server: ForkServer, job: Job) -> None:
        self.pid: int | None = None
        self._server = server
        self._attempt = job.attempt
        self._channel, channel = multiprocessing.Pipe()
        reader, output = multiprocessing.Pipe(duplex=False)
        server.fork(job, channel.fileno(), output.fileno())
        channel.close()
        output.close()
        self._sending = threading.Lock()
        self.log_tail = LogTail(reader)
        self._ended: TrialEnded | NotForked | None = None
        self._kill_asked_at: float | None = None
        self._out_of_memory_kills = _out_of_memory_kills()
        self._inbox: queue.Queue[FromTrial | None] = queue.Queue(_INBOX)
        self._reader = threading.Thread(target=self._read, name="trial link", daemon=True)
        self._reader.start()

    def send(self, message: ToTrial) -> None:
        """Raises `ProcessEnded` when the process no longer reads."""
        try:
            with self._sending:
                self._channel.send(message)
        except OSError as error:
            raise ProcessEnded from error

    def receive(self, timeout: float) -> FromTrial | None:
        """The next message, or None after `timeout` seconds.

        Raises `ProcessEnded` after the last one, `ForkRefused` when nothing was forked.
        """
        try:
            message = self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if message is None:
            self._inbox.put(None)  # and again for whoever asks again
            if self.pid is None:
                raise ForkRefused(self._ended if isinstance(self._ended, NotForked) else None)
            raise ProcessEnded
        return message

    def kill(self) -> None:
        """Kill it with all its descendants; kill the server too when that does not do it."""
        now = time.monotonic()
        if self.pid is not None and self._kill_asked_at is None:
            self._kill_asked_at = now
            self._server.end_trial()
        elif self._kill_asked_at is None or now - self._kill_asked_at > _END_SECONDS:
            self._server.kill()

    @property
    def memory_ran_out(self) -> bool:
        """Test whether the kernel killed a process for lack of memory since the start."""
        return _out_of_memory_kills() > self._out_of_memory_kills

    def cause_of_death(self) -> str:
        """Cause of its end, as far as known. Call it after `ProcessEnded` was raised."""
        if isinstance(self._ended, TrialEnded):
            return describe_exit(self._ended.code, memory_ran_out=self.memory_ran_out)
        how = describe_exit(self._server.exit_code, memory_ran_out=self.memory_ran_out)
        return f"the fork server it came from has ended: {how}"

    def finish(self) -> None:
        """Wait until it and its descendants have ended; kill them after `_END_SECONDS`."""
        deadline = time.monotonic() + _END_SECONDS
        with contextlib.suppress(ProcessEnded, ForkRefused):
            while True:
                self.receive(timeout=0.05)
                if time.monotonic() > deadline:
                    self.kill()

    def close(self) -> None:
        """End it and free its resources."""
        if self._reader.is_alive() and self._ended is None:
            self.kill()
        self.finish()
        self._reader.join()
        self._channel.close()
        self.log_tail.close()
        if self._ended is None:
            self._server.kill()  # perhaps it was killed and left descendants of its trial

    def _read(self) -> None:
        """Receive messages until the trial or its server ends."""
        control, channel = self._server.control, self._channel
        open_ends = (
            [control, channel] if isinstance(self._receive_from_server(control), Forked) else []
        )
        with contextlib.suppress(OSError):
            while control in open_ends:
                for ready in wait(open_ends):
                    if ready is control:
                        self._receive_from_server(control)
                        open_ends.remove(control)
                    elif not self._receive_from_trial():
                        open_ends.remove(channel)
            while channel in open_ends and channel.poll() and self._receive_from_trial():
                pass
        self._inbox.put(None)

    def _receive_from_server(self, control: Connection) -> FromServer | None:
        """The server's next message, None when it has ended."""
        message: FromServer | None = None
        with contextlib.suppress(EOFError, OSError):
            message = control.recv()
        if isinstance(message, Forked):
            self.pid = message.pid
        else:
            self._ended = message
        return message

    def _receive_from_trial(self) -> bool:
        """Put the trial's next message in the inbox; False at the end of the channel."""
        try:
            signed = self._channel.recv()
        except (EOFError, OSError, UnpicklingError):  # a kill cuts a message off, too
            return False
        if not isinstance(signed, Signed):
            return False
        if (signed.pid, signed.attempt) == (self.pid, self._attempt):
            self._inbox.put(signed.message)
        else:
            self.log_tail.add(
                f"refused a message of process {signed.pid}, attempt {signed.attempt}: this is "
                f"process {self.pid}, attempt {self._attempt}\n"
            )
        return True


def describe_exit(code: int, memory_ran_out: bool) -> str:
    """Description of a multiprocessing exit code: a signal is its negative number."""
    if code >= 0:
        return f"the process exited with code {code} in the middle of the trial"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    text = f"killed by signal {-code} ({name})"
    if -code == signal.SIGKILL:
        if memory_ran_out:
            return f"{text}; {OUT_OF_MEMORY}"
        return f"{text}; out of memory is likely when the machine's memory was full"
    return text


def _out_of_memory_kills() -> int:
    """Count of the kernel's out-of-memory kills; 0 where it is not available.

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
