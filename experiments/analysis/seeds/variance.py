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
from numpy.typing import ArrayLike
from scipy import stats

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
    most, least = (float(stats.chi2.ppf(share, df)) for share in (1 - tail, tail))
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


@dataclass(frozen=True, slots=True)
class Nested:
    """score = mean + group + run within the group, each part's standard deviation.

    `between_sd` is 0 where the group means spread no more than the runs within explain.
    Intervals are 95 %: chi-square within; between by Williams and Tukey.
    """

    between_sd: float
    between_lower: float
    between_upper: float
    within_sd: float
    within_lower: float
    within_upper: float
    groups: int
    runs: int
    df_between: int
    df_within: int


def nested(groups: Sequence[ArrayLike]) -> Nested | None:
    """Split the variance of runs in groups (seeds within splits, or within search winners).

    One-way random effects by the method of moments; group sizes may differ, non-finite scores and
    empty groups are left out. None without 2 groups and a group of at least 2 runs. For equal
    sizes and a positive between part it equals the REML estimate of a mixed model.
    """
    arrays = [np.asarray(scores, dtype=np.float64).ravel() for scores in groups]
    arrays = [scores[np.isfinite(scores)] for scores in arrays]
    arrays = [scores for scores in arrays if scores.size]
    sizes = np.array([scores.size for scores in arrays], dtype=np.float64)
    runs = int(sizes.sum())
    df_between, df_within = len(arrays) - 1, runs - len(arrays)
    if df_between < 1 or df_within < 1:
        return None
    means = np.array([scores.mean() for scores in arrays])
    grand = float((sizes * means).sum() / runs)
    squares_between = float((sizes * (means - grand) ** 2).sum())
    within = sum(float(((scores - scores.mean()) ** 2).sum()) for scores in arrays) / df_within
    per_group = float((runs - (sizes**2).sum() / runs) / df_between)
    between = max(0.0, (squares_between / df_between - within) / per_group)
    lower, upper = _williams_tukey(squares_between, df_between, within, df_within, per_group)
    within_lower, within_upper = chi_square_interval(sqrt(within), df_within)
    return Nested(
        sqrt(between), lower, upper, sqrt(within), within_lower, within_upper,
        len(arrays), runs, df_between, df_within,
    )  # fmt: skip


def _williams_tukey(
    squares_between: float, df_between: int, within: float, df_within: int, per_group: float
) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    ends = []
    for share in (1 - tail, tail):
        explained = df_between * within * float(stats.f.ppf(share, df_between, df_within))
        chi_square = float(stats.chi2.ppf(share, df_between))
        ends.append(sqrt(max(0.0, squares_between - explained) / (per_group * chi_square)))
    return ends[0], ends[1]


@dataclass(frozen=True, slots=True)
class WinnersCurse:
    """Excess of the winning trial's tuning score over the mean of its own fresh replicates.

    `excess`: in the metric's unit, positive when the tuning score flattered, in whichever
    direction; `excess_in_sds`: in deviations of the fresh scores, None when they do not vary.
    """

    tuning_score: float
    fresh_mean: float
    fresh_sd: float
    fresh_runs: int
    excess: float
    excess_in_sds: float | None
    text: str
