"""Quasi-random search on SciPy's scrambled Halton and Sobol sequences.

The row a trial takes is a number that it was given when it was created, so one worker or forty
draw the same set, a retry repeats its point, and a larger budget continues the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from experiments.design.space.search_space import domain_of

SequenceName = Literal["halton", "sobol"]
_WIDEST = 1000  # dimensions; scipy holds permutations for each


def point(
    sequence: SequenceName, *, dimensions: int, row: int, seed: int, scramble: bool = True
) -> NDArray[np.float64]:
    """Row `row` [dimensions] of a sequence of SciPy's, each coordinate in [0, 1).

    For Halton equal to `qmc.Halton(d, scramble=..., rng=default_rng(seed)).random(row + 1)[-1]`,
    and likewise for Sobol.
    """
    qmc = scipy.stats.qmc
    engines = {"halton": qmc.Halton, "sobol": qmc.Sobol}
    engine = engines[sequence](dimensions, scramble=scramble, rng=np.random.default_rng(seed))
    if row:  # scipy 1.17 cannot forward Sobol by nothing
        engine.fast_forward(row)
    found: NDArray[np.float64] = engine.random(1)[0]
    return found


@lru_cache(maxsize=1024)
def _cached_point(
    sequence: SequenceName, dimensions: int, row: int, seed: int, scramble: bool
) -> tuple[float, ...]:
    found = point(sequence, dimensions=dimensions, row=row, seed=seed, scramble=scramble)
    return tuple(float(u) for u in found)


def _number(trial: FrozenTrial) -> int:
    return trial.number


class QuasiRandomSampler(BaseSampler):
    """Draws row `row_of(trial)` of a quasi-random sequence over a fixed search space.

    Args:
        seed: of the scramble; another seed gives another set of points.
        space: the distributions by name, whose order gives the dimensions. Without it the space
            is that of the first finished trials, as in Optuna's own samplers, and parameters that
            are not in it are drawn at random.
        scramble: whether digits are permuted; unscrambled sequences start at the lower bounds.
        row_of: the row of a trial; by default its number.
        dimensions: of the sequence, of which the space takes the first; by default as many as
            the space has. Sobol's scramble depends on them: arms of different width share their
            common coordinates only if all draw from the widest.
    """

    sequence: ClassVar[SequenceName]

    def __init__(
        self,
        seed: int | None = None,
        *,
        space: Mapping[str, BaseDistribution] | None = None,
        scramble: bool = True,
        row_of: Callable[[FrozenTrial], int] = _number,
        dimensions: int = 0,
    ) -> None:
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        self.seed = seed
        self.scramble = scramble
        self._space = _drawn(space) if space is not None else None
        self._row_of = row_of
        self._dimensions = dimensions
        self._independent = RandomSampler(seed=seed)

    def reseed_rng(self) -> None:
        """A forked process draws other independent values; the sequence stays."""
        self._independent.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._space is None:
            first = study.get_trials(
                deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)
            )
            if not first:
                return {}
            # Later trials may lack a parameter; the dimensions must not change under the sequence.
            self._space = _drawn(dict(sorted(first[0].distributions.items())))
        return dict(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        width = max(self._dimensions, len(search_space))
        coordinates = _cached_point(
            self.sequence, width, self._row_of(trial), self.seed, self.scramble
        )
        return {
            name: domain_of(distribution).from_unit(u)
            for (name, distribution), u in zip(search_space.items(), coordinates, strict=False)
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


class HaltonSampler(QuasiRandomSampler):
    """Halton's sequence; any number of points is as good as any other."""

    sequence = "halton"


class SobolSampler(QuasiRandomSampler):
    """Sobol's sequence; most even when the number of trials is a power of two."""

    sequence = "sobol"


def _drawn(space: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    """The dimensions of a space; a parameter with a single value takes none."""
    drawn = {
        name: distribution for name, distribution in space.items() if not distribution.single()
    }
    if len(drawn) > _WIDEST:
        raise ValueError(f"{len(drawn)} searched parameters; {_WIDEST} are the most")
    return drawn
