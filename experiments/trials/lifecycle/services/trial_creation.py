"""Create trials: numbered without a gap, with the sampler's row when one is taken."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Required, TypedDict, Unpack

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from experiments.errors import Conflict, NotFound
from experiments.models import trial_encoding as encoding
from experiments.models.trial import FINISHED, Trial, TrialState
from experiments.models.trial_encoding import Parameter
from experiments.models.trial_rows import COLUMNS, TrialRow, from_columns
from experiments.trials.lifecycle.services.statements import (
    Statement,
    execute_pipeline,
    unsynced_file,
)
from experiments.trials.lifecycle.services.trial_finishing import count_finished, lock_experiment

_NUMBER = """
UPDATE experiments_study SET next_number = next_number + 1, next_row = next_row + {rows}
WHERE id = %s AND deleted_at IS NULL
RETURNING id, next_number - 1 AS number, next_row - 1 AS taken
"""
_BATCH = 500  # rows in one statement: SQLite takes 32,766 values
_REPORT = "INSERT INTO experiments_report (trial_id, step, value) VALUES (%s, %s, %s)"


class TrialFields(TypedDict, total=False):
    """Fields of a new trial; times that are not given follow from the state."""

    state: Required[int]
    origin: str
    parameters: Mapping[str, Parameter] | None
    values: Sequence[float] | None
    user_attributes: Mapping[str, Any]
    system_attributes: Mapping[str, Any]
    reports: Mapping[int, float]
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    row: int | None
    pair: int | None
    retry_of_id: int | None
    configuration_id: int | None
    train_seed: int | None
    split_seed: int | None
    search_seed: int | None
    attempt: int
    worker_id: int | None
    device: str
    failure_kind: str
    heartbeat_at: dt.datetime | None
    run_id: uuid.UUID | None
    run_name: str
    parent_id: int | None


def create(
    *, study_id: int, take_row: bool = False, waits: bool = True, **fields: Unpack[TrialFields]
) -> tuple[int, int]:
    """Insert a trial with the study's next number, and with `take_row` its next sampler row.

    Numbers have no gap and no double under any number of processes; so have rows. A trial that
    is created finished is counted in its experiment at once. Without `origin` it is a trial from
    outside. `waits` False: see `unsynced_file`; PostgreSQL always waits, as numbers are handed out
    once.

    Returns:
        The trial's id and number.

    Raises:
        NotFound: when there is no such study, or it was deleted.
    """
    columns = _columns(fields)
    reports = fields.get("reports") or {}
    state = int(fields["state"])
    if not reports and state not in FINISHED:
        with unsynced_file(waits), connection.cursor() as cursor:
            made = _insert(cursor, study_id, columns, take_row)
        return made.id, made.number
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        if state in FINISHED:
            lock_experiment(cursor, study_id)
        made = _insert(cursor, study_id, columns, take_row)
        if state in FINISHED:
            value = columns["value"]
            count_finished(cursor, study_id=study_id, trial_id=made.id, state=state, value=value)
        else:
            cursor.executemany(_REPORT, [(made.id, *report) for report in _storable(reports)])
    return made.id, made.number


def create_claimed(*, study_id: int, also: Statement, **fields: Unpack[TrialFields]) -> TrialRow:
    """Insert an unfinished trial with the study's next number and its next sampler row.

    `also` is written before it, in the same transaction and message.

    Raises:
        NotFound: when there is no such study, or it was deleted; then nothing is written.
    """
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        return _insert(cursor, study_id, _columns(fields), True, also)


def create_many(
    *, study_id: int, trials: Sequence[TrialFields], first_number: int | None = None
) -> None:
    """Insert trials of a free-standing study in their order, all or none, in few statements.

    Raises:
        NotFound: when there is no such study, or it was deleted.
        Conflict: when it belongs to an experiment, whose counters are not moved here, or the next
            number is not `first_number`.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE experiments_study SET next_number = next_number + %s "
            "WHERE id = %s AND deleted_at IS NULL RETURNING next_number, experiment_id",
            [len(trials), study_id],
        )
        found = cursor.fetchall()
        if not found:
            raise NotFound(f"There is no study with id {study_id}.")
        if found[0][1] is not None:
            raise Conflict(f"Study {study_id} belongs to an experiment.")
        first = found[0][0] - len(trials)
        if first_number not in (None, first):
            raise Conflict(f"Another program adds trials to study {study_id} at the same time.")
        for start in range(0, len(trials), _BATCH):
            batch = trials[start : start + _BATCH]
            _insert_batch(cursor, study_id, first + start, batch)


def _insert_batch(
    cursor: CursorWrapper, study_id: int, first: int, trials: Sequence[TrialFields]
) -> None:
    rows = [
        {"study_id": study_id, "number": first + index, **_columns(fields)}
        for index, fields in enumerate(trials)
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    places = f"({', '.join(['%s'] * len(names))})"
    cursor.execute(
        f"INSERT INTO experiments_trial ({', '.join(map(_quoted, names))}) "
        f"VALUES {', '.join([places] * len(rows))} RETURNING number, id",
        [row.get(name) for row in rows for name in names],
    )
    ids = dict(cursor.fetchall())
    open_reports = [
        (ids[first + index], *report)
        for index, fields in enumerate(trials)
        if fields["state"] not in FINISHED
        for report in _storable(fields.get("reports") or {})
    ]
    if open_reports:
        cursor.executemany(_REPORT, open_reports)


def replace_unfinished(*, study_id: int, number: int, fields: TrialFields) -> bool:
    """Write a trial of a free-standing study anew, with its reports, unless it has finished.

    Returns whether it had not.
    """
    columns = _columns(fields)
    listed = ", ".join(f"{_quoted(name)} = %s" for name in columns)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE experiments_trial SET {listed} WHERE study_id = %s AND number = %s "
            f"AND state IN ({TrialState.RUNNING:d}, {TrialState.WAITING:d}) RETURNING id",
            [*columns.values(), study_id, number],
        )
        found = cursor.fetchall()
        if not found:
            return False
        cursor.execute("DELETE FROM experiments_report WHERE trial_id = %s", found[0])
        if fields["state"] not in FINISHED:
            reports = _storable(fields.get("reports") or {})
            cursor.executemany(_REPORT, [(found[0][0], *report) for report in reports])
    return True


def outcome_of(fields: TrialFields) -> tuple[int, str | None, str]:
    """State, values and parameters of a trial as its row holds them."""
    complete = int(fields["state"]) == TrialState.COMPLETE
    return (
        int(fields["state"]),
        encoding.encode_values(fields.get("values"), complete=complete),
        encoding.encode_parameters(fields.get("parameters") or {})[0],
    )


def _quoted(name: str) -> str:
    return f'"{name}"'  # "values" and "row" are words of SQL


def _columns(fields: TrialFields) -> dict[str, Any]:
    """Column values, ready for the database."""
    columns: dict[str, Any] = {**fields}
    for kind in ("user_attributes", "system_attributes"):
        columns[kind] = encoding.encode(dict(columns.get(kind) or {}))
    texts = encoding.encode_parameters(columns.get("parameters") or {})
    columns["parameters"], columns["distributions"] = texts
    values = columns.get("values")
    complete = int(fields["state"]) == TrialState.COMPLETE
    columns["values"] = encoding.encode_values(values, complete=complete)
    columns["value"] = encoding.first_finite(values)
    reports = columns.pop("reports", None) or {}
    state = columns["state"] = int(columns["state"])
    now = timezone.now()
    if state == TrialState.WAITING:
        columns["queued_at"] = now
    else:
        columns.setdefault("started_at", now)
    if state in FINISHED:
        columns.setdefault("finished_at", now)
        columns["reports"] = encoding.encode_reports(reports.items())
    adapt = connection.ops.adapt_datetimefield_value
    for name, value in columns.items():
        if isinstance(value, dt.datetime):
            columns[name] = adapt(value)
        elif isinstance(value, uuid.UUID) and not connection.features.has_native_uuid_field:
            columns[name] = value.hex
    return {**_defaults(connection.vendor), **columns}


@lru_cache
def _defaults(vendor: str) -> dict[str, Any]:
    """Defaults of the model for columns that must not be empty."""
    return {
        str(field.column): field.get_db_prep_save(field.get_default(), connection)
        for field in Trial._meta.concrete_fields
        if not field.primary_key and not field.null and field.name not in ("study", "number")
    }


def _insert(
    cursor: CursorWrapper,
    study_id: int,
    columns: Mapping[str, Any],
    take_row: bool,
    *also: Statement,
) -> TrialRow:
    names = [name for name, value in columns.items() if value is not None]
    values = [columns[name] for name in names]
    listed = ", ".join(map(_quoted, ("study_id", "number", *names)))
    places = ", ".join(["%s"] * len(names))
    if take_row:
        listed += ', "row"'
    numbering = _NUMBER.format(rows=int(take_row))
    if connection.vendor == "postgresql":
        taken = ", taken" if take_row else ""
        inserting = (
            f"WITH numbered AS ({numbering}) INSERT INTO experiments_trial ({listed}) "
            f"SELECT id, number, {places}{taken} FROM numbered RETURNING {COLUMNS}"
        )
        execute_pipeline(cursor, *also, (inserting, [study_id, *values]))
        rows = cursor.fetchall()
    else:
        with transaction.atomic(savepoint=False):
            execute_pipeline(cursor, *also, (numbering, [study_id]))
            rows = cursor.fetchall()
            if rows:
                _, number, taken_row = rows[0]
                given = [study_id, number, *values, *([taken_row] if take_row else [])]
                marks = ", ".join(["%s"] * len(given))
                cursor.execute(
                    f"INSERT INTO experiments_trial ({listed}) VALUES ({marks}) "
                    f"RETURNING {COLUMNS}",
                    given,
                )
                rows = cursor.fetchall()
    if not rows:
        raise NotFound(f"There is no study with id {study_id}.")
    return from_columns(rows[0])


def _storable(reports: Mapping[int, float]) -> Iterable[tuple[int, float | None]]:
    """NaN is kept as null, which every database can hold."""
    return ((step, None if value != value else value) for step, value in reports.items())
