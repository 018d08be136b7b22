"""Build Optuna samplers and pruners from their names and options in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from workers.search.halton import HaltonSampler


def trial_seed(seed: int, number: int) -> int:
    """Seed of the sampler that draws one trial: its draw does not depend on which worker asks."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def build_sampler(
    name: str,
    options: Mapping[str, Any],
    *,
    seed: int,
    number: int,
    row: int,
    space: Mapping[str, BaseDistribution],
) -> BaseSampler:
    """The sampler that draws trial `number` of a study, at `row` of a quasi-random sequence.

    A sampler is built for every trial and keeps nothing: the study is its only memory, so the
    same history and seed give the same draw wherever it is made.

    Raises:
        ValueError: for a name that is not in the catalogue.
    """
    if name == "halton":
        return HaltonSampler(seed, space=space, row_of=lambda _: row, **options)
    if name == "random":
        return RandomSampler(seed=trial_seed(seed, number))
    if name == "tpe":
        # While others run, their parameters count as bad, so that workers do not crowd one spot.
        return TPESampler(seed=trial_seed(seed, number), **{"constant_liar": True, **options})
    raise ValueError(f"no sampler is called {name!r}")


def build_pruner(name: str, options: Mapping[str, Any]) -> BasePruner:
    """The pruner of a study.

    Raises:
        ValueError: for a name that is not in the catalogue.
    """
    if name == "none":
        return NopPruner()
    if name == "median":
        return MedianPruner(**options)
    raise ValueError(f"no pruner is called {name!r}")
