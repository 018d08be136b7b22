"""Measurement of throughput by batch size, on a training function.

After the Tuning Playbook, "Determining the feasible batch sizes and estimating throughput": the
size is doubled until memory ends or throughput rises no more. The function runs as it is; torch
tells of each step of its optimizer, and of how many examples its network was given.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil

from experiments.analysis import thresholds
from workers.training.memory import out_of_memory
from workers.training.parent_death import MARK, end_with_parent, kill_marked

if TYPE_CHECKING:
    from workers.training.messages import SeriesFlush
    from workers.training.run import Run

WARM_UP = 3  # steps that are not timed
LARGEST = 2**20
REPEATS = 3
_SLOW_DOUBLINGS = 2
_PATIENCE_SECONDS = 600
_LISTEN_SECONDS = 0.3
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Measured:
    """One batch size: examples and seconds of a step in the median, peak memory in MiB.

    `ended`: "" when it was measured, else why not: memory, data (fewer examples than the size
    asks for) or failed, with `reason` in words. Of `repeats` measurements all figures are medians;
    `spread`: their range of throughput over its median. `busy`: share of the processors that
    others kept busy right before.
    """

    batch: int
    examples_per_second: float | None = None
    step_seconds: float | None = None
    peak_memory_mb: float | None = None
    ended: str = ""
    reason: str = ""
    repeats: int = 1
    spread: float = 0.0
    busy: float = 0.0


class Interrupted(Exception):
    """The measurement was cancelled."""


class _EnoughSteps(BaseException):
    """Raised in the training function once enough steps were timed."""


def sizes_up(
    measure: Callable[[int], Measured],
    *,
    first: int,
    largest: int = LARGEST,
    repeats: int = REPEATS,
    tell: Callable[[list[Measured]], object] = lambda rows: None,
) -> list[Measured]:
    """Measure `first`, its double, and so on, until memory or data end, or until two doublings
    in a row bring less than 1.2 times the throughput; then all of them again, down and up.

    What slows the machine for a while thus meets every size alike, and no single slow or fast
    measurement decides. `tell` hears the rows after each measurement.
    """
    found: dict[int, list[Measured]] = {}

    def add(batch: int) -> Measured:
        row = measure(batch)
        found.setdefault(batch, []).append(row)
        tell(_medians(found))
        return row

    batch, slow = first, 0
    rates: list[float] = []
    while batch <= largest and slow < _SLOW_DOUBLINGS:
        row = add(batch)
        if row.ended or row.examples_per_second is None:
            break
        rates.append(row.examples_per_second)
        rises = len(rates) < 2 or rates[-1] >= thresholds.DOUBLING_NONE * max(rates[:-1])
        slow = 0 if rises else slow + 1
        batch *= 2
    sizes = [size for size, rows in found.items() if not rows[0].ended]
    for turn in range(1, repeats):
        for size in reversed(sizes) if turn % 2 else sizes:
            add(size)
    return _medians(found)


def _medians(found: Mapping[int, Sequence[Measured]]) -> list[Measured]:
    """One row per size: its failure, or the median of its successful measurements."""
    return [_median(rows) for rows in found.values()]


def _median(rows: Sequence[Measured]) -> Measured:
    whole = [row for row in rows if not row.ended and row.examples_per_second]
    if len(whole) < 2:
        return whole[0] if whole else rows[0]
    rates = [row.examples_per_second or 0.0 for row in whole]
    rate = statistics.median(rates)
    memory = [row.peak_memory_mb for row in whole if row.peak_memory_mb is not None]
    return Measured(
        whole[0].batch,
        rate,
        whole[0].batch / rate,
        max(memory, default=None),
        repeats=len(whole),
        spread=(max(rates) - min(rates)) / rate,
        busy=statistics.median(row.busy for row in whole),
    )


def in_a_process(
    objective: str,
    parameters: Mapping[str, Any],
    *,
    parameter: str,
    steps: int,
    memory_mb: int = 0,
    seconds: float = _PATIENCE_SECONDS,
    environment: Mapping[str, str] | None = None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Callable[[int], Measured]:
    """A `measure` that runs each size in a process of its own: whatever runs out of memory there
    takes nothing else with it. `memory_mb` caps what it may allocate on the CPU; 0: no cap.

    `environment` is all that the process sees, by default what this one does. While it measures
    `is_wanted` is asked; once that says no, it is killed and `Interrupted` raised.
    """

    def measure(batch: int) -> Measured:
        order = {
            "objective": objective,
            "parameters": {**parameters, parameter: batch},
            "batch": batch,
            "steps": steps,
            "memory_mb": memory_mb,
            "parent": os.getpid(),
        }
        mark = secrets.token_hex(8)
        busy = psutil.cpu_percent(_LISTEN_SECONDS) / 100
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers.training.batch_size"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**(os.environ if environment is None else environment), MARK: mark},
                start_new_session=True,
            )
            try:
                answer = _answer(process, mark, json.dumps(order).encode(), seconds, is_wanted)
            except subprocess.TimeoutExpired:
                reason = f"{steps} steps took longer than {seconds:g} s"
                return Measured(batch, ended="failed", reason=reason)
            finally:
                _kill(process, mark)
            row = _read(batch, process.returncode, answer, _last_line(errors))
            return replace(row, busy=busy)

    return measure


def _answer(
    process: subprocess.Popen[bytes],
    mark: str,
    order: bytes,
    seconds: float,
    is_wanted: Callable[[], bool],
) -> bytes:
    """Answer of the process. Raises Interrupted, and TimeoutExpired after so many seconds."""
    deadline = time.monotonic() + seconds
    given: bytes | None = order
    while True:
        try:
            return process.communicate(given, timeout=_POLL_SECONDS)[0]
        except subprocess.TimeoutExpired:
            given = None  # it has been sent
            if process.poll() is not None:
                kill_marked(mark)  # what it forked holds its pipe open
                continue
            if not is_wanted():
                raise Interrupted from None
            if time.monotonic() >= deadline:
                raise


def _kill(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill it with all its descendants, in any session."""
    process.kill()
    process.wait()
    kill_marked(mark)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _read(batch: int, code: int, output: bytes, last: str) -> Measured:
    if code == 0 and output:
        return Measured(**json.loads(output))
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return Measured(batch, ended="memory", reason="the kernel ended it for its memory")
    return Measured(batch, ended="failed", reason=last or f"exit code {code}")


def _last_line(errors: IO[bytes]) -> str:
    """Last line of the error output, if the process failed."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4096))
    lines = errors.read().decode(errors="replace").replace("\0", "").strip().splitlines()
    return lines[-1][:300] if lines else ""


def measure_here(
    function: Callable[[Run], object], run: Run, *, batch: int, steps: int
) -> Measured:
    """Run a training function until `steps` steps of its optimizer were timed.

    `run` is what it is given; logging costs it nothing. Needs torch.
    """
    from torch.nn.modules.module import register_module_forward_pre_hook
    from torch.optim.optimizer import register_optimizer_step_post_hook

    clock = _Clock(steps)
    hooks = [
        register_optimizer_step_post_hook(clock.stepped),
        register_module_forward_pre_hook(clock.entered),
    ]
    try:
        function(run)
    except _EnoughSteps:
        pass
    except (RuntimeError, MemoryError) as error:
        why = out_of_memory(error) or (str(error) if "can't allocate memory" in str(error) else "")
        if not why:
            raise
        return Measured(batch, ended="memory", reason=why.splitlines()[0][:300])
    finally:
        for hook in hooks:
            hook.remove()
        gc.collect()
    return clock.measured(batch)


class _Clock:
    """Times the steps of an optimizer, and counts the examples of each."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._times: list[float] = []
        self._given = 0  # examples since the last step
        self._examples: list[int] = []

    def entered(self, module: Any, arguments: tuple[Any, ...]) -> None:
        first = arguments[0] if arguments else None
        if first is None or self._given or not module.training:
            return
        if getattr(first, "ndim", 0):
            self._given = int(first.shape[0])

    def stepped(self, *_: Any) -> None:
        _wait_for_device()
        self._times.append(time.perf_counter())
        self._examples.append(self._given)
        self._given = 0
        if len(self._times) > WARM_UP + self._steps:
            raise _EnoughSteps

    def measured(self, batch: int) -> Measured:
        times = self._times[WARM_UP:]
        seconds = [b - a for a, b in pairwise(times)]
        if not seconds:
            reason = f"only {len(self._times)} steps of an optimizer were made"
            return Measured(batch, ended="failed", reason=reason)
        most = max(self._examples)
        if 0 < most < batch:
            reason = f"the network was given {most} examples at most"
            return Measured(batch, ended="data", reason=reason)
        # An epoch's last batch is smaller; evaluation falls between two epochs' steps.
        step = statistics.median(seconds)
        return Measured(batch, batch / step, step, _peak_memory_mb())


def _wait_for_device() -> None:
    import torch

    if torch.cuda.is_available() and torch.cuda.memory_allocated():
        torch.cuda.synchronize()


def _peak_memory_mb() -> float:
    import torch

    if torch.cuda.is_available() and torch.cuda.memory_allocated():
        return float(torch.cuda.max_memory_allocated()) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _NullSink:
    """A `workers.training.sink.Sink` that discards everything."""

    stop_requested = False

    def series(self, flush: SeriesFlush) -> None: ...

    def report(self, step: float, value: float) -> bool:
        return False


def main() -> int:
    """The process of one size: the order on standard input, what was measured as its last line."""
    from workers.objectives.python_function import load
    from workers.training.messages import Job
    from workers.training.run import Run

    order = json.loads(sys.stdin.read())
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever the function prints is no answer
    end_with_parent(order["parent"])
    objective = order["objective"]
    job = Job(
        label="batch size",
        objective=objective,
        allowed=(objective.partition(":")[0],),
        params=order["parameters"],
        train_seed=0,
        split_seed=0,
        official_metric="",
        direction="maximize",
    )
    function = load(objective, job.allowed)
    if order["memory_mb"]:
        resident = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
        cap = resident + order["memory_mb"] * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
    found = measure_here(
        function, Run(job, _NullSink()), batch=order["batch"], steps=order["steps"]
    )
    os.write(answer, json.dumps(asdict(found)).encode())
    os._exit(0)  # whatever threads the function has left


if __name__ == "__main__":
    sys.exit(main())
