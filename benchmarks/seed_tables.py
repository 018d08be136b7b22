"""Real tables of repeated runs, and standard errors that respect where the runs come from."""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
FRESH_SEEDS = 14


@dataclass(frozen=True, slots=True)
class SeedTable:
    """Validation scores of C tuned configurations; higher is better.

    `fresh` [C, 14]: over fresh seeds, the same seeds in every row. `tuning` [C]: the score of the
    trial that won the search. `problem` [C]: data set and split, within which configurations
    compare. `data_set` [C]: the data set alone; its splits are not independent of each other.
    """

    fresh: Floats
    tuning: Floats
    problem: NDArray[np.str_]
    data_set: NDArray[np.str_]

    @property
    def deviation(self) -> Floats:
        """Seed standard deviation of each configuration [C]."""
        return np.asarray(self.fresh.std(axis=1, ddof=1))


def read_tabm(folder: Path) -> SeedTable:
    """TabM's published runs: evaluation seed 0 is the winning trial itself, 1 to 14 are fresh."""
    runs: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    with gzip.open(folder / "tabm_seeds" / "eval_15seeds.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            runs[row["dataset"], row["model"]][int(row["seed"])] = float(row["val/score"])
    whole = sorted(key for key, scores in runs.items() if len(scores) == FRESH_SEEDS + 1)
    scores = np.array([[runs[key][seed] for seed in range(FRESH_SEEDS + 1)] for key in whole])
    problems = [problem for problem, _ in whole]
    return SeedTable(
        fresh=scores[:, 1:],
        tuning=scores[:, 0],
        problem=np.array(problems),
        data_set=np.array([without_split(problem) for problem in problems]),
    )


def without_split(problem: str) -> str:
    """why/classif-num-medium-3-wine, split 3, is the data set wine."""
    found = re.fullmatch(r"why/.+?-\d+-(.+)", problem)
    return found[1] if found else problem


def clustered(
    values: ArrayLike, clusters: Sequence[str] | NDArray[np.str_]
) -> tuple[float, float]:
    """Mean of values [N] and its standard error when values of one cluster move together.

    The sandwich estimator of a mean: residuals are summed within each cluster first. With a
    single cluster the error is unknown (NaN).
    """
    numbers = np.asarray(values, dtype=np.float64)
    mean = float(numbers.mean())
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, weights=numbers - mean)
    groups = sums.size
    if groups < 2:
        return mean, float("nan")
    return mean, sqrt(groups / (groups - 1) * float((sums**2).sum())) / numbers.size
