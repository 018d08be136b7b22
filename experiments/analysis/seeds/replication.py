"""Scores of replicates and the pairs they form.

A replicate is one more run of a fixed configuration with a fresh training seed and a fresh split
seed. Replicate i of the candidate and of the baseline share both, so their difference is free of
what the two seeds do to both arms alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite, nan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

ScoreRule = Literal["tail_median", "last", "best"]
Direction = Literal["maximize", "minimize"]

TAIL_SHARE = 5  # the tail is the last fifth


def tail_length(evaluations: int) -> int:
    """Number of evaluations in the last fifth of a run, rounded up, at least 1."""
    return max(1, ceil(evaluations / TAIL_SHARE))


def score(values: ArrayLike, *, rule: ScoreRule = "tail_median", direction: Direction) -> float:
    """The one number that a replicate enters a comparison with, in the metric's unit.

    `values` [T]: the official metric at each evaluation, in order.
    `tail_median`: median of the last fifth; `last`: the last value; `best`: the best finite one,
    which favours the noisier arm and so decides only on data that did not choose the checkpoint.
    Returns NaN for a run that did not end in a usable state: no values, a non-finite value in the
    tail (`tail_median`), a non-finite last value (`last`), no finite value at all (`best`).
    Raises ValueError for an unknown rule or direction.
    """
    check_direction(direction)
    curve = np.asarray(values, dtype=np.float64).ravel()
    if rule == "best":
        finite = curve[np.isfinite(curve)]
        if finite.size == 0:
            return nan
        return float(finite.max() if direction == "maximize" else finite.min())
    if rule not in ("tail_median", "last"):
        raise ValueError(f"Unknown score {rule!r}: tail_median, last or best.")
    if curve.size == 0:
        return nan
    tail = curve[-tail_length(curve.size) :] if rule == "tail_median" else curve[-1:]
    return float(np.median(tail)) if np.isfinite(tail).all() else nan


def check_direction(direction: str) -> None:
    """Raise ValueError unless `direction` is "maximize" or "minimize"."""
    if direction not in ("maximize", "minimize"):
        raise ValueError(f"Unknown direction {direction!r}: maximize or minimize.")


def gains(candidate: ArrayLike, baseline: ArrayLike, direction: Direction) -> NDArray[np.float64]:
    """Candidate minus baseline [N], negated when the metric is minimised: positive is better."""
    check_direction(direction)
    sign = 1.0 if direction == "maximize" else -1.0
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, which is what it should be
        return sign * (np.asarray(candidate, np.float64) - np.asarray(baseline, np.float64))


def evaluation_mismatch(
    candidate: Sequence[float],
    baseline: Sequence[float],
    candidate_evaluations: Sequence[int | None],
    baseline_evaluations: Sequence[int | None],
) -> str | None:
    """Reason that the scores of the two arms may not be compared, or None when they may.

    A score taken from more evaluations is another statistic, so all finished replicates of both
    arms must have been evaluated equally often. Diverged replicates stop early and are not
    counted; unknown counts (None) are not held against anyone.
    """
    ours = _counts_of_finished(candidate, candidate_evaluations)
    theirs = _counts_of_finished(baseline, baseline_evaluations)
    if len(ours | theirs) <= 1:
        return None
    return (
        f"The runs were not evaluated equally often: {_as_text(ours)} evaluations for the "
        f"candidate, {_as_text(theirs)} for the baseline."
    )


def _counts_of_finished(scores: Sequence[float], evaluations: Sequence[int | None]) -> set[int]:
    counted = zip(scores, evaluations, strict=False)
    return {count for value, count in counted if isfinite(value) and count is not None}


def _as_text(counts: set[int]) -> str:
    if not counts:
        return "an unknown number of"
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
