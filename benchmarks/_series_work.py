"""What the training loops of `benchmarks.series` log, in Verdict's processes and in its peers'."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAMES = [f"s{k}" for k in range(10)]
ODD = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2)
Log = Callable[[Mapping[str, float], int], object]


def points(seed: int, steps: int) -> list[dict[str, float]]:
    """Ten series a step: noise on a falling curve, every double with all its bits."""
    rng = random.Random(seed)
    return [
        {name: math.exp(-step / 3000) + rng.random() * 0.01 for name in NAMES}
        for step in range(steps)
    ]


def odd_points(seed: int, steps: int) -> list[tuple[dict[str, float], int]]:
    """As `points`, with what is not finite, and steps that repeat and turn back."""
    calls = []
    for number, values in enumerate(points(seed, steps)):
        odd = {**values, NAMES[number % 10]: ODD[number % len(ODD)]}
        calls.append((odd, (number, number // 2, -number)[number % 3]))
    return calls


def wait_for(path: Path) -> None:
    """Return when another process has made that file; all loops start together."""
    while not path.exists():
        time.sleep(0.001)


def timed_loop(log: Log, calls: list[dict[str, float]]) -> dict[str, float]:
    """One call a step: its median and 99th percentile in microseconds."""
    clock = time.perf_counter
    times = []
    for step, values in enumerate(calls):
        start = clock()
        log(values, step)
        times.append(clock() - start)
    return spread(times)


def spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "median_us": 1e6 * statistics.median(ordered),
        "p99_us": 1e6 * ordered[int(0.99 * (len(ordered) - 1))],
        "worst_us": 1e6 * ordered[-1],
    }


def log_steps(run: Any) -> None:
    """A training function: waits until all are ready, then logs as fast as it can."""
    folder, seed = Path(run.params["folder"]), run.params["seed"]
    calls = points(seed, run.params["steps"])
    (folder / f"ready-{seed}").touch()
    wait_for(folder / "go")
    told = timed_loop(run.log, calls)
    (folder / f"told-{seed}").write_text(json.dumps(told))


def log_at_a_rate(run: Any) -> None:
    """A training function: so many calls a second, for as long as its calls last."""
    folder, rate = Path(run.params["folder"]), run.params["rate"]
    calls = odd_points(run.params["seed"], run.params["steps"])
    (folder / f"ready-{run.params['seed']}").touch()
    wait_for(folder / "go")
    clock, times = time.perf_counter, []
    start = clock()
    for number, (values, step) in enumerate(calls):
        while clock() - start < number / rate:
            time.sleep(0.0005)
        before = clock()
        run.log(values, step)
        times.append(clock() - before)
    (folder / f"told-{run.params['seed']}").write_text(json.dumps(spread(times)))


def log_until_killed(run: Any) -> None:
    """A training function: logs the time a thousand times a second, then is killed."""
    folder, seed = Path(run.params["folder"]), run.params["seed"]
    (folder / f"ready-{seed}").touch()
    wait_for(folder / "go")
    for _ in range(run.params["steps"]):
        run.log({"s0": time.time()})
        time.sleep(0.001)
    (folder / f"told-{seed}").write_text(json.dumps({"killed": time.time()}))
    os.kill(os.getpid(), signal.SIGKILL)
