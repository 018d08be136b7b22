"""Simulated annealing as an Optuna sampler.

Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing", Science 220 (1983); options
are named as in Optuna's tutorial on user-defined samplers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from experiments.design.space.search_space import Choices, Range, domain_of

_STEP, _ACCEPT, _START = 1, 2, 3  # what a random stream is for
_MOST_COMPARED = 500  # trials, for the typical difference between two


class SimulatedAnnealingSampler(BaseSampler):
    """Walks from where it stands to a neighbour, and stays when that is not too bad.

    Where it stands follows from the complete trials alone, in the order of their numbers: each
    becomes the place to stand when it is better than the last, and otherwise with probability
    exp(-loss / temperature), for which the dice are the trial's number and `seed`. So nothing is
    kept in memory and any process goes on where another ended.

    Args:
        temperature: at the beginning, in units of the typical difference between two trials'
            values, so that it means the same for every metric.
        cooldown_factor: what the temperature is multiplied with after each complete trial.
        neighborhood_range_factor: how far a step goes at most, as a share of each range; a
            choice without order changes with this probability.
        seed: of all that is random.
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        cooldown_factor: float = 0.9,
        neighborhood_range_factor: float = 0.1,
        seed: int | None = None,
    ) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; expected a number above 0")
        if not 0 < cooldown_factor <= 1:
            raise ValueError(f"cooldown_factor is {cooldown_factor}; expected above 0, at most 1")
        if not 0 < neighborhood_range_factor <= 1:
            raise ValueError(
                f"neighborhood_range_factor is {neighborhood_range_factor}; "
                "expected above 0, at most 1"
            )
        self._temperature = temperature
        self._cooldown_factor = cooldown_factor
        self._reach = neighborhood_range_factor
        self._seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        self._space = IntersectionSearchSpace()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        found = self._space.calculate(study)
        return {
            name: distribution
            for name, distribution in sorted(found.items())
            if not distribution.single()
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        current = self._current(study, search_space)
        if current is None:
            return {}  # the first steps are random
        rng = np.random.default_rng([self._seed, _STEP, trial.number])
        return {
            name: _neighbour(domain_of(distribution), current.params[name], self._reach, rng)
            for name, distribution in search_space.items()
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        self._raise_error_if_multi_objective(study)
        key = [self._seed, _START, trial.number, crc32(param_name.encode())]
        u = float(np.random.default_rng(key).random())
        return domain_of(param_distribution).from_unit(u)

    def _current(self, study: Study, space: dict[str, BaseDistribution]) -> FrozenTrial | None:
        """The last trial that was accepted; a pruned one has no value to compare."""
        trials = [
            trial
            for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if trial.value is not None
            and math.isfinite(trial.value)
            and all(_holds(trial, name, distribution) for name, distribution in space.items())
        ]
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        losses = [sign * float(trial.value or 0.0) for trial in trials]
        unit = _typical_difference(losses)
        current: int | None = None
        temperature = self._temperature
        for index, trial in enumerate(trials):
            if current is None or self._accepts(
                (losses[index] - losses[current]) / unit, temperature, trial.number
            ):
                current = index
            temperature *= self._cooldown_factor
        return None if current is None else trials[current]

    def _accepts(self, loss: float, temperature: float, number: int) -> bool:
        if loss <= 0:
            return True
        dice = np.random.default_rng([self._seed, _ACCEPT, number]).random()
        return bool(dice < math.exp(-loss / temperature)) if temperature > 0 else False


def _typical_difference(losses: Sequence[float]) -> float:
    """The median of all differences between two trials, robust against one that diverged."""
    if len(losses) < 2:
        return 1.0
    ordered = np.sort(np.asarray(losses))
    ordered = ordered[:: math.ceil(len(ordered) / _MOST_COMPARED)]
    apart = np.abs(ordered[:, None] - ordered[None, :])[np.triu_indices(len(ordered), 1)]
    typical = float(np.median(apart))
    return typical if typical > 0 else 1.0


def _holds(trial: FrozenTrial, name: str, distribution: BaseDistribution) -> bool:
    if name not in trial.params:
        return False
    return bool(distribution._contains(distribution.to_internal_repr(trial.params[name])))


def _neighbour(domain: Range | Choices, value: Any, reach: float, rng: np.random.Generator) -> Any:
    if isinstance(domain, Choices) and not domain.ordered:
        if rng.random() >= reach:
            return value
        others = list(range(len(domain.values)))
        others.remove(domain.index(value))
        return domain.values[int(rng.choice(others))] if others else value
    bins = len(domain.values) if isinstance(domain, Choices) else domain.bins
    # A step must be able to leave its bin.
    farthest = reach if bins is None else max(reach, 1.0 / bins)
    u = domain.to_unit(value) + float(rng.uniform(-farthest, farthest))
    u = abs(u)  # reflected at both edges
    u = 2.0 - u if u > 1.0 else u
    return domain.from_unit(min(u, math.nextafter(1.0, 0.0)))
