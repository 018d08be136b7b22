"""Fidelity of a trial: epochs, a fraction of the data, or the width of the model.

Only values that were reached on the same budget are compared: a complete trial has had the whole
budget, one that was given up on less is pruned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

FidelityName = Literal["epochs", "data_fraction", "width"]
# These judge a trial at budgets that grow by a factor.
RUNG_PRUNERS = ("successive_halving", "hyperband")
REDUCTION_FACTORS = {"successive_halving": 4, "hyperband": 3}


@dataclass(frozen=True, slots=True)
class Rung:
    """One budget of a trial; `step` is under which the value is reported to the pruner."""

    step: int
    budget: float


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A budget by name, from `low` to `high`; whole numbers except for data_fraction."""

    name: FidelityName
    low: int | float
    high: int | float

    @property
    def grows_within_a_run(self) -> bool:
        """Test whether a run passes all smaller budgets on its way: epochs do.

        A model on a tenth of the data or of a tenth of the width has to be trained anew.
        """
        return self.name == "epochs"

    def rungs(self, reduction_factor: int) -> tuple[Rung, ...]:
        """Budgets from about `low` to exactly `high`, each `reduction_factor` times the last.

        As in Hyperband (Li et al., JMLR 2018): the largest budget divided by powers of the factor.
        Steps are these powers, so that pruners which count resources see the same ratios.
        """
        count = self.brackets(reduction_factor)
        rungs = []
        for index in range(count):
            budget = self.high / reduction_factor ** (count - 1 - index)
            rungs.append(Rung(reduction_factor**index, self._rounded(budget)))
        return tuple(rungs)

    def brackets(self, reduction_factor: int) -> int:
        """Number of rungs: 1 when the range is narrower than the factor."""
        # The small term: log(27, 3) is 3 less a rounding error.
        return math.floor(math.log(self.high / self.low, reduction_factor) + 1e-9) + 1

    def _rounded(self, budget: float) -> float:
        return budget if self.name == "data_fraction" else max(int(self.low), round(budget))
