"""Change marker of an experiment: numbers that change whenever its page reads differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from experiments.design.queries.records import AnyExperiment
from experiments.models.experiment import ExperimentState
from experiments.models.trial import TrialState
from experiments.team.queries.access import Access

# Every open page asks this every two seconds.
_READ = f"""
SELECT e.state, e.trial_count, e.best_trial_id, e.failed_count, e.pruned_count,
    e.mutes_overfitting, u.*, f.*
FROM experiments_experiment e, (
    SELECT COUNT(*), COUNT(CASE WHEN t.state = {TrialState.RUNNING:d} THEN 1 END), MAX(t.id),
        SUM(t.latest_step), SUM(t.attempt)
    FROM experiments_trial t JOIN experiments_study s ON s.id = t.study_id
    WHERE t.state IN ({TrialState.RUNNING:d}, {TrialState.WAITING:d}) AND s.experiment_id = {{one}}
) AS u, (
    SELECT COUNT(*), MAX(found_at), COUNT(dismissed_at)
    FROM experiments_finding WHERE experiment_id = {{one}}
) AS f
WHERE e.id = {{one}}
"""
_NAMED = "(SELECT id FROM experiments_experiment WHERE project_id = %s AND name = %s)"
_COUNTERS = 6  # columns of the experiment itself


@dataclass(frozen=True, slots=True)
class ChangeMarker:
    """`words`: what the sentences of a page rest on; `table`: what its rows rest on.

    `moving`: whether anything can still change by itself.
    """

    words: tuple[object, ...]
    table: tuple[object, ...]
    finished: int
    moving: bool


def find_marker(access: Access, name: str) -> ChangeMarker | None:
    """The change marker of a project's experiment by its name; None without one."""
    found = _read(_NAMED, [access.project_id, name])
    return None if found is None else _marker(found[:_COUNTERS], found[_COUNTERS:])


def change_marker(experiment: AnyExperiment) -> ChangeMarker:
    """The change marker of an experiment as it was read; one query."""
    counters = (
        experiment.state,
        experiment.trial_count,
        experiment.best_trial_id,
        experiment.failed_count,
        experiment.pruned_count,
        experiment.mutes_overfitting,
    )
    found = _read("%s", [experiment.pk])
    return _marker(counters, found[_COUNTERS:] if found else [0] * 8)


def _read(one: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(_READ.format(one=one), [*values] * 3)
        found: tuple[Any, ...] | None = cursor.fetchone()
        return found


def _marker(counters: Sequence[Any], changing: Sequence[Any]) -> ChangeMarker:
    state, finished, *more, mutes = counters
    counted = (state, finished, *more, bool(mutes))
    count, running, newest, steps, attempts, *findings = changing
    return ChangeMarker(
        words=(counted, count, running, tuple(findings)),
        table=(counted, (count, running, newest, steps, attempts), (findings[0], findings[2])),
        finished=finished,
        moving=state in (ExperimentState.RUNNING, ExperimentState.PAUSED) or bool(count),
    )
