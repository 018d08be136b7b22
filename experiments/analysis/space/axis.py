"""Trials seen along one hyperparameter: the input of every rule about the search space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.curves.learning_curve import Direction, Floats


class AxisKind(StrEnum):
    """Order of a hyperparameter's values."""

    CONTINUOUS = "continuous"
    INTEGER = "integer"
    ORDERED = "ordered"
    CATEGORICAL = "categorical"


class Edge(StrEnum):
    """One end of a range."""

    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """All trials of an experiment along one hyperparameter.

    name: the hyperparameter.
    unit: [N] position in its range after the transform, 0 at `low` and 1 at `high` (also for the
        first and last choice, see `unit_positions`); nan where a trial lacks it.
    scores: [N] objective, in the metric's unit; `feasible`: [N] whether the trial counts.
    kind: continuous, integer, ordered (choices with an order) or categorical.
    natural: edges that cannot be passed ("low", "high"). low, high: the range's limits.
    log: whether the scale is logarithmic. choices: of an ordered or categorical one.
    arm: [N] number of the arm each trial belongs to; None for a single arm.
    Raises ValueError if the rows differ in length.
    """

    name: str
    unit: Floats
    scores: Floats
    feasible: NDArray[np.bool_]
    kind: AxisKind = AxisKind.CONTINUOUS
    natural: frozenset[str] = frozenset()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[object, ...] | None = None
    arm: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", np.asarray(self.unit, dtype=np.float64))
        object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float64))
        object.__setattr__(self, "feasible", np.asarray(self.feasible, dtype=np.bool_))
        object.__setattr__(self, "kind", AxisKind(self.kind))
        if self.arm is not None:
            object.__setattr__(self, "arm", np.asarray(self.arm, dtype=np.int64))
        rows = [self.unit, self.scores, self.feasible, *([] if self.arm is None else [self.arm])]
        if any(row.ndim != 1 or row.size != self.unit.size for row in rows):
            raise ValueError(f"the rows of axis {self.name!r} differ in length")

    @property
    def usable(self) -> NDArray[np.bool_]:
        """[N] feasible trials that have the hyperparameter and a finite score."""
        return self.feasible & np.isfinite(self.scores) & np.isfinite(self.unit)

    @property
    def has_edges(self) -> bool:
        """Test whether its values have edges: not those of unordered choices or fixed values."""
        if self.kind is AxisKind.CATEGORICAL:
            return False
        if self.kind is AxisKind.ORDERED:
            return self.choices is None or len(self.choices) > 1
        return self.high > self.low

    @property
    def levels(self) -> int | None:
        """Number of values it can take: of an integer or a choice; None if continuous."""
        if self.choices is not None:
            return len(self.choices)
        if self.kind is AxisKind.INTEGER:
            return int(self.high - self.low) + 1
        return None

    def value_at(self, unit: float) -> float:
        """Return the value at a position of the range (the choice's number if ordered)."""
        if self.kind in (AxisKind.ORDERED, AxisKind.CATEGORICAL):
            return unit * max((self.levels or 1) - 1, 0)
        if self.log and self.low > 0:
            return self.low * math.exp(unit * math.log(self.high / self.low))
        return self.low + unit * (self.high - self.low)


def unit_positions(
    values: Sequence[object],
    *,
    low: float = 0.0,
    high: float = 1.0,
    log: bool = False,
    choices: Sequence[object] | None = None,
) -> Floats:
    """Return [N] positions 0..1 of values in a range or among choices; None becomes nan.

    A log scale needs low > 0. A value that is not among the choices, or is not a number, is nan.
    """
    if choices is not None:
        place = {repr(choice): number for number, choice in enumerate(choices)}
        last = max(len(choices) - 1, 1)
        found = [place.get(repr(value)) for value in values]
        return np.array([math.nan if at is None else at / last for at in found])
    row = np.array(
        [float(v) if isinstance(v, int | float | np.number) else math.nan for v in values],
        dtype=np.float64,
    )
    if high <= low:
        return np.where(np.isfinite(row), 0.5, math.nan)
    with np.errstate(all="ignore"):
        if log:
            width = math.log(high) - math.log(low)
            return (np.log(row) - math.log(low)) / width if width else np.full(row.size, 0.5)
        # Halves, as the width of a range may be no float.
        return (row / 2 - low / 2) / (high / 2 - low / 2)


def better_first(scores: Floats, direction: Direction) -> Floats:
    """Return scores turned so that lower is better."""
    return -scores if direction is Direction.MAXIMIZE else scores
