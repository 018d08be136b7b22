"""A training run of a second whose every number can be told in advance, and that leaves traces."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from workers.training.run import Run

NAME = "VERDICT_FAULTS_WORKER"  # see `benchmarks._cluster`
TRACE = "VERDICT_FAULTS_TRACE"  # the file that training processes append their events to
CHECKPOINT_EVERY = 4


def expected(x: float, step: int) -> dict[str, float]:
    """What a trial with parameter `x` logs at `step`, whichever attempt comes to it."""
    return {
        "train_loss": (1.0 + x) / step,
        "validation_accuracy": 1.0 - (x - 0.3) ** 2 - 0.1 / step,
    }


def counted(run: Run) -> None:
    """Log `expected` at steps 1 to `steps`, a checkpoint every four, `pause` seconds each.

    Every event goes to the trace before whatever comes next, so that those who kill know where
    a run stands.
    """
    x = float(run.params["x"])
    steps = int(run.params["steps"])
    held = run.load_checkpoint()
    done = 0 if held is None else int(held["done"])
    trace("begun", x, start=done, pid=os.getpid(), worker=os.environ.get(NAME))
    for step in range(done + 1, steps + 1):
        time.sleep(float(run.params["pause"]))
        run.log(expected(x, step), step=step)
        if step % CHECKPOINT_EVERY == 0:
            run.save_checkpoint({"done": step}, step=step)
            trace("saved", x, step=step, pid=os.getpid())
    trace("ended", x, pid=os.getpid(), worker=os.environ.get(NAME))


def trace(event: str, x: float, **more: Any) -> None:
    """Append one line, in one write, so that lines of several processes never mix."""
    line = json.dumps({"event": event, "x": x, "at": time.time(), **more}) + "\n"
    descriptor = os.open(os.environ[TRACE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_trace(path: Path) -> list[dict[str, Any]]:
    """All events so far, oldest first."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
