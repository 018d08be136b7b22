"""The process that trains: started once, then runs one job after another.

It opens no database and no network connection; all it knows comes through a pipe from its
supervisor (`workers.node.supervisor`) and all it finds goes back there.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

from workers.objectives.python_function import ObjectiveError, TrainingFunction, load
from workers.training.loaded_sources import LoadedSources
from workers.training.memory import free_gpu_memory, out_of_memory
from workers.training.messages import (
    Finished,
    FromChild,
    FromSupervisor,
    Job,
    Kept,
    Outcome,
    Quit,
    Report,
    ReportAnswer,
    SeriesFlush,
    Started,
    State,
    Stop,
)
from workers.training.parent_death import end_with_parent
from workers.training.passes import Passes
from workers.training.run import OfficialMetricMissing, Run, Stopped, StoppedEarly
from workers.training.system_metrics import SECONDS
from workers.training.threads import set_threads

MAX_TRACEBACK = 64_000  # characters, of its end
_NO_TEST_SCORE = (
    "ended early, before any test score was logged: "
    "loop over run.until_stopped(...) and what follows the loop still runs"
)


def main(
    connection: Connection,
    output: Connection,
    parent: int,
    hidden: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run jobs until the supervisor says quit or is gone.

    `output` replaces standard output and error, `parent` is the process to end with, `hidden`
    names environment variables that a training function has no business with, `environment` sets
    some before any library of it is imported.
    """
    os.environ.update(environment or {})
    os.setsid()  # Ctrl-C is for the supervisor; and whatever the objective starts dies with it
    end_with_parent(parent)
    _redirect_output(output)
    for name in hidden:
        os.environ.pop(name, None)
    link = SupervisorLink(connection)
    sources = LoadedSources()
    while True:
        job = link.next_job()
        if sources.changed():
            os._exit(0)  # nothing of the job has run: the supervisor gives it to a new process
        link.send(Started())
        outcome = run_job(job, link)
        sources.note()
        link.send(Finished(outcome))


class SupervisorLink:
    """The child's end of the pipe; a `workers.training.run.Sink`.

    A thread of its own reads, so that a stop is known at the next log call and the end of the
    supervisor at once.
    """

    def __init__(self, connection: Connection) -> None:
        self.stop_requested = False
        self._connection = connection
        self._sending = threading.Lock()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[ReportAnswer] = queue.SimpleQueue()
        self._reports = 0
        self._pruner_seconds = 0.0
        threading.Thread(target=self._receive, name="supervisor link", daemon=True).start()

    def next_job(self) -> Job:
        return self._jobs.get()

    def send(self, message: FromChild) -> None:
        with self._sending:
            self._connection.send(message)

    def series(self, flush: SeriesFlush) -> None:
        self.send(flush)

    def tell(self, message: Kept) -> None:
        self.send(message)

    def report(self, step: int, value: float) -> bool | None:
        """Whether to prune; None when nobody answered within the job's `pruner_seconds`."""
        deadline = time.monotonic() + self._pruner_seconds
        self._reports += 1
        # The pipe may be full of series that nobody takes just now.
        if not self._sending.acquire(timeout=self._pruner_seconds):
            return None
        try:
            self._connection.send(Report(self._reports, step, value))
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
                message: FromSupervisor = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # the supervisor is gone
            match message:
                case Job():
                    self.stop_requested = False  # one that came too late for the job before
                    self._pruner_seconds = message.pruner_seconds
                    self._jobs.put(message)
                case ReportAnswer():
                    self._answers.put(message)
                case Stop():
                    self.stop_requested = True
                case Quit():
                    os._exit(0)


def run_job(job: Job, link: SupervisorLink) -> Outcome:
    """Run one job to its end and send its series and sealed scores; never raises."""
    os.environ.update(job.environment)
    set_threads(job.threads)
    _reset_peak_memory()
    started = time.monotonic()
    run = Passes(job, link) if job.folds or job.rungs else Run(job, link, system_seconds=SECONDS)
    state, reason, trace = _train(job, run, link)
    seconds = time.monotonic() - started
    try:
        run.close()
    except Exception as error:
        state, reason, trace = "failed", f"series not sent: {error!r}", traceback.format_exc()
    for sealed in run.sealed:
        link.send(sealed)
    with contextlib.suppress(Exception):  # an objective may have closed them
        sys.stdout.flush()
        sys.stderr.flush()
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
        folds=run.folds if isinstance(run, Passes) else (),
        gpu_memory_left_mb=free_gpu_memory(),
    )


def _train(job: Job, run: Run | Passes, link: SupervisorLink) -> tuple[State, str, str]:
    """State, reason and traceback of the objective's end."""
    try:
        function = _function(job, link)
        set_threads(job.threads)  # again: torch is known only now
        if isinstance(run, Passes):
            run.call(function)
        else:
            run.finish(function(run))
    except ObjectiveError as error:
        return "failed", str(error), ""
    except BaseException as error:  # an objective's sys.exit() must not end this process
        if isinstance(error, StoppedEarly):
            if not run.sealed:
                print(_NO_TEST_SCORE, file=sys.stderr, flush=True)
            state, _, trace = _judge(job, run)
            return state, str(error), trace
        if isinstance(error, Stopped):
            return "stopped", str(error), ""
        if _is_pruned(error):
            return "pruned", str(error), ""
        if isinstance(error, OfficialMetricMissing):
            return "failed", _log_it(job, str(error)), ""
        return "failed", out_of_memory(error) or _in_one_line(error), traceback.format_exc()
    # It may have caught what log() raised, in order to save its work.
    if run.ending in ("pruned", "stopped"):
        return run.ending, "", ""
    if isinstance(run, Run) and run.ending == "unjudged":
        return "failed", _log_it(job, run.without_official()), ""
    return _judge(job, run)


def _function(job: Job, link: SupervisorLink) -> TrainingFunction:
    if job.command is None:
        return load(job.objective, job.allowed)
    from workers.objectives import command  # only here: most children never run one

    return command.function_of(job.command, link.tell)


def _log_it(job: Job, what: str) -> str:
    return f"{what}. Log it under the name {job.official_metric} at every evaluation"


def _judge(job: Job, run: Run | Passes) -> tuple[State, str, str]:
    """What a run is that returned by itself."""
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


def _in_one_line(error: BaseException) -> str:
    text = str(error).strip()
    first = text.splitlines()[0] if text else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _storable(text: str) -> str:
    """Text that every database holds: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _redirect_output(output: Connection) -> None:
    """Send file descriptors 1 and 2 to the supervisor: what C code prints, too."""
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    # New ones: the old ones remember what they wrote to, and whether one can seek in it.
    sys.stdout = _line_buffered(1)
    sys.stderr = _line_buffered(2)
    faulthandler.enable(2)


def _line_buffered(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)


def _reset_peak_memory() -> None:
    """Let the peak count from here (Linux, proc(5): clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_mb() -> float | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return None
