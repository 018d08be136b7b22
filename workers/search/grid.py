"""Optuna's grid sampler over rows that were handed out once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optuna.samplers import GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from experiments.design.space.search_space import Scalar


class RowGridSampler(GridSampler):
    """Draws point `row` of the grid, in Optuna's shuffled order.

    Optuna's own goes by the trial's number, and fills the gaps that known-good trials leave by
    looking for points nobody has begun: two processes that look at once take the same.
    """

    def __init__(
        self, search_space: Mapping[str, Sequence[Scalar]], *, row: int, seed: int
    ) -> None:
        super().__init__(search_space, seed=seed)
        self._row = row

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if "grid_id" in trial.system_attrs:
            return  # an earlier attempt
        write = study._storage.set_trial_system_attr
        write(trial._trial_id, "search_space", self._search_space)
        write(trial._trial_id, "grid_id", self._row)
