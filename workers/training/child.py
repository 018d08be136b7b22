"""One trial in the process that a fork server has forked for it.

It opens no database and no network connection; all it knows comes from the fork server and through
a pipe from its supervisor (`workers.node.supervisor`), and all it finds goes back there. Pipe and
process belong to one attempt of one trial: a process that the training function forks has neither.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from workers.objectives.python_function import ObjectiveError, TrainingFunction, load
from workers.training.code_on_disk import digest_of
from workers.training.memory import in_one_line, out_of_memory, text_of
from workers.training.messages import (
    Finished,
    FromTrial,
    Job,
    Outcome,
    Report,
    ReportAnswer,
    SeriesFlush,
    Signed,
    State,
    Stop,
    StoredMessage,
    ToTrial,
)
from workers.training.passes import MultiPassRun
from workers.training.run import OfficialMetricMissing, Run, Stopped, StoppedEarly
from workers.training.system_metrics import SECONDS
from workers.training.threads import set_threads

MAX_TRACEBACK = 64_000  # characters, of its end
_NO_TEST_SCORE = (
    "ended early, before any test score was logged: "
    "loop over run.until_stopped(...) and what follows the loop still runs"
)


def main(
    job: Job,
    connection: Connection,
    output: int,
    printed: bytes,
    restore_random_states: Callable[[], None],
) -> None:
    """Run a job to its end and what the objective registered for its process's exit.

    `output` replaces standard output and error and begins with what was `printed` before.
    """
    os.setsid()  # Ctrl-C is for the supervisor
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    faulthandler.enable(2)
    os.write(1, printed)
    restore_random_states()
    link = SupervisorLink(connection, job)
    link.send(Finished(run_job(job, link)))
    atexit._run_exitfuncs()
    _flush_output()


class CodeChanged(Exception):
    """The code that was imported may be other than the recorded one; another attempt tells."""


class SupervisorLink:
    """The trial's end of the pipe; a `workers.training.run.Sink`.

    A thread of its own reads, so that a stop is known at the next log call and the end of the
    supervisor at once.
    """

    def __init__(self, connection: Connection, job: Job) -> None:
        self.stop_requested = False
        self._connection = connection
        self._pid = os.getpid()
        self._attempt = job.attempt
        self._sending = threading.Lock()
        self._answers: queue.SimpleQueue[ReportAnswer] = queue.SimpleQueue()
        self._reports = 0
        self._pruner_seconds = job.pruner_seconds
        os.register_at_fork(after_in_child=connection.close)
        threading.Thread(target=self._receive, name="supervisor link", daemon=True).start()

    def send(self, message: FromTrial) -> None:
        with self._sending:
            self._send(message)

    def _send(self, message: FromTrial) -> None:
        self._connection.send(Signed(os.getpid(), self._attempt, message))

    def series(self, flush: SeriesFlush) -> None:
        self.send(flush)

    def tell(self, message: StoredMessage) -> None:
        self.send(message)

    def report(self, step: float, value: float) -> bool | None:
        """Ask whether to prune; None when nobody answered within the job's `pruner_seconds`."""
        deadline = time.monotonic() + self._pruner_seconds
        self._reports += 1
        # The pipe may be full of series that nobody takes just now.
        if not self._sending.acquire(timeout=self._pruner_seconds):
            return None
        try:
            self._send(Report(self._reports, step, value))
        finally:
            self._sending.release()
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                answer = self._answers.get(timeout=left)
                if answer.number == self._reports:  # not a late one to an earlier report
                    return answer.prune
        return None

    def _receive(self) -> None:
        while True:
            try:
                message: ToTrial = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # the supervisor is gone
            match message:
                case ReportAnswer():
                    self._answers.put(message)
                case Stop():
                    self.stop_requested = True


def run_job(job: Job, link: SupervisorLink) -> Outcome:
    """Run one job to its end and send its series and sealed scores; never raises."""
    started = time.monotonic()
    run = (
        MultiPassRun(job, link)
        if job.folds or job.rungs
        else Run(job, link, system_seconds=SECONDS)
    )
    state, reason, trace = _train(job, run, link)
    seconds = time.monotonic() - started
    try:
        run.close()
    except Exception as error:
        state, reason, trace = "failed", f"series not sent: {error!r}", traceback.format_exc()
    for sealed in run.sealed:
        link.send(sealed)
    _flush_output()
    return Outcome(
        state=state,
        score=run.score,
        reason=_storable(reason),
        traceback=_storable(trace[-MAX_TRACEBACK:]),
        read_split_seed=run.read_split_seed,
        unanswered=run.unanswered,
        warnings=tuple(_storable(warning) for warning in run.warnings),
        names=run.names,
        peak_memory_mb=_peak_memory_mb(),
        seconds=seconds,
        stopped_early=run.ending == "early",
        folds=run.folds if isinstance(run, MultiPassRun) else (),
    )


def _train(job: Job, run: Run | MultiPassRun, link: SupervisorLink) -> tuple[State, str, str]:
    """State, reason and traceback of the objective's end."""
    try:
        function = _function(job, link)
        set_threads(job.threads)
        if isinstance(run, MultiPassRun):
            run.call(function)
        else:
            run.finish(function(run))
    except ObjectiveError as error:
        return "failed", str(error), ""
    except CodeChanged as error:
        return "lost", str(error), ""
    except BaseException as error:  # an objective's sys.exit() must not end this process
        if isinstance(error, StoppedEarly):
            if not run.sealed:
                print(_NO_TEST_SCORE, file=sys.stderr, flush=True)
            state, _, trace = _judge(job, run)
            return state, str(error), trace
        if isinstance(error, Stopped):
            return "stopped", text_of(error), ""
        if _is_pruned(error):
            return "pruned", text_of(error), ""
        if isinstance(error, OfficialMetricMissing):
            return "failed", _log_it(job, str(error)), ""
        return "failed", out_of_memory(error) or in_one_line(error), traceback.format_exc()
    # It may have caught what log() raised, in order to save its work.
    if run.ending in ("pruned", "stopped"):
        return run.ending, "", ""
    if isinstance(run, Run) and run.ending == "unjudged":
        return "failed", _log_it(job, run.without_official()), ""
    return _judge(job, run)


def _function(job: Job, link: SupervisorLink) -> TrainingFunction:
    if job.command is None:
        function = load(job.objective, job.allowed)
        if job.code and (found := digest_of(job.packages)) != job.code:
            raise CodeChanged(
                f"the code changed while the trial was starting, from {job.code[:10]} to "
                f"{found[:10]}"
            )
        return function
    from workers.objectives import command  # only here: most children never run one

    return command.function_of(job.command, link.tell)


def _log_it(job: Job, what: str) -> str:
    return f"{what}. Log it under the name {job.official_metric} at every evaluation"


def _judge(job: Job, run: Run | MultiPassRun) -> tuple[State, str, str]:
    """Outcome of a run that returned by itself."""
    score, metric = run.score, job.official_metric
    if job.data_must_be_read and not run.read_data:
        return (
            "failed",
            f"the arms differ in their data, and this one is to train on "
            f"{' '.join(job.data.values()) or 'the usual ones'}, but the training function never "
            "read run.data: it would have trained on the same data in every arm",
            "",
        )
    if score.evaluations == 0:
        seen = ", ".join(sorted(run.names)) or "none"
        return (
            "failed",
            f"{metric} was never logged; names seen: {seen}. Log it, or return a number",
            "",
        )
    if score.value is None:
        return "infeasible", f"{metric} was not finite in {score.evaluations} evaluations", ""
    return "complete", "", ""


def _is_pruned(error: BaseException) -> bool:
    optuna = sys.modules.get("optuna")  # nobody raises its exceptions without importing it
    return optuna is not None and isinstance(error, optuna.TrialPruned)


def _storable(text: str) -> str:
    """Text that every database holds: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _flush_output() -> None:
    with contextlib.suppress(Exception):  # an objective may have closed them
        sys.stdout.flush()
        sys.stderr.flush()


def _peak_memory_mb() -> float | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return None
