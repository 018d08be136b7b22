"""The best over nuisance hyperparameters for each value of a scientific one, fairly compared.

Source: Tuning Playbook, "Understanding whether a change is useful with isolation plots".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis import thresholds
from experiments.analysis.best_of import expected_best_unbiased
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.space.axis import Axis, AxisKind, better_first

_SECTION = "Tuning Playbook, 'Detecting whether a change is useful with isolation plots'"

FAIR_BUDGET = Rule(
    name="fair_comparison",
    version=1,
    severity=Severity.WARNING,
    question="Was every arm tuned equally well?",
    passed_title="Every arm was tuned on a similar budget",
    meaning="The best of more trials is better by luck alone; the baseline must be tuned as well.",
    advice="Run the missing trials before comparing.",
    section=_SECTION,
    action="more_trials",
)

BEST_OF_UNEQUAL = Rule(
    name="best_of_unequal",
    version=1,
    severity=Severity.WARNING,
    question="Does the order of the arms hold at equal numbers of trials?",
    passed_title="The order of the arms holds at equal numbers of trials",
    meaning="The leading arm leads because it had more trials.",
    advice="Compare the expected best at the smallest number of trials, or run more.",
    section=_SECTION,
    action="more_trials",
)

ENOUGH_POINTS = Rule(
    name="points_per_value",
    version=1,
    severity=Severity.NOTICE,
    question="Has every scientific value enough trials?",
    passed_title="Every scientific value has enough trials",
    meaning="Its best score is unreliable.",
    advice="Run more trials for this value.",
    section=_SECTION,
    action="more_trials",
)


@dataclass(frozen=True, slots=True)
class IsolationRow:
    """One value (or bucket) of a scientific hyperparameter, in the metric's unit.

    trials: feasible trials; best: their best; equalised: expected best of as many trials as the
    smallest value has; low, high: positions of a bucket (equal for a single value).
    """

    label: str
    low: float
    high: float
    trials: int
    best: float
    equalised: float
    trial: int


def isolation_table(axis: Axis, direction: Direction) -> tuple[IsolationRow, ...]:
    """Return one row for each value, or for each of eight equal-count buckets if continuous.

    Each row names the position of its best trial among all trials. Values without a feasible
    trial have no row.
    """
    groups = _buckets(axis)
    if not groups:
        return ()
    fewest = min(int(members.size) for members in groups)
    errors = better_first(axis.scores, direction)
    rows = []
    for members in groups:
        scores = axis.scores[members]
        winner = int(members[np.argmin(errors[members])])
        low, high = float(axis.unit[members].min()), float(axis.unit[members].max())
        rows.append(
            IsolationRow(
                label=_label(axis, low, high),
                low=low,
                high=high,
                trials=int(members.size),
                best=float(axis.scores[winner]),
                equalised=expected_best_unbiased(scores, fewest, direction),
                trial=winner,
            )
        )
    return tuple(rows)


def isolation_groups(axis: Axis) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the label of each value (or bucket) and the positions of its feasible trials."""
    return [
        (_label(axis, float(axis.unit[members].min()), float(axis.unit[members].max())), members)
        for members in _buckets(axis)
    ]


def best_of_unequal(rows: Sequence[IsolationRow], direction: Direction) -> Diagnosis:
    """Tell whether another arm leads once all are compared at the smallest number of trials."""
    if len(rows) < 2:
        return BEST_OF_UNEQUAL.cannot_tell("Fewer than two values have feasible trials.")
    sign = 1 if direction is Direction.MINIMIZE else -1
    seen = min(rows, key=lambda row: sign * row.best)
    fair = min(rows, key=lambda row: sign * row.equalised)
    fewest = min(row.trials for row in rows)
    evidence = {
        "values": [row.label for row in rows],
        "trials": [row.trials for row in rows],
        "best": [row.best for row in rows],
        "equalised": [row.equalised for row in rows],
        "at_trials": fewest,
        "leads": seen.label,
        "leads_equalised": fair.label,
    }
    detail = (
        f"Best of all: {seen.label}, {figure(seen.best)} from {seen.trials} trials. Expected best "
        f"of {fewest}: {fair.label}, {figure(fair.equalised)}."
    )
    if fair.equalised != seen.equalised and seen.trials > fewest:
        return BEST_OF_UNEQUAL.fires(
            f"{seen.label} leads only because it had more trials", detail, evidence
        )
    return BEST_OF_UNEQUAL.passes(detail, evidence)


def points_per_value(rows: Sequence[IsolationRow]) -> Diagnosis:
    """Tell which scientific values have fewer than five feasible trials."""
    if not rows:
        return ENOUGH_POINTS.cannot_tell("No value has a feasible trial.")
    few = [row for row in rows if row.trials < thresholds.ARM_MIN_TRIALS]
    evidence = {
        "values": [row.label for row in rows],
        "trials": [row.trials for row in rows],
        "needed": thresholds.ARM_MIN_TRIALS,
    }
    detail = "Feasible trials: " + ", ".join(f"{row.label}: {row.trials}" for row in rows) + "."
    if few:
        names = ", ".join(row.label for row in few)
        return ENOUGH_POINTS.fires(f"Too few trials for {names}", detail, evidence)
    return ENOUGH_POINTS.passes(detail, evidence)


def fair_comparison(trials_per_arm: Sequence[tuple[str, int]]) -> Diagnosis:
    """Tell whether one arm had over 1.5 times as many trials as another (name, finished trials).

    The baseline is one of the arms. Source: the baseline must be as well tuned as the candidate.
    """
    counts = dict(trials_per_arm)
    if len(counts) < 2:
        return FAIR_BUDGET.cannot_tell("There is one arm only.", {"arms": list(counts)})
    most = max(counts, key=lambda name: counts[name])
    least = min(counts, key=lambda name: counts[name])
    ratio = counts[most] / counts[least] if counts[least] else math.inf
    evidence = {
        "arms": list(counts),
        "trials": list(counts.values()),
        "ratio": ratio,
        "limit": thresholds.UNEQUAL_BUDGETS,
    }
    detail = ", ".join(f"{name}: {count}" for name, count in counts.items()) + " trials."
    if counts[most] and ratio > thresholds.UNEQUAL_BUDGETS:
        return FAIR_BUDGET.fires(
            f"{most} was tuned with more trials than {least}", detail, evidence
        )
    return FAIR_BUDGET.passes(detail, evidence)


def _buckets(axis: Axis) -> list[NDArray[np.int64]]:
    usable = np.flatnonzero(axis.usable)
    if not usable.size:
        return []
    unit = axis.unit[usable]
    values = np.unique(unit)
    if axis.kind in (AxisKind.CATEGORICAL, AxisKind.ORDERED) or (
        values.size <= thresholds.ISOLATION_BUCKETS
    ):
        return [usable[unit == value] for value in values]
    count = min(thresholds.ISOLATION_BUCKETS, usable.size)
    order = usable[np.argsort(unit, kind="stable")]
    return [np.sort(part) for part in np.array_split(order, count)]


def _label(axis: Axis, low: float, high: float) -> str:
    if axis.choices is not None:
        value = str(axis.choices[round(axis.value_at(low))])
        return f"{axis.name} = {value}" if axis.name else value
    if low == high:
        return f"{axis.name} = {figure(axis.value_at(low))}"
    return f"{axis.name} {figure(axis.value_at(low), 3)} to {figure(axis.value_at(high), 3)}"
