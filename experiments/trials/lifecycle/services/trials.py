"""Write trials: create, set parameters and attributes, report, finish.

Each write is one transaction, and one autocommitted statement where the database allows. What is
written by an attempt carries its number: a worker whose trial was taken over changes nothing.
Locks are taken in the order experiment, study, trial, here and wherever else these are locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db import connection
from django.utils import timezone

from experiments.errors import NotFound, TrialFinished
from experiments.models import trial_encoding as encoding
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import Parameter
from experiments.models.trial_rows import Texts
from experiments.trials.lifecycle.services.attempts import may_write, refusal, require_attempt
from experiments.trials.lifecycle.services.statements import execute_asynchronously
from experiments.trials.lifecycle.services.trial_creation import (
    create,
    create_claimed,
    create_many,
)
from experiments.trials.lifecycle.services.trial_finishing import finish

__all__ = [
    "create",
    "create_claimed",
    "create_many",
    "finish",
    "put_back",
    "read_texts",
    "record_heartbeat",
    "report",
    "require_attempt",
    "set_parameter",
    "set_parameters",
    "set_system_attribute",
    "set_user_attribute",
    "start",
    "with_parameters",
]

# Locks the trial first, so that the ids of a trial's reports grow in the order in which they
# become visible: readers ask for what is newer than the last id they saw.
_REPORT_POSTGRESQL = """
WITH held AS (
    SELECT id FROM experiments_trial t WHERE t.id = %s AND {may_write} FOR NO KEY UPDATE
)
INSERT INTO experiments_report (trial_id, step, value) SELECT id, %s, %s FROM held
ON CONFLICT (trial_id, step) DO UPDATE SET value = excluded.value, id = excluded.id
"""
_REPORT_SQLITE = """
INSERT OR REPLACE INTO experiments_report (trial_id, step, value)
SELECT t.id, %s, %s FROM experiments_trial t WHERE t.id = %s AND {may_write}
"""


def set_parameters(
    *,
    trial_id: int,
    parameters: Mapping[str, Parameter],
    attempt: int | None = None,
    seen: Texts | None = None,
    waits: bool = True,
) -> Texts:
    """Write parameters beside those that an unfinished trial has, all in one statement.

    `seen` is what the caller's last write returned (empty texts after creation); it saves reading
    the trial, and is harmless when somebody else has written since. `waits`: for the disk; else
    the caller writes again what a crash of the database lost.

    Raises:
        NotFound, TrialFinished, TrialFenced, Conflict: when nothing was written.
    """
    return _set_items(trial_id, _items(parameters), attempt, seen, waits)


def with_parameters(
    texts: Texts, parameters: Mapping[str, Parameter]
) -> dict[str, tuple[str, str]]:
    """By column the text that `texts` holds and the one with these parameters beside it."""
    return _changes(texts, _items(parameters))


def set_parameter(
    *,
    trial_id: int,
    name: str,
    parameter: Parameter,
    attempt: int | None = None,
    seen: Texts | None = None,
) -> Texts:
    """Write one parameter; see `set_parameters`."""
    return set_parameters(
        trial_id=trial_id, parameters={name: parameter}, attempt=attempt, seen=seen
    )


def set_user_attribute(
    *,
    trial_id: int,
    key: str,
    value: Any,
    attempt: int | None = None,
    seen: Texts | None = None,
    waits: bool = True,
) -> Texts:
    """Write one attribute, whatever others write at the same time; see `set_parameters`."""
    item = {key: {"user_attributes": encoding.encode(value)}}
    return _set_items(trial_id, item, attempt, seen, waits)


def set_system_attribute(
    *,
    trial_id: int,
    key: str,
    value: Any,
    attempt: int | None = None,
    seen: Texts | None = None,
    waits: bool = True,
) -> Texts:
    """Write one of Optuna's own attributes; see `set_parameters`."""
    item = {key: {"system_attributes": encoding.encode(value)}}
    return _set_items(trial_id, item, attempt, seen, waits)


def report(*, trial_id: int, step: int, value: float, attempt: int | None = None) -> None:
    """Write an intermediate value; a second one of the same step replaces the first.

    Other processes see it when this returns; the disk has it with the next commit that waits.

    Raises:
        NotFound, TrialFinished, TrialFenced, Conflict: when nothing was written.
    """
    stored = None if value != value else float(value)  # NaN: see `Report`
    if connection.vendor == "postgresql":
        statement, values = _REPORT_POSTGRESQL, [trial_id, step, stored]
    else:
        statement, values = _REPORT_SQLITE, [step, stored, trial_id]
    if not execute_asynchronously(statement.format(may_write=may_write(attempt)), values):
        raise refusal(trial_id, attempt)


def start(*, trial_id: int) -> bool:
    """Claim a waiting trial for a program from outside; one of many callers gets True.

    Raises:
        NotFound: when there is none.
        TrialFinished: when it has finished.
    """
    return _move(trial_id, TrialState.WAITING, TrialState.RUNNING)


def put_back(*, trial_id: int) -> bool:
    """Let a running trial of a program from outside wait again; raises as `start` does."""
    return _move(trial_id, TrialState.RUNNING, TrialState.WAITING)


def record_heartbeat(*, trial_id: int) -> None:
    """Say that a free-standing study's trial is alive; our workers' trials have their own way."""
    execute_asynchronously(
        "UPDATE experiments_trial SET heartbeat_at = %s WHERE id = %s AND state = %s "
        "AND study_id IN (SELECT id FROM experiments_study WHERE kind = 'free')",
        [
            connection.ops.adapt_datetimefield_value(timezone.now()),
            trial_id,
            TrialState.RUNNING.value,
        ],
    )


def _move(trial_id: int, before: TrialState, after: TrialState) -> bool:
    started = ", started_at = %s" if after == TrialState.RUNNING else ""
    now = [connection.ops.adapt_datetimefield_value(timezone.now())] if started else []
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE experiments_trial SET state = {after:d}{started} "
            f"WHERE id = %s AND state = {before:d}",
            [*now, trial_id],
        )
        moved = cursor.rowcount == 1
    if moved:
        return True
    why = refusal(trial_id, None)
    if isinstance(why, NotFound | TrialFinished):
        raise why
    return False


def _set_items(
    trial_id: int,
    items: Mapping[str, Mapping[str, str]],  # column to text, by key
    attempt: int | None,
    seen: Texts | None,
    waits: bool,
) -> Texts:
    """Compare and set until nobody else wrote in between; somebody gets on in every round."""
    texts = seen or read_texts(trial_id, attempt)
    while True:
        changes = _changes(texts, items)
        if _update(trial_id, attempt, changes, waits):
            return replace(texts, **{column: after for column, (_, after) in changes.items()})
        texts = read_texts(trial_id, attempt)


def _items(parameters: Mapping[str, Parameter]) -> dict[str, dict[str, str]]:
    return {
        name: {
            "parameters": encoding.encode(value),
            "distributions": encoding.encode_distribution(distribution),
        }
        for name, (value, distribution) in parameters.items()
    }


def _changes(texts: Texts, items: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, str]]:
    """Before and after of each column."""
    changes: dict[str, tuple[str, str]] = {}
    for key, columns in items.items():
        for column, item in columns.items():
            before, text = changes.get(column, (getattr(texts, column),) * 2)
            changes[column] = before, encoding.with_item(text, key, item)
    return changes


def _update(
    trial_id: int, attempt: int | None, changes: Mapping[str, tuple[str, str]], waits: bool
) -> bool:
    set_to = ", ".join(f"{column} = %s" for column in changes)
    unchanged = "".join(f" AND t.{column} = %s" for column in changes)
    before = [value for value, _ in changes.values()]
    after = [value for _, value in changes.values()]
    text = (
        f"UPDATE experiments_trial AS t SET {set_to} "
        f"WHERE t.id = %s AND {may_write(attempt)}{unchanged}"
    )
    values: list[Any] = [*after, trial_id, *before]
    if not waits:
        return execute_asynchronously(text, values) == 1
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return bool(cursor.rowcount == 1)


def read_texts(trial_id: int, attempt: int | None) -> Texts:
    """Stored texts of an unfinished trial, for compare-and-set.

    Raises:
        NotFound, TrialFinished, TrialFenced, Conflict: when the caller may not write to it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.parameters, t.distributions, t.user_attributes, t.system_attributes "
            f"FROM experiments_trial t WHERE t.id = %s AND {may_write(attempt)}",
            [trial_id],
        )
        found = cursor.fetchone()
    if found is None:
        raise refusal(trial_id, attempt)
    return Texts(*found)
