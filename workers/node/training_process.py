"""A trial's process and the fork server it comes from, seen from their supervisor."""

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


class Gone(Exception):
    """The training process has ended."""


class Refused(Exception):
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
        refused: why a server before it could not import, which each trial's log then says.
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
        self._tell(
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
        """Waits for its end."""
        return self._process.wait()

    def fork(self, job: Job, channel: int, output: int) -> None:
        """Ask for a trial's process; what comes of it is told over `control`."""
        self._tell(job)
        with contextlib.suppress(OSError):
            socket.send_fds(self._socket, [b"\0"], [channel, output])

    def end_trial(self) -> None:
        """Ask it to kill its trial with all that the trial started."""
        self._tell(EndTrial())

    def kill(self) -> None:
        """Kill it with its trial, and all that any of them has started."""
        self._process.kill()
        self._process.wait()
        kill_marked(self._mark)

    def close(self) -> None:
        """End it. It ends a trial that is still there, and takes its time for that."""
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

    def _tell(self, message: Preload | Job | EndTrial) -> None:
        with contextlib.suppress(OSError):  # it is gone: whoever listens to it hears of it
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
        """Raises `Gone` when nobody is there to read it."""
        try:
            with self._sending:
                self._channel.send(message)
        except OSError as error:
            raise Gone from error

    def receive(self, timeout: float) -> FromTrial | None:
        """The next message, or None after `timeout` seconds.

        Raises `Gone` after the last one, `Refused` when nothing was forked.
        """
        try:
            message = self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if message is None:
            self._inbox.put(None)  # and again for whoever asks again
            if self.pid is None:
                raise Refused(self._ended if isinstance(self._ended, NotForked) else None)
            raise Gone
        return message

    def kill(self) -> None:
        """End it now, with all that it started; by force when its server does not do it."""
        now = time.monotonic()
        if self.pid is not None and self._kill_asked_at is None:
            self._kill_asked_at = now
            self._server.end_trial()
        elif self._kill_asked_at is None or now - self._kill_asked_at > _END_SECONDS:
            self._server.kill()

    @property
    def memory_ran_out(self) -> bool:
        """Test whether the kernel has killed for memory since it was started."""
        return _out_of_memory_kills() > self._out_of_memory_kills

    def cause_of_death(self) -> str:
        """Cause of its end, as far as this can be known. To be asked once it is `Gone`."""
        if isinstance(self._ended, TrialEnded):
            return describe_exit(self._ended.code, memory_ran_out=self.memory_ran_out)
        how = describe_exit(self._server.exit_code, memory_ran_out=self.memory_ran_out)
        return f"the fork server it came from has ended: {how}"

    def finish(self) -> None:
        """Return when it and all that it started are gone; it has a moment to end by itself."""
        deadline = time.monotonic() + _END_SECONDS
        with contextlib.suppress(Gone, Refused):
            while True:
                self.receive(timeout=0.05)
                if time.monotonic() > deadline:
                    self.kill()

    def close(self) -> None:
        """End it, and free all that belongs to it."""
        if self._reader.is_alive() and self._ended is None:
            self.kill()
        self.finish()
        self._reader.join()
        self._channel.close()
        self.log_tail.close()
        if self._ended is None:
            self._server.kill()  # it was killed, perhaps, and what its trial started was not

    def _read(self) -> None:
        """Take all messages in, to the end of the trial or of its server."""
        control, channel = self._server.control, self._channel
        open_ends = [control, channel] if isinstance(self._hear(control), Forked) else []
        with contextlib.suppress(OSError):
            while control in open_ends:
                for ready in wait(open_ends):
                    if ready is control:
                        self._hear(control)
                        open_ends.remove(control)
                    elif not self._take():
                        open_ends.remove(channel)
            while channel in open_ends and channel.poll() and self._take():
                pass
        self._inbox.put(None)

    def _hear(self, control: Connection) -> FromServer | None:
        """The server's next message, None when it is gone."""
        message: FromServer | None = None
        with contextlib.suppress(EOFError, OSError):
            message = control.recv()
        if isinstance(message, Forked):
            self.pid = message.pid
        else:
            self._ended = message
        return message

    def _take(self) -> bool:
        """Pass the next message on; False at the end of the channel."""
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
            return f"{text}; {OUT_OF_MEMORY}"
        return f"{text}; out of memory is likely when the machine's memory was full"
    return text


def _out_of_memory_kills() -> int:
    """Number of times that the kernel has killed for memory; 0 where it does not say.

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
