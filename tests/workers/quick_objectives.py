"""Training functions of milliseconds for tests through the real queue."""

from __future__ import annotations

import ctypes
import math
import os
import random
import time

from workers.training.run import Run


def bowl(run: Run) -> None:
    """Best at x = 0.3; noise of a thousandth from the training seed; x above 0.9 diverges."""
    x = float(run.params["x"])
    noise = random.Random(f"{run.train_seed} {run.split_seed} {x}").gauss(0, 0.0003)
    for step in range(1, 11):
        time.sleep(float(run.params.get("pause", 0.0)))
        value = 1 - (x - 0.3) ** 2 - 0.5 / step + noise
        run.log(
            {
                "train_loss": 0.6 / step,
                "validation_accuracy": math.nan if x > 0.9 else value,
            },
            step=step,
        )
    run.log({"test_accuracy": 1 - (x - 0.3) ** 2 - 0.06}, step=10)


def fails_above_a_half(run: Run) -> None:
    if float(run.params["x"]) > 0.5:
        raise RuntimeError("x is too large for me")
    run.log({"validation_accuracy": 0.5}, step=1)


def breaks_at_the_edge(run: Run) -> None:
    """A bowl that raises above x = 0.95, and takes ten times `pause` seconds elsewhere."""
    x = float(run.params["x"])
    if x > 0.95:
        raise RuntimeError("x is too large for me")
    for step in range(1, 11):
        time.sleep(float(run.params.get("pause", 0.0)))
        run.log({"validation_accuracy": 1 - (x - 0.3) ** 2}, step=step)


def diverges_and_goes_on(run: Run) -> None:
    for step in range(1, 2000):
        loss = 1.0 / step if step < 4 else math.nan
        run.log({"train_loss": loss, "validation_accuracy": 0.5}, step=step)
        time.sleep(0.05)


def tells_its_device(run: Run) -> None:
    print(f"sees [{os.environ.get('CUDA_VISIBLE_DEVICES')}]", flush=True)
    time.sleep(float(run.params["pause"]))
    run.log({"validation_accuracy": 0.5}, step=1)


def blocks_in_c(run: Run) -> None:
    """One evaluation, then `pause` seconds in which no thread of this process gets a turn."""
    run.log({"validation_accuracy": 0.5}, step=1)
    run.flush()
    ctypes.PyDLL(None).sleep(int(run.params["pause"]))


def waits_for_ever(run: Run) -> None:
    """Without a step of an optimizer."""
    while True:
        time.sleep(0.1)


def steps_without_end(run: Run) -> None:
    """Steps of an optimizer, on as many examples as `batch_size` says."""
    import torch  # here: most of these functions start without it

    network = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    while True:
        optimizer.zero_grad()
        network(torch.ones(int(run.params["batch_size"]), 4)).sum().backward()
        optimizer.step()
