"""Build Optuna samplers from their names and options in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial

from experiments.design.space.search_space import Scalar
from workers.search.annealing import SimulatedAnnealingSampler
from workers.search.quasi_random import HaltonSampler, SobolSampler


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


def trial_seed(seed: int, number: int) -> int:
    """Seed of the sampler that draws one trial: its draw does not depend on which worker asks."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


@dataclass(frozen=True, slots=True)
class Draw:
    """Facts about the trial for which a sampler draws.

    `row` counts the sampler's own trials of a study: known-good ones take none. `grid` holds the
    values of each parameter for a grid search, else nothing. `dimensions` is how many the widest
    arm of the experiment searches, 0 for as many as the space has.
    """

    seed: int
    number: int
    row: int
    space: Mapping[str, BaseDistribution]
    grid: Mapping[str, tuple[Scalar, ...]]
    dimensions: int = 0

    @property
    def trial_seed(self) -> int:
        return trial_seed(self.seed, self.number)


_Options = Mapping[str, Any]


def _halton(draw: Draw, options: _Options) -> BaseSampler:
    return HaltonSampler(draw.seed, **_drawing(draw), **options)


def _sobol(draw: Draw, options: _Options) -> BaseSampler:
    return SobolSampler(draw.seed, **_drawing(draw), **options)


def _drawing(draw: Draw) -> dict[str, Any]:
    return {
        "space": draw.space,
        "row_of": lambda _: draw.row,
        "dimensions": draw.dimensions,
    }


def _grid(draw: Draw, options: _Options) -> BaseSampler:
    return RowGridSampler(draw.grid, row=draw.row, seed=draw.seed)


def _random(draw: Draw, options: _Options) -> BaseSampler:
    return RandomSampler(seed=draw.trial_seed)


def _tpe(draw: Draw, options: _Options) -> BaseSampler:
    own = {name: value for name, value in options.items() if name != "history"}
    return TPESampler(seed=draw.trial_seed, **own)


def _gp(draw: Draw, options: _Options) -> BaseSampler:
    import torch  # only here: a worker that asks no Gaussian process does without its import

    # Small matrices: more threads make it slower, and sums that depend on their number.
    torch.set_num_threads(1)
    return GPSampler(seed=draw.trial_seed, warn_independent_sampling=False, **options)


def _cmaes(draw: Draw, options: _Options) -> BaseSampler:
    return CmaEsSampler(seed=draw.trial_seed, warn_independent_sampling=False, **options)


def _genetic(draw: Draw, options: _Options) -> BaseSampler:
    return NSGAIISampler(seed=draw.trial_seed, **options)


def _annealing(draw: Draw, options: _Options) -> BaseSampler:
    # The study's seed: which steps were accepted must look the same from every later trial.
    return SimulatedAnnealingSampler(seed=draw.seed, **options)


_BUILDERS: Mapping[str, Callable[[Draw, _Options], BaseSampler]] = {
    "halton": _halton,
    "sobol": _sobol,
    "grid": _grid,
    "random": _random,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "genetic": _genetic,
    "bohb": _tpe,
    "annealing": _annealing,
}


def build_sampler(name: str, options: Mapping[str, Any], draw: Draw) -> BaseSampler:
    """The sampler that draws one trial of a study.

    A sampler is built for every trial and keeps nothing: the study is its only memory, so the
    same history and seed give the same draw wherever it is made.

    Raises:
        ValueError: for a name that is not in the catalogue.
    """
    if name not in _BUILDERS:
        raise ValueError(f"no sampler is called {name!r}")
    return _BUILDERS[name](draw, options)
