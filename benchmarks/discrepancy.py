"""How evenly points lie in the unit cube: ours beside Optuna's, MLCommons' and plain random ones.

    python benchmarks/discrepancy.py [--json] [--sets N]

Centred L2 discrepancy (scipy.stats.qmc.discrepancy), lower is more even: mean over sets of
different seeds for 20, 50 and 100 points in 2, 4 and 7 dimensions. Peers: Optuna's QMCSampler as
it comes (Sobol unscrambled, first trial at random) and scrambled Halton; the Halton points of
MLCommons' algoperf/halton.py, which the Deep Learning Tuning Playbook names; random points.
Exits with 1 when ours are not below the lowest twentieth of random sets.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, QMCSampler
from scipy.stats import qmc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._table import Row, as_text, row
from workers.search.quasi_random import HaltonSampler, SobolSampler

Floats = NDArray[np.float64]
Draw = Callable[[int, int, int], Floats]  # dimensions, points, seed
DIMENSIONS = (2, 4, 7)
COUNTS = (20, 50, 100)
LOWEST = 0.05  # quantile of random sets below which ours have to lie
RANDOM_SETS = 400
_SKIPPED = 100  # first points that MLCommons leaves out


def asked(make: Callable[..., BaseSampler], dimensions: int, count: int, seed: int) -> Floats:
    """The points [count, dimensions] that a sampler gives a study, one trial after the other."""
    space = {f"x{index}": FloatDistribution(0.0, 1.0) for index in range(dimensions)}
    study = optuna.create_study(sampler=make(seed=seed))
    points = []
    for _ in range(count):
        trial = study.ask(dict(space))
        points.append([trial.params[name] for name in space])
        study.tell(trial, 0.0)
    return np.array(points)


def ours(make: type[HaltonSampler] | type[SobolSampler]) -> Draw:
    def draw(dimensions: int, count: int, seed: int) -> Floats:
        space = {f"x{index}": FloatDistribution(0.0, 1.0) for index in range(dimensions)}
        return asked(partial(make, space=space), dimensions, count, seed)

    return draw


def at_random(dimensions: int, count: int, seed: int) -> Floats:
    return np.random.default_rng(seed).random((count, dimensions))


def mlcommons(dimensions: int, count: int, seed: int = 0) -> Floats:
    """Points as MLCommons' algoperf/halton.py makes them; the set knows no seed.

    Bases are the largest odd primes below 1000 but the last. Each base has its own generator: it
    shuffles the digits other than 0, then draws one shift that is added modulo 1. The first 100
    points are left out.
    """
    columns = []
    for base in _odd_primes(1000)[-dimensions - 1 : -1]:
        generator = np.random.RandomState(base)
        digits = np.arange(1, base)
        generator.shuffle(digits)
        permutation = np.concatenate(([0], digits))
        shift = generator.uniform()
        indices = range(1, count + _SKIPPED + 1)
        column = [_radical_inverse(index, base, permutation) for index in indices]
        columns.append(np.fmod(np.array(column) + shift, 1.0)[_SKIPPED:])
    return np.stack(columns, axis=1)


def _odd_primes(below: int) -> list[int]:
    return [
        number
        for number in range(3, below, 2)
        if all(number % divisor for divisor in range(3, int(number**0.5) + 1, 2))
    ]


def _radical_inverse(index: int, base: int, permutation: NDArray[np.int64]) -> float:
    value, factor = 0.0, 1 / base
    while index:
        index, digit = divmod(index, base)
        value += float(permutation[digit]) * factor
        factor /= base
    return value


DRAWS: dict[str, Draw] = {
    "Optuna QMCSampler, as it comes": partial(asked, QMCSampler),
    "Optuna QMCSampler, scrambled Halton": partial(
        asked, partial(QMCSampler, qmc_type="halton", scramble=True)
    ),
    "MLCommons": mlcommons,
    "random": at_random,
}


def mean_discrepancy(draw: Draw, dimensions: int, count: int, sets: int) -> float:
    """Mean centred discrepancy of `sets` sets of points."""
    found = [qmc.discrepancy(draw(dimensions, count, seed)) for seed in range(sets)]
    return float(np.mean(found))


def rows_of(name: str, draw: Draw, dimensions: int, count: int, sets: int) -> list[Row]:
    """Our points beside each peer's, and against the lowest twentieth of random sets."""
    mine = mean_discrepancy(draw, dimensions, count, sets)
    where = f"{name}, d = {dimensions}, n = {count}"
    table = []
    for peer, other in DRAWS.items():
        theirs = mean_discrepancy(other, dimensions, count, 1 if peer == "MLCommons" else sets)
        table.append(row(f"{where}; peer: {peer}", mine, theirs, unit="discrepancy"))
    random_sets = [
        qmc.discrepancy(at_random(dimensions, count, seed)) for seed in range(RANDOM_SETS)
    ]
    lowest = float(np.quantile(random_sets, LOWEST))
    said = f"below the peer: {LOWEST:.0%} quantile of random sets"
    met = mine < lowest
    table.append(row(where, mine, lowest, unit="discrepancy", goal=said, met=met))
    return table


def measure(sets: int) -> list[Row]:
    table: list[Row] = []
    for name, draw in (("Halton", ours(HaltonSampler)), ("Sobol", ours(SobolSampler))):
        for dimensions in DIMENSIONS:
            for count in COUNTS:
                table += rows_of(name, draw, dimensions, count, sets)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--sets", type=int, default=10, help="seeds over which the mean goes")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of a sampler that is experimental, and of odd counts
    table = measure(options.sets)
    print(as_text(table, as_json=options.json))
    return 1 if any(one.met is False for one in table) else 0


if __name__ == "__main__":
    sys.exit(main())
