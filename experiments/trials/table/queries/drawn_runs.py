"""Runs whose curves stand beside a runs table: ticked ones, its first ones, or its groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Exists, OuterRef, Q

from experiments.charts.theme import HUES, text_of
from experiments.models import SeriesBatch, Trial
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.series.queries.curves import CurveTrial
from experiments.trials.table.columns import Column
from experiments.trials.table.queries.filtered_trials import condition_of
from experiments.trials.table.queries.run_groups import RunGroup, group_page
from experiments.trials.table.queries.run_scope import (
    RunScope,
    count_arms_of,
    in_order,
    matching,
    run_name,
    runs_in,
)
from experiments.trials.table.queries.trial_table import STATE_WORDS
from experiments.trials.table.runs_state import RunsState

MOST_CURVES = 50  # drawn one by one; more are drawn as a band
MOST_OF_BAND = 200  # runs that a band is made of
MOST_GROUPS, MOST_OF_GROUP = 8, 25
UNTICKED = 10  # runs of the table's page, while none is ticked
BAND = "ticked runs"
MOST_DIFFERENCES = 4  # parameters that tell runs apart
_FACTS = (
    *("pk", "number", "state", "attempt", "value", "latest_value", "best_step", "started_at"),
    *("study_id", "study__kind", "study__arm_index", "study__experiment_id"),
    "study__experiment__name",
)


_LOGGED = Q(Exists(SeriesBatch.objects.filter(trial=OuterRef("pk"))))


@dataclass(frozen=True, slots=True)
class DrawnRuns:
    """Runs to draw, and in words which ones; `groups` are those of the table's page, of which the
    first `MOST_GROUPS` are drawn as curves.
    """

    trials: Sequence[CurveTrial]
    words: str
    banded: bool = False  # by the side of each
    members: str = "runs"
    groups: Sequence[RunGroup] = ()

    @property
    def hues(self) -> dict[str | int, str]:
        """Hue of each run by its id, and of each group by its name: one in all charts."""
        order = dict.fromkeys(trial.side or trial.id for trial in self.trials)
        named = dict.fromkeys([*order, *(group.name for group in self.groups[:MOST_GROUPS])])
        return {key: HUES[place % len(HUES)] for place, key in enumerate(named)}


def drawn_runs(scope: RunScope, state: RunsState, columns: Sequence[Column]) -> DrawnRuns:
    """The runs to draw: of groups, ticked ones, else the first of the table's page.

    `columns`: those that groups are ordered by.
    """
    if state.groups:
        return _of_groups(scope, state, columns)
    if state.ticked:
        return _of_ticks(scope, state)
    ordered = in_order(matching(scope, state), scope, state).values_list("pk", flat=True)
    start = (state.page - 1) * state.rows
    keys = _with_curves(list(ordered[start : start + state.rows]))[:UNTICKED]
    trials = curve_trials(scope, keys)
    words = f"First {len(trials)} runs of the page; tick others to draw them instead"
    return DrawnRuns(trials, words if len(trials) == UNTICKED else "")


def _of_ticks(scope: RunScope, state: RunsState) -> DrawnRuns:
    shown = runs_in(scope).filter(pk__in=state.ticked)
    there = set(shown.values_list("pk", flat=True))
    ordered = [key for key in state.ticked if key in there]
    total = max(state.ticked_total, len(ordered))
    if total <= MOST_CURVES or not ordered:
        return DrawnRuns(curve_trials(scope, ordered), "")
    step = -(-len(ordered) // MOST_OF_BAND)
    some = ordered[::step]
    trials = [replace(trial, side=BAND) for trial in curve_trials(scope, some)]
    words = (
        f"More than {MOST_CURVES} runs are drawn as mean and band of one standard deviation: "
        f"{len(trials):,} of {total:,} ticked runs"
    )
    return DrawnRuns(trials, words, banded=True)


def _of_groups(scope: RunScope, state: RunsState, columns: Sequence[Column]) -> DrawnRuns:
    page = group_page(scope, state, columns)
    groups: Sequence[RunGroup] = page.rows[:MOST_GROUPS]
    found: list[CurveTrial] = []
    for group in groups:
        rows = (
            matching(scope, state).filter(condition_of(group.condition), _LOGGED).order_by("-pk")
        )
        keys = list(rows.order_by("-pk").values_list("pk", flat=True)[:MOST_OF_GROUP])
        found += [replace(trial, side=group.name) for trial in curve_trials(scope, keys)]
    words = "Mean of each group with a band of one standard deviation"
    if page.total > len(groups):
        words += f"; the first {len(groups)} of {page.total:,} groups"
    if any(group.count > MOST_OF_GROUP for group in groups):
        words += f", at most {MOST_OF_GROUP} newest runs of each"
    return DrawnRuns(found, words, banded=True, groups=page.rows)


def _with_curves(keys: Sequence[int]) -> list[int]:
    """Those of the runs that logged any series."""
    logged = SeriesBatch.objects.filter(trial_id__in=keys, fenced=False)
    there = set(logged.order_by().values_list("trial_id", flat=True).distinct())
    return [key for key in keys if key in there]


def curve_trials(scope: RunScope, keys: Sequence[int]) -> list[CurveTrial]:
    """Runs by their ids, in that order. Two queries."""
    rows = {row["pk"]: row for row in Trial.objects.filter(pk__in=keys).values(*_FACTS)}
    arms = count_arms_of(sorted({r["study__experiment_id"] for r in rows.values()} - {None}))
    return [_trial(rows[key], arms, scope) for key in keys if key in rows]


def _trial(row: Mapping[str, Any], arms: Mapping[int, int], scope: RunScope) -> CurveTrial:
    name = run_name(row, arms.get(row["study__experiment_id"], 1))
    if scope.single is None and row["study__experiment__name"]:
        name = f"{row['study__experiment__name']} {name}"
    running = row["state"] == TrialState.RUNNING
    started = row["started_at"]
    return CurveTrial(
        id=row["pk"],
        name=name,
        state=STATE_WORDS[row["state"]],
        attempt=row["attempt"],
        score=row["latest_value"] if running else row["value"],
        best_step=row["best_step"],
        started_ms=int(started.timestamp() * 1000) if started else None,
    )


def differences(keys: Sequence[int]) -> dict[int, str]:
    """The parameters of each run in which these runs differ, in words; their training seeds where
    they agree in all parameters. One query.
    """
    rows = Trial.objects.filter(pk__in=keys).values_list(
        "pk", "parameters", "study__arm", "train_seed"
    )
    found = {pk: ({**decode(arm), **decode(own)}, seed) for pk, own, arm, seed in rows}
    names = dict.fromkeys(name for parameters, _ in found.values() for name in parameters)
    differing = [
        name
        for name in names
        if len({repr(parameters.get(name)) for parameters, _ in found.values()}) > 1
    ][:MOST_DIFFERENCES]
    if differing:
        return {
            pk: ", ".join(
                f"{name} {text_of(parameters[name])}" for name in differing if name in parameters
            )
            for pk, (parameters, _) in found.items()
        }
    seeds = {pk: seed for pk, (_, seed) in found.items() if seed is not None}
    if len(set(seeds.values())) < 2:
        return {}
    return {pk: f"training seed {seed}" for pk, seed in seeds.items()}
