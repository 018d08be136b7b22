"""Supervisor of training processes: starts, monitors and ends them from outside.

It keeps running while the training process is stuck in C code, and records the cause when that
process dies.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from workers.node.prune_requests import PruneRequests
from workers.node.training_process import (
    OUT_OF_MEMORY,
    ForkRefused,
    ForkServer,
    ProcessEnded,
    TrainingProcess,
)
from workers.training.messages import (
    BuiltOnLowerBudget,
    CheckpointFile,
    Finished,
    FromTrial,
    Job,
    LoggedFile,
    NotForked,
    Outcome,
    OutputFile,
    Report,
    Resumed,
    Score,
    Sealed,
    SeriesFlush,
    Stop,
    StoredMessage,
    ToTrial,
)

# stop: end at the next log call, killed after the grace; leave: the same with a short grace, to be
# taken up again elsewhere; kill: at once.
Order = Literal["stop", "leave", "kill"]
GRACE_SECONDS = 3.0  # with the ticks before it: a stop acts within 5 s whatever a step does
LEAVE_SECONDS = 3.0  # for a last checkpoint
TICK_SECONDS = 0.5
MOST_SERVERS = 2  # of a slot: experiments that take turns do not import their code each time
_COMMANDS = "workers.objectives.command"


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Callbacks of a supervisor's owner, in the supervisor's thread; none of them may wait.

    `on_report` may: it has a thread of its own, which calls `on_reports_end` when it ends, and
    answers whether to prune, None when it cannot be known just now. `on_tick` may order an end.
    An exception of any of them ends the training process and passes through `Slot.run`.
    """

    on_series: Callable[[SeriesFlush], None]
    on_report: Callable[[float, float], bool | None]
    on_sealed: Callable[[Sealed], None]
    on_log_tail: Callable[[str], None]
    on_tick: Callable[[], Order | None]
    on_reports_end: Callable[[], None]
    on_checkpoint: Callable[[StoredMessage], None]


def _nothing() -> None:
    pass


def _ignore(message: StoredMessage) -> None:
    pass


_Kind = tuple[str, str, tuple[str, ...], int | None, tuple[tuple[str, str], ...]]


class Slot:
    """Slot for one trial at a time, each in its own process.

    Such a process is forked from a server that has imported the objective's module
    (`workers.training.fork_server`). Servers stay for the next trials with the same code.

    Used by one thread at a time. `grace_seconds` is how long a process that was asked to stop
    may take to its next log call; `hidden_environment` names variables (addresses and keys of
    the database and the queue) that training functions do not get to see. `device` is the
    device of its trials, "cpu" or a GPU's name such as "cuda:0": it is recorded with each trial,
    and GPU hours are counted from it. `environment` is set in its training
    processes before anything of theirs is imported: CUDA_VISIBLE_DEVICES, for one.
    """

    def __init__(
        self,
        grace_seconds: float = GRACE_SECONDS,
        hidden_environment: Sequence[str] = (),
        device: str = "cpu",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.device = device
        self._environment = dict(environment or {})
        self._grace_seconds = grace_seconds
        self._hidden = tuple(hidden_environment)
        self._servers: dict[_Kind, ForkServer] = {}  # the one used last is the last
        self._process: TrainingProcess | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the trial that runs; None when none does."""
        return self._process.pid if self._process else None

    @property
    def server_pids(self) -> list[int]:
        """Process ids of the fork servers that wait here, the one used last at the end."""
        return [server.pid for server in self._servers.values()]

    def run(
        self,
        job: Job,
        *,
        on_series: Callable[[SeriesFlush], None],
        on_report: Callable[[float, float], bool | None],
        on_sealed: Callable[[Sealed], None],
        on_log_tail: Callable[[str], None],
        on_tick: Callable[[], Order | None],
        on_reports_end: Callable[[], None] = _nothing,
        on_checkpoint: Callable[[StoredMessage], None] = _ignore,
        tick_seconds: float = TICK_SECONDS,
    ) -> Outcome:
        """Run one job to its end and return its outcome.

        `on_tick` is called every `tick_seconds`, also while the training process is stuck, and
        orders "stop", "leave" (see `Order`) or "kill". `on_log_tail` is
        called at ticks when there are new lines; the outcome holds the last ones.
        """
        callbacks = Callbacks(
            on_series,
            on_report,
            on_sealed,
            on_log_tail,
            on_tick,
            on_reports_end,
            on_checkpoint,
        )
        try:
            outcome = None
            while outcome is None:
                outcome = self._attempt(job, callbacks, tick_seconds)
        except BaseException:
            self.close()
            raise
        return outcome

    def close(self) -> None:
        """End its servers, with a trial that still runs; the next job gets a new one."""
        while self._servers:
            self._servers.popitem()[1].close()

    def _attempt(self, job: Job, callbacks: Callbacks, tick_seconds: float) -> Outcome | None:
        """Run one attempt and return its outcome; None when nothing was forked."""
        kind, server = self._server(job)
        self._process = process = TrainingProcess(server, job)
        try:
            outcome: Outcome | None = _Supervision(
                process, callbacks, tick_seconds, self._grace_seconds
            ).run()
            server.has_forked = True
        except ForkRefused as refused:
            self._drop(kind)
            outcome = self._replace(kind, job, server, refused.answer)
            if outcome is not None:
                outcome = replace(outcome, reason=process.cause_of_death())
        finally:
            process.close()
            self._process = None
        if server.serves_once:
            self._drop(kind)
        return outcome

    def _server(self, job: Job) -> tuple[_Kind, ForkServer]:
        """The fork server for a job: one that waits, or a new one."""
        module = _COMMANDS if job.command is not None else job.objective.partition(":")[0]
        variables = tuple(sorted(job.environment.items()))
        kind = (module, job.code, job.allowed, job.threads, variables)
        server = self._servers.pop(kind, None)
        if server is not None and not server.is_alive:
            server.close()
            server = None
        if server is None:
            server = ForkServer(job, module, self._hidden, self._environment)
        self._servers[kind] = server
        while len(self._servers) > MOST_SERVERS:
            self._drop(next(iter(self._servers)))
        return kind, server

    def _replace(
        self, kind: _Kind, job: Job, server: ForkServer, answer: NotForked | None
    ) -> Outcome | None:
        """Prepare a retry after a server forked nothing; an outcome when no retry is left."""
        if answer is None and not server.has_forked and not server.module:
            return Outcome(state="lost")
        if server.module and not server.has_forked:
            # Its import failed or forbids a fork: each trial imports it and logs the reason.
            other = ForkServer(job, "", self._hidden, self._environment, answer)
            other.serves_once = answer is None or answer.why == "failed"
            self._servers[kind] = other
        return None

    def _drop(self, kind: _Kind) -> None:
        server = self._servers.pop(kind, None)
        if server is not None:
            server.close()


class _Supervision:
    """Monitoring of one job from start to end."""

    def __init__(
        self, process: TrainingProcess, callbacks: Callbacks, tick_seconds: float, grace: float
    ) -> None:
        self._process = process
        self._callbacks = callbacks
        self._tick_seconds = tick_seconds
        self._grace = grace
        self._prune_requests = PruneRequests(
            callbacks.on_report, self._send, callbacks.on_reports_end
        )
        self._began = time.monotonic()
        self._next_tick = self._began + tick_seconds
        self._stop_by: float | None = None
        self._asked: Order | None = None
        self._ended_by: Order | None = None
        self._tail = ""
        self._score = Score()
        self._names: dict[str, None] = {}

    def run(self) -> Outcome:
        try:
            outcome = self._receive_all()
        finally:
            self._prune_requests.close()
        self._raise_error_of_requests()
        self._pass_log_tail()
        return replace(outcome, log_tail=self._tail)

    def _receive_all(self) -> Outcome:
        while True:
            try:
                message = self._process.receive(max(0.0, self._next_check() - time.monotonic()))
            except ProcessEnded:
                return self._inferred_outcome()
            except ForkRefused:
                if self._ended_by is None:
                    raise
                return self._inferred_outcome()
            if isinstance(message, Finished):
                return self._reported_outcome(message.outcome)
            if message is not None:
                self._handle(message)
            self._raise_error_of_requests()
            if time.monotonic() >= self._next_check():
                self._tick()

    def _next_check(self) -> float:
        """Time of the next check: the next tick, or the end of the grace period."""
        if self._ended_by is not None:
            return self._next_tick
        return min(self._next_tick, self._stop_by or math.inf)

    def _raise_error_of_requests(self) -> None:
        if self._prune_requests.error is not None:
            raise self._prune_requests.error

    def _handle(self, message: FromTrial) -> None:
        match message:
            case SeriesFlush():
                self._score = message.score
                self._names.update(dict.fromkeys(message.names))
                self._callbacks.on_series(message)
            case Report():
                self._prune_requests.ask(message)
            case Sealed():
                self._callbacks.on_sealed(message)
            case CheckpointFile() | Resumed() | BuiltOnLowerBudget() | OutputFile() | LoggedFile():
                self._callbacks.on_checkpoint(message)

    def _tick(self) -> None:
        self._next_tick = time.monotonic() + self._tick_seconds
        self._pass_log_tail()
        order = self._callbacks.on_tick()
        if order in ("stop", "leave"):
            self._request_stop(order)
        grace_is_over = self._stop_by is not None and time.monotonic() >= self._stop_by
        if order == "kill" or grace_is_over:
            self._ended_by = "kill" if order == "kill" else self._asked
            self._process.kill()

    def _request_stop(self, order: Order) -> None:
        grace = self._grace if order == "stop" else min(LEAVE_SECONDS, self._grace)
        if self._stop_by is None:
            self._send(Stop())
        self._stop_by = min(self._stop_by or math.inf, time.monotonic() + grace)
        self._asked = order

    def _send(self, message: ToTrial) -> None:
        with contextlib.suppress(ProcessEnded):  # the next receive raises it
            self._process.send(message)

    def _pass_log_tail(self) -> None:
        tail = self._process.log_tail.text()
        if tail != self._tail:
            self._tail = tail
            self._callbacks.on_log_tail(tail)

    def _reported_outcome(self, outcome: Outcome) -> Outcome:
        self._process.finish()
        if outcome.state == "failed" and self._process.memory_ran_out:
            return replace(outcome, reason=f"{outcome.reason}; {OUT_OF_MEMORY}")
        return outcome

    def _inferred_outcome(self) -> Outcome:
        """Outcome of a process that died before it reported one."""
        cause = self._process.cause_of_death()
        outcome = Outcome(
            state="lost",
            score=self._score,
            reason=cause,
            names=tuple(self._names),
            seconds=time.monotonic() - self._began,
        )
        if self._ended_by in ("kill", "leave"):
            return replace(outcome, state="killed", reason="killed on request")
        if self._ended_by == "stop":
            reason = f"asked to stop; killed, as no log call came within {self._grace:g} s"
            return replace(outcome, state="stopped", reason=reason)
        return outcome
