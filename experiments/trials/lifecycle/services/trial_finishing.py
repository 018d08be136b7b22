"""Finish a trial: compare-and-set, reports packed, the experiment's counters, one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from experiments.errors import WritesLost
from experiments.models import trial_encoding as encoding
from experiments.models.trial import TrialState
from experiments.models.trial_rows import COLUMNS, TrialRow, from_columns
from experiments.trials.lifecycle.services.attempts import may_write, refusal
from experiments.trials.lifecycle.services.statements import INCARNATION

# The blob of `trial_encoding.encode_reports`, built by PostgreSQL itself.
_PACKED = (
    r"(SELECT '\x01'::bytea || string_agg(int8send(r.step) || "
    "float8send(coalesce(r.value, 'NaN')), ''::bytea ORDER BY r.step) "
    "FROM experiments_report r WHERE r.trial_id = %(trial)s)"
)
_FINISH = """
UPDATE experiments_trial AS t SET
    state = %(state)s, "values" = %(values)s, value = %(value)s, finished_at = %(now)s,
    reports = {reports}, failure_kind = %(failure_kind)s, failure_reason = %(failure_reason)s,
    traceback = %(traceback)s, best_step = %(best_step)s, evaluations = %(evaluations)s,
    seconds = %(seconds)s, peak_memory_mb = %(peak_memory_mb)s,
    read_split_seed = %(read_split_seed)s, stopped_early = %(stopped_early)s, control = '',
    findings_due = (
        SELECT s.kind = 'search' AND s.deleted_at IS NULL
        FROM experiments_study s WHERE s.id = t.study_id
    )
WHERE t.id = %(trial)s AND {may_write}
RETURNING {columns}
"""
_LOCK_EXPERIMENT = """
SELECT 1 FROM experiments_experiment WHERE id = (
    SELECT s.experiment_id FROM experiments_trial t
    JOIN experiments_study s ON s.id = t.study_id WHERE t.id = %(trial)s
) FOR NO KEY UPDATE
"""
_LOCK_TRIAL = "SELECT 1 FROM experiments_trial WHERE id = %(trial)s FOR NO KEY UPDATE"
# Only searches count; a replicate or a deleted study's trial moves the time alone. The earlier
# of two equally good trials stays the best.
_COUNT = """
UPDATE experiments_experiment AS e SET
    active_at = %(now)s,
    trial_count = e.trial_count + s.counts,
    complete_count = e.complete_count + CASE WHEN {state} = {complete} THEN s.counts ELSE 0 END,
    pruned_count = e.pruned_count + CASE WHEN {state} = {pruned} THEN s.counts ELSE 0 END,
    failed_count = e.failed_count + CASE WHEN {state} = {failed} THEN s.counts ELSE 0 END,
    best_trial_id = CASE WHEN {better} THEN %(trial)s ELSE e.best_trial_id END,
    best_value = CASE WHEN {better} THEN {value} ELSE e.best_value END
FROM (
    SELECT experiment_id,
        CASE WHEN kind = 'search' AND deleted_at IS NULL THEN 1 ELSE 0 END AS counts
    FROM experiments_study WHERE id = {study}
) AS s
WHERE e.id = s.experiment_id
"""
_OWE = """
UPDATE experiments_trial SET findings_due = true WHERE id = %(trial)s AND study_id IN (
    SELECT id FROM experiments_study WHERE kind = 'search' AND deleted_at IS NULL
)
"""
_BETTER = """
    {state} = {complete} AND s.counts = 1 AND {value} IS NOT NULL AND (
        e.best_value IS NULL
        OR (e.direction = 'maximize' AND {value} > e.best_value)
        OR (e.direction = 'minimize' AND {value} < e.best_value)
    )
"""


def _count(study: str) -> str:
    names = {
        "state": "%(state)s",
        "value": "%(value)s",
        "complete": int(TrialState.COMPLETE),
        "pruned": int(TrialState.PRUNED),
        "failed": int(TrialState.FAILED),
    }
    return _COUNT.format(better=_BETTER.format(**names), study=study, **names)


class Outcome(TypedDict, total=False):
    """Details of an outcome beside state and values."""

    failure_kind: str
    failure_reason: str
    traceback: str
    best_step: float | None
    evaluations: int | None
    seconds: float | None
    peak_memory_mb: float | None
    read_split_seed: bool | None
    stopped_early: bool


_PLAIN = Outcome(
    failure_kind="",
    failure_reason="",
    traceback="",
    best_step=None,
    evaluations=None,
    seconds=None,
    peak_memory_mb=None,
    read_split_seed=None,
    stopped_early=False,
)


def finish(
    *,
    trial_id: int,
    state: int,
    values: Sequence[float] | None,
    attempt: int | None = None,
    free: bool = False,
    incarnation: str = "",
    **outcome: Unpack[Outcome],
) -> TrialRow:
    """Tell a trial's result, once: the first one stands.

    Packs the reports and, for a search, moves the experiment's counters and best value in the
    same transaction. `attempt` None is a program from outside, which may tell any unfinished
    trial. `state` is COMPLETE, PRUNED or FAILED. `free` says that the
    study belongs to no experiment, so that none is looked for. `incarnation`: of the database
    when the caller first wrote to the trial without waiting for the disk.

    Returns:
        The trial as it is now stored for ever.

    Raises:
        TrialFinished: when it has finished already.
        TrialFenced: when another attempt has taken it over.
        Conflict: when an attempt tells a trial that was handed back.
        NotFound: when there is none.
        WritesLost: when the database has crashed since `incarnation`; nothing was written.
    """
    guard = may_write(attempt)
    checked = bool(incarnation) and connection.vendor == "postgresql"
    row = _write(
        {
            "trial": trial_id,
            "state": int(state),
            "values": encoding.encode_values(values, complete=int(state) == TrialState.COMPLETE),
            "value": encoding.first_finite(values),
            "now": connection.ops.adapt_datetimefield_value(timezone.now()),
            "incarnation": incarnation,
            **_PLAIN,
            **{
                # PostgreSQL keeps no NUL in a text, and a traceback may quote one.
                name: value.replace("\0", "�") if isinstance(value, str) else value
                for name, value in outcome.items()
            },
        },
        f"{guard} AND {INCARNATION} = %(incarnation)s" if checked else guard,
        free,
    )
    if row is None and checked:
        raise refusal(trial_id, attempt, WritesLost(f"Trial {trial_id}: the database crashed."))
    if row is None:
        raise refusal(trial_id, attempt)
    return from_columns(row)


def lock_experiment(cursor: CursorWrapper, study_id: int) -> None:
    """Take an experiment's lock before its study's and its trials'."""
    if connection.vendor == "postgresql":
        cursor.execute(
            "SELECT 1 FROM experiments_experiment WHERE id = "
            "(SELECT experiment_id FROM experiments_study WHERE id = %s) FOR NO KEY UPDATE",
            [study_id],
        )


def count_finished(
    cursor: CursorWrapper, *, study_id: int, trial_id: int, state: int, value: float | None
) -> None:
    """Count a trial that was created finished; its experiment is locked."""
    changes = {
        "study": study_id,
        "trial": trial_id,
        "state": int(state),
        "value": value,
        "now": connection.ops.adapt_datetimefield_value(timezone.now()),
    }
    cursor.execute(_count("%(study)s"), changes)
    cursor.execute(_OWE, changes)


def _write(values: dict[str, Any], guard: str, free: bool) -> Sequence[Any] | None:
    if connection.vendor == "postgresql":
        return _write_at_once(values, guard, free)
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(
            "SELECT step, value FROM experiments_report WHERE trial_id = %(trial)s", values
        )
        reports = [
            (step, float("nan") if value is None else value) for step, value in cursor.fetchall()
        ]
        values["reports"] = encoding.encode_reports(reports)
        finishing = _FINISH.format(may_write=guard, columns=COLUMNS, reports="%(reports)s")
        cursor.execute(finishing, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        if not rows:
            return None
        if reports:
            cursor.execute("DELETE FROM experiments_report WHERE trial_id = %(trial)s", values)
        if not free:
            cursor.execute(_count("%(study)s"), {**values, "study": rows[0][1]})
        return rows[0]


def _write_at_once(values: dict[str, Any], guard: str, free: bool) -> Sequence[Any] | None:
    """One message to the server and, outside a transaction, one implicit transaction.

    The locks come first: the last statement's snapshot then holds every report that was written
    before them, and none can be written after.
    """
    finishing = _FINISH.format(may_write=guard, columns=COLUMNS, reports=_PACKED)
    parts = [
        f"done AS ({finishing})",
        "gone AS (DELETE FROM experiments_report WHERE trial_id IN (SELECT id FROM done))",
    ]
    locks = [_LOCK_TRIAL]
    if not free:
        parts.append(f"counted AS ({_count('(SELECT study_id FROM done)')})")
        locks.insert(0, _LOCK_EXPERIMENT)
    with connection.cursor() as cursor:
        cursor.execute(f"{'; '.join(locks)}; WITH {', '.join(parts)} SELECT * FROM done", values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row
