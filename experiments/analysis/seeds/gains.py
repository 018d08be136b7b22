"""Gains on the test set beside gains on the validation set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.analysis.number_formats import significant
from experiments.analysis.seeds import replication
from experiments.analysis.seeds.replication import Direction


@dataclass(frozen=True, slots=True)
class Gains:
    """Mean gains over the same pairs, positive when the candidate is better.

    `ratio`: test gain over dev gain; None unless the dev gain is above 0.
    """

    dev_gain: float
    test_gain: float
    ratio: float | None
    pairs: int
    text: str


def compare_gains(
    dev: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    *,
    direction: Direction,
    test_direction: Direction | None = None,
) -> Gains | None:
    """Dev gain, test gain and their ratio, from (candidate [N], baseline [N]) scores of each set.

    Only pairs with four finite scores enter, so that both gains speak of the same runs; None when
    there is none. `test_direction`: when the test metric is another one. Raises ValueError when
    the lengths differ.
    """
    dev_gains = replication.gains(*dev, direction)
    test_gains = replication.gains(*test, test_direction or direction)
    if dev_gains.shape != test_gains.shape:
        raise ValueError(f"{dev_gains.size} dev pairs and {test_gains.size} test pairs differ.")
    both = np.isfinite(dev_gains) & np.isfinite(test_gains)
    if not both.any():
        return None
    dev_gain, test_gain = float(dev_gains[both].mean()), float(test_gains[both].mean())
    ratio = test_gain / dev_gain if dev_gain > 0 else None
    text = (
        f"Dev gain {significant(dev_gain, signed=True)}, "
        f"test gain {significant(test_gain, signed=True)}"
    )
    if ratio is not None:
        text += f": {significant(100 * ratio, 3)} % of the gain is there on the test set"
    return Gains(dev_gain, test_gain, ratio, int(both.sum()), f"{text}.")
