"""Two experiments beside each other: what differs, and what makes comparing them unfair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.best_of import expected_best_unbiased
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.space.isolation import fair_comparison
from experiments.design.queries.records import ExperimentRecord
from experiments.design.space.search_space import Fixed, Hyperparameter
from experiments.design.space_formatting import domain_words, scale_words
from experiments.trials.panels.parts import ExperimentParts
from experiments.web.formatting import number


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """One hyperparameter in both experiments; `difference` is empty where they agree."""

    name: str
    first: str
    second: str
    difference: str


@dataclass(frozen=True, slots=True)
class Caution:
    """Reason that a comparison misleads; `grave` when scores do not compare at all."""

    title: str
    detail: str
    grave: bool = False


def space_rows(first: ExperimentParts, second: ExperimentParts) -> list[SpaceRow]:
    """Every hyperparameter of either, what differs first."""
    own, other = _by_name(first), _by_name(second)
    rows = []
    for name in dict.fromkeys([*own, *other]):
        a, b = own.get(name), other.get(name)
        rows.append(SpaceRow(name, _words(a), _words(b), _difference(a, b)))
    return sorted(rows, key=lambda row: not row.difference)


def _by_name(parts: ExperimentParts) -> dict[str, Hyperparameter]:
    return (
        {
            hyperparameter.name: hyperparameter
            for hyperparameter in parts.file.space.hyperparameters
        }
        if parts.file
        else {}
    )


def _words(hyperparameter: Hyperparameter | None) -> str:
    if hyperparameter is None:
        return ""
    scale = scale_words(hyperparameter)
    return f"{hyperparameter.role}: {domain_words(hyperparameter)}{f' ({scale})' if scale else ''}"


def _difference(a: Hyperparameter | None, b: Hyperparameter | None) -> str:
    if a is None or b is None:
        return "only in the second" if a is None else "only in the first"
    if (a.role == "fixed") != (b.role == "fixed"):
        return "fixed in the first" if a.role == "fixed" else "fixed in the second"
    if a.domain != b.domain:
        return "another value" if isinstance(a.domain, Fixed) else "another range"
    if a.role != b.role:
        return "another role"
    return "exists under other conditions" if a.when != b.when else ""


def cautions(first: ExperimentParts, second: ExperimentParts) -> list[Caution]:
    """Cautions to know before comparing scores, the gravest first.

    Source: Tuning Playbook, "Extracting insight from experimental results": a baseline has to be
    as well tuned as what is compared with it.
    """
    found = [*_of_measure(first, second), *_of_tuning(first, second), *_of_counts(first, second)]
    return sorted(found, key=lambda caution: not caution.grave)


def comparable(first: ExperimentParts, second: ExperimentParts) -> bool:
    """Test whether their scores measure the same thing in the same direction."""
    a, b = first.experiment, second.experiment
    return bool(a.official_metric == b.official_metric and a.direction == b.direction)


def _of_measure(first: ExperimentParts, second: ExperimentParts) -> Iterator[Caution]:
    a, b = first.experiment, second.experiment
    if not comparable(first, second):
        yield Caution(
            "They measure different things",
            f"{a.name} {a.direction}s {a.official_metric}, {b.name} {b.direction}s "
            f"{b.official_metric}: their scores do not compare.",
            grave=True,
        )
    if a.objective != b.objective:
        yield Caution(
            "They train different programs",
            f"{a.objective or 'unknown'} and {b.objective or 'unknown'}.",
        )
    if a.split_seed != b.split_seed:
        yield Caution(
            "They were validated on different splits",
            f"Split seed {a.split_seed} and {b.split_seed}: part of any gap is the data's.",
        )
    yield from _of_code(first, second)


def _of_code(first: ExperimentParts, second: ExperimentParts) -> Iterator[Caution]:
    a, b = first.experiment, second.experiment
    for side in (a, b):
        if len(side.code_versions) > 1:
            yield Caution(
                f"{side.name} ran {len(side.code_versions)} versions of its code",
                f"{_code_words(side)}: its own trials compare within one version.",
            )
    if a.code_versions and b.code_versions and a.codes != b.codes:
        yield Caution(
            "Their trials ran different code",
            f"{a.name}: {_code_words(a)}; {b.name}: {_code_words(b)}.",
        )


def _code_words(experiment: ExperimentRecord) -> str:
    return ", then ".join(
        f"{digest[:10]} ({source})" if source else digest[:10]
        for digest, source in experiment.code_versions
    )


def _of_tuning(first: ExperimentParts, second: ExperimentParts) -> Iterator[Caution]:
    own, other = _by_name(first), _by_name(second)
    for parts, names in ((first, _tuned_only(own, other)), (second, _tuned_only(other, own))):
        if names:
            yield Caution(
                f"Only {parts.experiment.name} tuned {_listed(names)}",
                "The one that did not may have lost for that reason alone.",
            )
    fixed = [
        name
        for name, hyperparameter in own.items()
        if hyperparameter.role == "fixed"
        and name in other
        and other[name].role == "fixed"
        and hyperparameter.domain != other[name].domain
    ]
    if fixed:
        differing = "; ".join(
            f"{name}: {domain_words(own[name])} and {domain_words(other[name])}"
            for name in fixed[:6]
        )
        yield Caution(f"Fixed differently: {_listed(fixed)}", f"{differing}.")
    a, b = first.experiment, second.experiment
    if a.pruner != b.pruner:
        yield Caution(
            "They pruned differently",
            f"{a.pruner} and {b.pruner}: pruned trials have no score, so the best were picked "
            "from different kinds of trials.",
        )


def _tuned_only(own: dict[str, Hyperparameter], other: dict[str, Hyperparameter]) -> list[str]:
    return [
        name
        for name, hyperparameter in own.items()
        if hyperparameter.role == "nuisance" and name in other and other[name].role == "fixed"
    ]


def _of_counts(first: ExperimentParts, second: ExperimentParts) -> Iterator[Caution]:
    a, b = first.experiment, second.experiment
    seen = fair_comparison(
        [(a.name, a.complete_count), (f"{b.name} ", b.complete_count)]  # names may be equal
    )
    if seen.status == "fired":
        yield Caution(
            "One had far more trials",
            f"{a.complete_count:,} and {b.complete_count:,} complete: the best of more is better "
            "by luck alone. Compare at equal counts, as the chart does.",
        )
    for side in (a, b):
        if side.state in ("running", "paused"):
            yield Caution(
                f"{side.name} has not ended", f"{side.trial_count:,} of {side.budget:,} trials."
            )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def at_equal_counts(
    first: ExperimentParts,
    second: ExperimentParts,
    scores: NDArray[np.float64],
    others: NDArray[np.float64],
) -> str:
    """Leader when both are given as many trials as the smaller has, in a sentence."""
    fewest = min(scores.size, others.size)
    if not fewest or not comparable(first, second):
        return ""
    direction = Direction(first.experiment.direction)
    a = expected_best_unbiased(scores, fewest, direction)
    b = expected_best_unbiased(others, fewest, direction)
    words = f"Expected best of {fewest:,} {'trial' if fewest == 1 else 'trials'}: "
    text = f"{first.experiment.name} {number(a)}, {second.experiment.name} {number(b)}. "
    if a == b:
        return f"{words}{text}Neither leads."
    ahead = first if (a > b) == (direction is Direction.MAXIMIZE) else second
    return (
        f"{words}{text}{ahead.experiment.name} leads by {number(abs(a - b))}; whether that is "
        "more than luck, only fresh seeds can tell."
    )
