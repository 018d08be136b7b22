"""Time: is training waiting for its input, and which batch size uses the hardware best?

Source: Tuning Playbook, "Choosing the batch size", "Optimizing the input pipeline".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, share

INPUT_BOUND = Rule(
    name="input_bound",
    version=1,
    severity=Severity.WARNING,
    question="Does training wait for its input?",
    passed_title="Training does not wait for its input",
    meaning="The device idles while data are loaded or processed.",
    advice="Load and process in parallel, fetch ahead, move costly steps out of the pipeline.",
    section="Tuning Playbook, 'Optimizing the input pipeline'",
)

BATCH_SIZE = Rule(
    name="batch_size",
    version=1,
    severity=Severity.NOTICE,
    question="Is this the batch size that uses the hardware best?",
    passed_title="The batch size uses the hardware well",
    meaning="Another batch size processes clearly more examples per second.",
    advice="Use the smallest batch within 5 % of the highest throughput, and tune again with it.",
    section="Tuning Playbook, 'Determining the feasible batch sizes and estimating throughput'",
)


@dataclass(frozen=True, slots=True)
class Doubling:
    """From one batch size to the next tried: by what factor throughput grew."""

    batch: int
    next_batch: int
    factor: float
    verdict: str


@dataclass(frozen=True, slots=True)
class BatchChoice:
    """The smallest batch within 5 % of the best throughput, and what each step up gained."""

    batch: int
    throughput: float
    doublings: tuple[Doubling, ...]


def input_bound(step_seconds: Floats, waiting_seconds: Floats | None = None) -> Diagnosis:
    """Tell whether a fifth of the time goes into waiting, or a tenth into a few slow steps.

    step_seconds: [T] duration of each step (or logged stretch, per step); waiting_seconds: [T]
    the part of it spent waiting for data, if logged. A slow step takes over three times the
    median; the time lost is what it takes beyond the median.
    """
    known = np.isfinite(step_seconds) & (step_seconds > 0)
    seconds = step_seconds[known]
    if seconds.size < thresholds.STEP_TIMES_NEEDED:
        return INPUT_BOUND.cannot_tell(
            f"{seconds.size} step times; the rule needs {thresholds.STEP_TIMES_NEEDED}.",
            {"step_times": int(seconds.size), "needed": thresholds.STEP_TIMES_NEEDED},
        )
    median, total = float(np.median(seconds)), float(seconds.sum())
    slow = seconds > thresholds.SLOW_STEP_FACTOR * median
    lost = float((seconds[slow] - median).sum()) / total
    waited = _waiting_share(step_seconds, waiting_seconds)
    evidence = {
        "step_times": int(seconds.size),
        "median_seconds": median,
        "slow_steps": int(slow.sum()),
        "time_lost_in_slow_steps": lost,
        "waiting_share": waited,
    }
    detail = (
        f"A step takes {figure(median)} s; {int(slow.sum())} of {seconds.size} take over three "
        f"times that and cost {share(lost)} of the time."
    )
    if waited is not None:
        detail += f" {share(waited)} of the time was spent waiting for data."
        if waited > thresholds.WAITING_SHARE:
            title = f"Training waits for data {share(waited)} of the time"
            return INPUT_BOUND.fires(title, detail, evidence)
    if lost > thresholds.SLOW_STEP_LOSS:
        return INPUT_BOUND.fires("Step times jump: input may be the bottleneck", detail, evidence)
    return INPUT_BOUND.passes(detail, evidence)


def seconds_per_step(steps: Floats, seconds: Floats) -> Floats:
    """Return [T - 1] seconds per step between log points; nan where no step was made."""
    with np.errstate(all="ignore"):
        made = np.diff(steps)
        return np.where(made > 0, np.diff(seconds) / made, math.nan)


def choose_batch(
    throughput: Mapping[int, float], noise: Mapping[int, float] | None = None
) -> BatchChoice | None:
    """Return the smallest batch within 5 % of the highest throughput; None without any.

    throughput: examples per second by batch size, sizes that ran out of memory left out. noise:
    relative standard error of each, where known; a size that is not clearly slower is enough. A
    doubling that brings 1.8 times is "not saturated", under 1.2 "no gain", else "diminishing".
    """
    known = {b: t for b, t in sorted(throughput.items()) if b > 0 and math.isfinite(t) and t > 0}
    if not known:
        return None
    errors = noise or {}
    fastest = max(known, key=lambda size: known[size])
    enough = (1 - thresholds.THROUGHPUT_TOLERANCE) * known[fastest]

    def slack(size: int) -> float:
        return math.hypot(errors.get(size, 0.0), errors.get(fastest, 0.0))

    batch = next(b for b, rate in known.items() if rate * (1 + slack(b)) >= enough)
    sizes = list(known)
    doublings = tuple(
        _doubling(small, large, known[small], known[large]) for small, large in pairwise(sizes)
    )
    return BatchChoice(batch, known[batch], doublings)


def batch_size(current: int, throughput: Mapping[int, float]) -> Diagnosis:
    """Tell whether another batch size processes clearly more examples per second."""
    choice = choose_batch(throughput)
    if choice is None or current not in throughput or len(throughput) < 2:
        return BATCH_SIZE.cannot_tell(
            "Throughput was not measured for this and another batch size.",
            {"batch": current, "measured": sorted(throughput)},
        )
    evidence = {
        "batch": current,
        "throughput": throughput[current],
        "measured": sorted(throughput),
        "examples_per_second": [throughput[size] for size in sorted(throughput)],
        "best_batch": choice.batch,
        "best_throughput": choice.throughput,
    }
    detail = (
        f"Batch {current}: {figure(throughput[current])} examples/s; batch {choice.batch}: "
        f"{figure(choice.throughput)} examples/s."
    )
    if throughput[current] < (1 - thresholds.THROUGHPUT_TOLERANCE) * choice.throughput:
        return BATCH_SIZE.fires(
            f"Batch {choice.batch} processes more examples per second", detail, evidence
        )
    return BATCH_SIZE.passes(detail, evidence)


def _waiting_share(step_seconds: Floats, waiting_seconds: Floats | None) -> float | None:
    if waiting_seconds is None:
        return None
    known = np.isfinite(step_seconds) & np.isfinite(waiting_seconds)
    total = float(step_seconds[known].sum())
    return float(waiting_seconds[known].sum()) / total if total > 0 else None


def _doubling(small: int, large: int, before: float, after: float) -> Doubling:
    # As if the batch had exactly doubled, whatever the sizes tried.
    growth = (math.log(after) - math.log(before)) / math.log2(large / small)
    factor = math.exp(min(growth, 700.0))
    if factor >= thresholds.DOUBLING_FULL:
        verdict = "not saturated"
    elif factor >= thresholds.DOUBLING_NONE:
        verdict = "diminishing"
    else:
        verdict = "no gain"
    return Doubling(small, large, factor, verdict)
