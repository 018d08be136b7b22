"""Sources of variance of scores: training seed, data split, search.

A score moves when only the training seed changes, when only the split changes, and when the
search that found the configuration is repeated ("Deep Learning Tuning Playbook", 'Determining
whether to adopt ...': trial, study and data variance). In TabM the split moves it 2.6
times as much as the seed (median of 78 cases), so a conclusion names what was varied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.analysis.number_formats import listed, significant

Source = Literal["training seed", "data split", "search seed"]
SOURCES: tuple[Source, ...] = ("training seed", "data split", "search seed")
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Deviation:
    """Standard deviation of the score over one source, the others held fixed.

    `lower`, `upper`: its 95 % chi-square interval, which takes the scores as normal. `n` finite
    scores, `failures` without one.
    """

    source: Source
    sd: float
    n: int
    df: int
    lower: float
    upper: float
    failures: int
    measured_by: str


@dataclass(frozen=True, slots=True)
class SourcesOfVariance:
    """The measured sources side by side, and the names of those that nobody measured."""

    measured: tuple[Deviation, ...]
    not_measured: tuple[Source, ...]
    text: str


def sources_of_variance(
    *,
    training_seed: ArrayLike = (),
    data_split: ArrayLike = (),
    search_winners: Sequence[ArrayLike] = (),
) -> SourcesOfVariance:
    """Set the three deviations side by side; a source with fewer than 2 finite scores is missing.

    `training_seed` [N]: scores of one configuration over training seeds on one split.
    `data_split` [N]: over splits under one training seed. `search_winners`: for each repeated
    search the scores of its winner over fresh seeds; their means are what varies.
    """
    candidates = (
        deviation("training seed", training_seed),
        deviation("data split", data_split),
        search_deviation(search_winners),
    )
    measured = tuple(found for found in candidates if found is not None)
    names = {found.source for found in measured}
    missing = tuple(source for source in SOURCES if source not in names)
    return SourcesOfVariance(measured, missing, _summary(measured, missing))


def deviation(source: Source, scores: ArrayLike, measured_by: str = "") -> Deviation | None:
    """The standard deviation of scores [N] over one source, or None below 2 finite scores."""
    numbers = np.asarray(scores, dtype=np.float64).ravel()
    finite = numbers[np.isfinite(numbers)]
    if finite.size < 2:
        return None
    sd, df = float(finite.std(ddof=1)), finite.size - 1
    lower, upper = chi_square_interval(sd, df)
    failures = numbers.size - finite.size
    return Deviation(
        source,
        sd,
        finite.size,
        df,
        lower,
        upper,
        failures,
        measured_by or _how(source, finite.size),
    )


def search_deviation(winners: Sequence[ArrayLike]) -> Deviation | None:
    """The deviation over repeated searches: of the winners' means over their own fresh seeds.

    The winning score itself is the best of many draws and never enters. A search whose winner has
    no finite fresh score counts as a failure.
    """
    fresh = [np.asarray(scores, dtype=np.float64).ravel() for scores in winners]
    finite = [scores[np.isfinite(scores)] for scores in fresh]
    means = [float(scores.mean()) if scores.size else np.nan for scores in finite]
    sizes = [scores.size for scores in finite if scores.size]
    if not sizes:
        return None
    repeats = str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    seeds = "fresh seed" if repeats == "1" else "fresh seeds"
    return deviation(
        "search seed", means, f"{len(sizes)} searches, each winner re-run over {repeats} {seeds}"
    )


def chi_square_interval(sd: float, df: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a normal standard deviation measured with `df` degrees of freedom."""
    tail = (1 - confidence) / 2
    most, least = (float(scipy.stats.chi2.ppf(share, df)) for share in (1 - tail, tail))
    return sd * sqrt(df / most), sd * sqrt(df / least)


def _how(source: Source, n: int) -> str:
    return {
        "training seed": f"{n} training seeds, one split",
        "data split": f"{n} splits, one training seed",
        "search seed": f"{n} searches",
    }[source]


def _summary(measured: tuple[Deviation, ...], missing: tuple[Source, ...]) -> str:
    parts = []
    if measured:
        ordered = sorted(measured, key=lambda found: -found.sd)
        values = [f"{found.source} {significant(found.sd)}" for found in ordered]
        parts.append(f"Standard deviation of the score over {listed(values)}.")
    if missing:
        verb = "was" if len(missing) == 1 else "were"
        parts.append(f"{listed(missing).capitalize()} {verb} not measured.")
    return " ".join(parts)
