"""Fair scheduling of a queue's experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.trial import Origin, StudyKind, TrialState
from experiments.trials.lifecycle.services.statements import Statement, execute_pipeline

_RUNS = f"e.state = '{ExperimentState.RUNNING}'"
# What runs also when its search has ended: a person asked for it.
_ALWAYS = f"""
    (s.kind IN ('{StudyKind.REPLICATION}', '{StudyKind.PROBE}')
    OR t.origin IN ('{Origin.MANUAL}', '{Origin.RETRY}'))
"""
# Trials fixed beforehand: those of a search's file only while the experiment runs.
_WAITING = f"""
    FROM experiments_trial t JOIN experiments_study s ON s.id = t.study_id
    WHERE s.experiment_id = e.id AND s.deleted_at IS NULL AND t.state = {TrialState.WAITING:d}
    AND ({_ALWAYS} OR ({_RUNS} AND s.kind = '{StudyKind.SEARCH}'))
"""
# Searches with sampler rows left.
_WITH_ROWS = f"""
    FROM experiments_study s
    WHERE s.experiment_id = e.id AND s.deleted_at IS NULL AND s.kind = '{StudyKind.SEARCH}'
    AND s.next_row < s.budget AND {_RUNS}
"""
# Replicates and probes included.
_RUNNING = f"""
    FROM experiments_trial t JOIN experiments_study s ON s.id = t.study_id
    WHERE t.state = {TrialState.RUNNING:d}
"""
# External programs run their experiments' trials, replicates included.
_WITH_WORK = f"""
FROM experiments_experiment e
JOIN experiments_project p ON p.id = e.project_id AND p.archived_at IS NULL
LEFT JOIN (SELECT s.experiment_id, COUNT(*) AS trials {_RUNNING} GROUP BY s.experiment_id) r
    ON r.experiment_id = e.id
WHERE e.state <> '{ExperimentState.PAUSED}' AND e.sampler <> '{OUTSIDE}'
AND COALESCE(r.trials, 0) < e.parallel
AND (EXISTS (SELECT 1 {_WITH_ROWS}) OR EXISTS (SELECT 1 {_WAITING}))
"""
_CANDIDATES = f"""
SELECT e.id {_WITH_WORK} AND e.queue = %s
ORDER BY e.priority DESC,
    COALESCE(r.trials, 0) * CASE WHEN e.gpus > 1 THEN e.gpus ELSE 1 END,
    e.claimed_at IS NOT NULL, e.claimed_at, e.id
"""
_OFFER = f"""
SELECT e.gpus, e.seed, e.split_seed, e.document,
    e.parallel - (SELECT COUNT(*) {_RUNNING} AND s.experiment_id = e.id),
    (SELECT COUNT(*) {_WAITING}),
    (SELECT COALESCE(SUM(s.budget - s.next_row), 0) {_WITH_ROWS}),
    w.id, n.id, n.next_row
FROM experiments_experiment e
LEFT JOIN experiments_trial w ON w.id = (
    SELECT t.id {_WAITING} ORDER BY t.pair IS NOT NULL, t.pair, t.number, t.study_id LIMIT 1
)
LEFT JOIN experiments_study n ON n.id = (
    SELECT s.id {_WITH_ROWS} ORDER BY s.next_row, s.arm_index LIMIT 1
)
WHERE e.id = %s
"""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Trials that an experiment could start now.

    Attributes:
        document: its file in canonical JSON, with the rules that may hold new trials back.
        free: how many further trials it lets run at once; below 1 for none.
        waiting: trials fixed beforehand; `waiting_id` is the first of them.
        rows: sampler rows left; `study_id` is the search that is behind most, and `row` its next.
    """

    experiment_id: int
    gpus: int
    seed: int
    split_seed: int
    document: str
    free: int
    waiting: int
    rows: int
    waiting_id: int | None
    study_id: int | None
    row: int | None


def candidates(queue: str) -> list[int]:
    """Ids of experiments that have work and a place for it, the one whose turn it is first.

    Highest priority first; among equals the smallest share of what runs now, in slots or GPUs;
    among those the one that was given nothing for longest, so that experiments take turns on
    few slots, too. A rule on the number of trials or a cap may still hold them back.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CANDIDATES, [queue])
        return [experiment_id for (experiment_id,) in cursor.fetchall()]


def any_candidate(queues: Sequence[str]) -> Statement:
    """SQL of a condition: one of the queues has a candidate."""
    names = ", ".join(["%s"] * len(queues))
    return f"EXISTS (SELECT 1 {_WITH_WORK} AND e.queue IN ({names}))", list(queues)


def capacity(experiment_id: int, *, lock: bool = False) -> Capacity | None:
    """Trials that an experiment could start now, None when it is gone.

    `lock` keeps it so until the transaction ends: whoever claims or edits takes turns.
    """
    reading: Statement = _OFFER, [experiment_id]
    locking: Statement = (
        "SELECT 1 FROM experiments_experiment WHERE id = %s FOR NO KEY UPDATE",
        [experiment_id],
    )
    with connection.cursor() as cursor:
        if lock and connection.vendor == "postgresql":
            execute_pipeline(cursor, locking, reading)
        else:
            cursor.execute(*reading)
        found = cursor.fetchone()
    return None if found is None else Capacity(experiment_id, *found)
