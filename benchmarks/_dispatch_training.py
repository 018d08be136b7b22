"""Trials that train nothing, so that all they cost is what runs them."""

from __future__ import annotations

import time

from workers.training.run import Run


def nothing(run: Run) -> None:
    run.log({"validation_accuracy": float(run.params["x"])}, step=1)


def steady(run: Run) -> None:
    """Log ten steps of two metrics a second for 45 s."""
    for step in range(1, 451):
        run.log({"train_loss": 1 / step, "validation_accuracy": 1 - 1 / step}, step=step)
        time.sleep(0.1)
