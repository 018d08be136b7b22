"""Standard deviations of metrics over seeds: the unit of differences between runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from experiments.models import LatestMetric, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.trials.table.compare_state import Values

FEWEST_RUNS = 3  # of one configuration: fewer say next to nothing of a spread
CONFIDENCE = 0.95
MOST_OWN, MOST_OTHERS = 100, 200  # newest runs that are read
_Group = tuple[int | None, bool]  # a configuration, and whether the runs are replicates


@dataclass(frozen=True, slots=True)
class SeedDeviation:
    """A standard deviation over seeds in the metric's unit, from `runs` runs of so many
    `configurations`: the baseline's own, or where `pooled` others of the project.
    """

    value: float
    runs: int
    configurations: int
    pooled: bool

    @property
    def largest_by_seeds(self) -> float:
        """Largest difference, in deviations, of 95 % of the pairs of runs that differ in seeds
        alone: Student's t, as the deviation is an estimate, times the root of two, as both vary.
        """
        from scipy.special import stdtrit  # here: other tables of runs must not wait for it

        degrees = self.runs - self.configurations
        return float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) * math.sqrt(2)


def seed_deviations(
    project_id: int, configuration_id: int | None, names: Sequence[str], values: Values
) -> dict[str, SeedDeviation]:
    """Deviation over seeds of each metric, from complete runs of a configuration under several
    seeds; where it has too few, pooled over the configurations that the project has replicated.
    Three queries.
    """
    own = _runs(Q(configuration_id=configuration_id), project_id, MOST_OWN)
    others = _runs(Q(study__kind=StudyKind.REPLICATION), project_id, MOST_OTHERS)
    runs = {row["pk"]: row for row in (*own, *others)}
    found = _values(runs, names, values)
    deviations = {}
    for name in names:
        groups: dict[_Group, dict[tuple[Any, ...], float]] = {}
        for pk, row in runs.items():
            value = found.get((pk, name))
            if value is not None and math.isfinite(value):
                group = (row["configuration_id"], row["study__kind"] == StudyKind.REPLICATION)
                seeds = (row["train_seed"], row["split_seed"])
                groups.setdefault(group, {})[seeds] = value
        if (made := _deviation(groups, configuration_id)) is not None:
            deviations[name] = made
    return deviations


def _runs(condition: Q, project_id: int, most: int) -> list[dict[str, Any]]:
    """Complete runs with known seeds, newest first."""
    rows = Trial.objects.filter(
        condition,
        Q(train_seed__isnull=False) | Q(split_seed__isnull=False),
        study__project_id=project_id,
        study__deleted_at__isnull=True,
        study__kind__in=(StudyKind.SEARCH, StudyKind.REPLICATION),
        state=TrialState.COMPLETE,
        configuration__isnull=False,
    )
    return list(
        rows.order_by("-pk").values(
            *("pk", "configuration_id", "train_seed", "split_seed", "value"),
            *("study__kind", "study__experiment__official_metric"),
        )[:most]
    )


def _values(
    runs: Mapping[int, Mapping[str, Any]], names: Sequence[str], values: Values
) -> dict[tuple[int, str], float | None]:
    rows = LatestMetric.objects.filter(trial_id__in=list(runs), name__in=names)
    column = "at_best" if values == "best" else "value"
    found = {(pk, name): value for pk, name, value in rows.values_list("trial_id", "name", column)}
    if values == "best":
        found |= {
            (pk, row["study__experiment__official_metric"]): row["value"]
            for pk, row in runs.items()
        }
    return found


def _deviation(
    groups: Mapping[_Group, Mapping[tuple[Any, ...], float]], own: int | None
) -> SeedDeviation | None:
    """Of one's own configuration, its replicates first: a run of a search was picked by its
    score. Else pooled by degrees of freedom; None where nothing varies, or beyond all bounds.
    """
    enough = {key: group for key, group in groups.items() if len(group) >= FEWEST_RUNS}
    owned = next((key for key in ((own, True), (own, False)) if key in enough), None)
    chosen = (
        [enough[owned]] if owned else [g for (_, replicated), g in enough.items() if replicated]
    )
    if not chosen:
        return None
    runs = sum(map(len, chosen))
    try:
        squares = sum(
            statistics.variance(scores.values()) * (len(scores) - 1) for scores in chosen
        )
        value = math.sqrt(squares / (runs - len(chosen)))
    except OverflowError:  # of diverged runs: beyond what a float can hold
        return None
    return SeedDeviation(value, runs, len(chosen), owned is None) if value > 0 else None
