"""Fork server: imports an objective's module once and forks a process for each of its trials.

It runs nothing of the objective but that import, starts no threads and touches no GPU, so every
trial begins as a script would. It is a subreaper (prctl(2)): what a trial started comes to it when
its parents die, in whatever session it runs, and ends with the trial.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection

import psutil

from workers.training import child
from workers.training.code_on_disk import digest_of
from workers.training.loaded_sources import LoadedSources
from workers.training.messages import (
    EndTrial,
    Forked,
    FromServer,
    Job,
    NotForked,
    Preload,
    ToServer,
    TrialEnded,
)
from workers.training.parent_death import MARK, become_subreaper, kill_marked, kill_with_parent
from workers.training.preloading import RandomStates, import_module, tidy_up

_REAP_SECONDS = 1.0  # how long an orphan of a trial may stay a zombie
_LEAVE_SECONDS = 1.0  # for what follows a trial that has ended by itself
_KILL_SECONDS = 5.0  # for all that a trial left, however fast it starts more
_MOST_OUTPUT = 64_000  # bytes that an import printed, of their end


def main(descriptor: int) -> None:
    """Serve the worker at the other end of the socket `descriptor` until it closes."""
    try:
        with tempfile.TemporaryFile() as printed:
            for standard in (1, 2):
                os.dup2(printed.fileno(), standard)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
        _serve(_Control(descriptor))
    except (EOFError, OSError):
        tidy_up()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _serve(control: _Control) -> None:
    """Raises EOFError when the worker is gone."""
    preload = control.receive()
    if not isinstance(preload, Preload):
        raise EOFError
    kill_with_parent(preload.parent)  # an import may hang, and then nothing is read here
    become_subreaper()
    sources = LoadedSources(preload.sources)
    states = RandomStates()
    sys.argv = [preload.script]
    if preload.module:
        refused = import_module(preload.module, preload.allowed, sources)
        if refused is not None:
            control.send(refused)
            return
    states.note()
    kill_with_parent(None)  # from here on the socket's end tells, and a trial ends first
    gc.collect()
    gc.freeze()  # a collection in a trial would copy every page that is shared with it
    has_forked = False
    while True:
        job = control.receive()
        if not isinstance(job, Job):
            continue  # an order to end a trial that has ended
        channel, output = control.descriptors()
        if has_forked and sources.changed():
            control.send(NotForked("changed"))
            return
        has_forked = True
        digest_of(job.packages)  # read once for all its trials
        if job.pruning:
            importlib.import_module("optuna")  # whose exception ends a pruned trial
        server, pid = os.getpid(), os.fork()
        if pid == 0:
            kill_with_parent(server)
            control.close()
            _run_trial(job, channel, output, states, preload.note)
        os.close(channel)
        control.send(Forked(pid))
        try:
            code = _ProcessTree(pid, output).supervise(control)
        finally:
            os.close(output)
        control.send(TrialEnded(code))


def _run_trial(job: Job, channel: int, output: int, states: RandomStates, note: str) -> None:
    """Run a job in the forked process; never returns."""
    code = 1
    try:
        printed = os.pread(1, _MOST_OUTPUT, max(0, os.fstat(1).st_size - _MOST_OUTPUT))
        child.main(job, Connection(channel), output, printed + note.encode(), states.restore)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class _Control:
    """The server's end of the socket to its worker."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._messages = Connection(os.dup(descriptor))

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> ToServer:
        message: ToServer = self._messages.recv()
        return message

    def send(self, message: FromServer) -> None:
        self._messages.send(message)

    def descriptors(self) -> tuple[int, int]:
        """Descriptors that the worker sends after a job: the trial's channel, and its output."""
        found = socket.recv_fds(self._socket, 1, 2)[1]
        if len(found) != 2:
            raise EOFError
        for descriptor in found:
            os.set_inheritable(descriptor, False)
        channel, output = found
        return channel, output

    def close(self) -> None:
        self._messages.close()
        self._socket.close()


@contextlib.contextmanager
def _register_exit(pid: int, poll: select.poll) -> Iterator[float]:
    """Let `poll` tell of the end of a child; after how many seconds to look all the same."""
    if sys.platform != "linux":
        yield 0.02
        return
    descriptor = os.pidfd_open(pid)
    poll.register(descriptor, select.POLLIN)
    try:
        yield _REAP_SECONDS
    finally:
        os.close(descriptor)


class _ProcessTree:
    """A trial's process and its descendants: all children of this process (a subreaper)."""

    def __init__(self, pid: int, output: int) -> None:
        self._pid = pid
        self._output = output
        self._code: int | None = None

    def supervise(self, control: _Control) -> int:
        """The exit code of the trial's process, once all of them are gone.

        Raises EOFError, after the same, when the worker is gone.
        """
        poll = select.poll()
        poll.register(control.fileno(), select.POLLIN)
        try:
            with _register_exit(self._pid, poll) as seconds:
                while self._code is None:
                    ready = dict(poll.poll(seconds * 1000))
                    if control.fileno() in ready and isinstance(control.receive(), EndTrial):
                        break
                    self._reap()
                else:
                    self._log_survivors()
        finally:
            self._end()
        return self._code if self._code is not None else -signal.SIGKILL

    def _reap(self) -> bool:
        """Reap zombies; True while any process is left."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self._pid:
                    self._code = os.waitstatus_to_exitcode(status)
                if pid == 0:
                    return True
        return False

    def _end(self) -> None:
        """Kill and reap all of them; processes of another user are left after a timeout."""
        deadline = time.monotonic() + _KILL_SECONDS
        while self._reap() and time.monotonic() < deadline:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.002)
        if sys.platform != "linux":  # no subreaper: orphans are not children of this process
            kill_marked(os.environ[MARK], apart_from=os.getpid())

    def _log_survivors(self) -> None:
        """Once those have ended that end by themselves then, as multiprocessing's do."""
        deadline = time.monotonic() + _LEAVE_SECONDS
        while self._reap():
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
        else:
            return
        names = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                names.append(f"{process.name()} (process {process.pid})")
        if names:
            text = f"ended with its trial, which left it running: {', '.join(names)}\n"
            os.set_blocking(self._output, False)
            with contextlib.suppress(OSError):  # nobody reads so fast
                os.write(self._output, text.encode())
