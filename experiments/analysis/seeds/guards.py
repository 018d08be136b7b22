"""Guard metrics: what a change may not break while it improves the official metric.

Judged as the gain is, by non-inferiority: a guard passes when the bound of its interval lies
inside its limit, not when a mean happens to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan
from typing import Literal, get_args

import numpy as np

from experiments.analysis.number_formats import percent, significant
from experiments.analysis.seeds.comparison import all_equal, paired_t, welch_t
from experiments.analysis.seeds.looks import FEWEST_PAIRS

Bound = Literal["at most", "at least", "rise at most", "fall at most"]
BOUNDS: tuple[Bound, ...] = get_args(Bound)
RELATIVE: tuple[Bound, ...] = ("rise at most", "fall at most")
Status = Literal["passed", "not shown", "broken"]


@dataclass(frozen=True, slots=True)
class Limit:
    """Limit on one metric: at most, at least, or how far it may move from the baseline's.

    `limit`: in its unit, from 0 up where it is how far it may rise or fall.
    """

    metric: str
    bound: Bound
    limit: float

    def __post_init__(self) -> None:
        if not isfinite(self.limit):
            raise ValueError(f"The limit of {self.metric} is not a finite number.")
        _check(self.metric, self.bound, self.limit)


@dataclass(frozen=True, slots=True)
class Guard:
    """A limit on one metric over the candidate's replicates.

    `values`: one a replicate, in the metric's unit; NaN where it was not measured. `baseline`:
    the same of the baseline, which limits on a rise or fall are held against; replicate i of
    both under the same seeds when `paired`.
    """

    name: str
    values: tuple[float, ...]
    limit: float
    bound: Bound = "at most"
    baseline: tuple[float, ...] = ()
    paired: bool = True

    def __post_init__(self) -> None:
        if isnan(self.limit):
            raise ValueError(f"The limit of {self.name} is not a number.")
        _check(self.name, self.bound, self.limit)


def _check(name: str, bound: str, limit: float) -> None:
    if bound not in BOUNDS:
        raise ValueError(f"Unknown bound {bound!r}: {', '.join(BOUNDS)}.")
    if bound in RELATIVE and limit < 0:
        raise ValueError(f"How far {name} may rise or fall is a number from 0 up, not {limit}.")


@dataclass(frozen=True, slots=True)
class GuardResult:
    """A guard held against its replicates: `mean` is None when nothing was measured.

    `mean`: of the candidate, or its rise or fall against the baseline. `shown`: the end of its
    one-sided interval that the limit is held against; None without one. `level`: that interval's
    error.
    """

    name: str
    mean: float | None
    limit: float
    bound: Bound
    measured: int
    replicates: int
    broken: bool
    text: str
    status: Status = "not shown"
    shown: float | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class _Interval:
    """Interval of a measurement, oriented so that less is better, with one-sided bounds."""

    measured: int
    mean: float = nan
    lower: float = -inf
    upper: float = inf


def check_guard(guard: Guard, *, level: float) -> GuardResult:
    """Hold a guard metric against its limit at a one-sided `level`.

    Passed: the interval lies within the limit; broken: beyond it; else, or measured too rarely,
    not shown. Replicates without a value are left out and counted in the text.
    """
    sign = -1.0 if guard.bound in ("at least", "fall at most") else 1.0
    found = _interval(guard, sign, level)
    limit = guard.limit if guard.bound in RELATIVE else sign * guard.limit
    status: Status = "not shown"
    if found.upper <= limit:
        status = "passed"
    elif found.lower > limit:
        status = "broken"
    back = 1.0 if guard.bound in RELATIVE else sign
    edge = found.lower if status == "broken" else found.upper
    return GuardResult(
        name=guard.name,
        mean=None if isnan(found.mean) else back * found.mean,
        limit=guard.limit,
        bound=guard.bound,
        measured=found.measured,
        replicates=len(guard.values),
        broken=status == "broken",
        text=_text(guard, status, found, back * found.mean, back * edge, level),
        status=status,
        shown=back * edge if isfinite(edge) else None,
        level=level,
    )


def _interval(guard: Guard, sign: float, level: float) -> _Interval:
    ours = sign * np.array(guard.values, dtype=np.float64)
    theirs = sign * np.array(guard.baseline, dtype=np.float64)
    relative = guard.bound in RELATIVE
    with np.errstate(invalid="ignore"):
        rows = ours - theirs if relative and guard.paired and theirs.size == ours.size else ours
    if (rows == np.inf).any():
        return _Interval(int((~np.isnan(rows)).sum()), inf, inf, inf)
    rows, others = rows[np.isfinite(rows)], theirs[np.isfinite(theirs)]
    unpaired = relative and not (guard.paired and theirs.size == ours.size)
    measured = min(rows.size, others.size) if unpaired else rows.size
    if not measured:
        return _Interval(0)
    mean = float(rows.mean() - (others.mean() if unpaired else 0.0))
    if measured < FEWEST_PAIRS:
        return _Interval(measured, mean)
    if all_equal(rows[None])[0] and (not unpaired or all_equal(others[None])[0]):
        return _Interval(measured, mean, mean, mean)
    if unpaired:
        tested = welch_t(rows, others, margin=0.0, level=level)
    else:
        tested = paired_t(rows, margin=0.0, level=level)
    return _Interval(measured, mean, float(tested.lower[0]), float(tested.upper[0]))


def _text(
    guard: Guard, status: Status, found: _Interval, mean: float, edge: float, level: float
) -> str:
    if isnan(found.mean):
        return f"{guard.name} was not measured in any replicate"
    what, limit = f"{guard.name} {guard.bound}", significant(guard.limit)
    if guard.bound in RELATIVE:
        what = f"{guard.name} to {guard.bound}"
    text = {
        "passed": f"{what} {limit} is shown",
        "not shown": f"{what} {limit} is not shown",
        "broken": f"{what} {limit} is broken",
    }[status]
    detail = f"mean {significant(mean)}"
    if isfinite(edge) and edge != mean:
        detail += f", {percent(1 - level)} bound {significant(edge)}"
    if found.measured < len(guard.values):
        detail += f", measured in {found.measured} of {len(guard.values)} replicates"
    return f"{text} ({detail})"


def check_guards(guards: Sequence[Guard], *, level: float) -> tuple[GuardResult, ...]:
    """Check every guard, the level shared by all; one that does not pass blocks adopting."""
    return tuple(check_guard(guard, level=level / len(guards)) for guard in guards)
