"""Read trials for Optuna's storage and for workers: what changed, not everything again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from django.db import connection
from django.utils import timezone

from experiments.errors import NotFound
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_rows import COLUMNS_OF_T, NAMES, TrialRow, from_columns

_RUNNING, _WAITING = int(TrialState.RUNNING), int(TrialState.WAITING)
_HAS_REPORTS = "EXISTS (SELECT 1 FROM experiments_report r WHERE r.trial_id = t.id)"
_SELECT = f"SELECT {COLUMNS_OF_T}, {_HAS_REPORTS} FROM experiments_trial t"
# Its one row says that the study is there, also when nothing has changed.
_EXISTS = (
    f"SELECT {', '.join(['NULL'] * (len(NAMES) + 1))} FROM experiments_study s "
    "WHERE s.id = %s AND s.deleted_at IS NULL"
)


class FoundTrial(NamedTuple):
    """A trial and whether it has reports that lie outside its row, as unfinished ones' do."""

    row: TrialRow
    has_reports: bool


class NewReport(NamedTuple):
    """One intermediate value; within a trial, ids grow in the order of writing."""

    trial_id: int
    id: int
    step: int
    value: float


def get(trial_id: int) -> FoundTrial:
    """One trial.

    Raises:
        NotFound: when there is none, or its study was deleted.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_SELECT} JOIN experiments_study s ON s.id = t.study_id "
            "WHERE t.id = %s AND s.deleted_at IS NULL",
            [trial_id],
        )
        found = cursor.fetchone()
    if found is None:
        raise NotFound(f"There is no trial with id {trial_id}.")
    return FoundTrial(from_columns(found[:-1]), bool(found[-1]))


def changes(
    study_id: int,
    *,
    known: int,
    running: Collection[int] = (),
    waiting: Collection[int] = (),
    finished_only: bool = False,
) -> list[FoundTrial]:
    """Trials that a reader who knows a study's first `known` ones has to read again, by number.

    Trials above the known ones; of the known ones with the ids in `running` all, and of those in
    `waiting` the ones that wait no longer. With `finished_only` both alike: those that have
    finished. Always one query.

    Raises:
        NotFound: when there is no such study, or it was deleted.
    """
    parts = [_EXISTS, f"{_SELECT} WHERE t.study_id = %s AND t.number >= %s"]
    unfinished = f"t.state IN ({_RUNNING}, {_WAITING})"
    if running:
        but = f" AND NOT {unfinished}" if finished_only else ""
        parts.append(f"{_SELECT} WHERE t.id IN ({_listed(running)}){but}")
    if waiting:
        but = f" AND NOT {unfinished}" if finished_only else f" AND t.state <> {_WAITING}"
        parts.append(f"{_SELECT} WHERE t.id IN ({_listed(waiting)}){but}")
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), [study_id, study_id, known])
        found = cursor.fetchall()
    if not any(columns[0] is None for columns in found):
        raise NotFound(f"There is no study with id {study_id}.")
    trials = [
        FoundTrial(from_columns(columns[:-1]), bool(columns[-1]))
        for columns in found
        if columns[0]
    ]
    trials.sort(key=_number)
    return trials


def reports(newest: Mapping[int, int]) -> list[NewReport]:
    """Reports of unfinished trials written after those that the reader knows.

    Args:
        newest: id of the newest report known by id of its trial, 0 for none.
    """
    if not newest:
        return []
    wanted = " OR ".join(
        f"(trial_id = {int(trial_id)} AND id > {int(last)})" for trial_id, last in newest.items()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT trial_id, id, step, value FROM experiments_report WHERE {wanted} ORDER BY id"
        )
        found: Sequence[tuple[int, int, int, float | None]] = cursor.fetchall()
    return [
        NewReport(trial_id, key, step, float("nan") if value is None else value)
        for trial_id, key, step, value in found
    ]


def id_of_number(study_id: int, number: int) -> int:
    """The id of a study's trial.

    Raises:
        NotFound: when the study has no such number, or is not there.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.id FROM experiments_trial t JOIN experiments_study s ON s.id = t.study_id "
            "WHERE t.study_id = %s AND t.number = %s AND s.deleted_at IS NULL",
            [study_id, number],
        )
        found = cursor.fetchone()
    if found is None:
        raise NotFound(f"Study {study_id} has no trial {number}.")
    trial_id: int = found[0]
    return trial_id


def silent(study_id: int, *, longer_than: dt.timedelta) -> list[int]:
    """Running trials of a free-standing study whose last heartbeat is too long ago.

    Trials of an experiment belong to our workers and their reaper: never among them.
    """
    deadline = connection.ops.adapt_datetimefield_value(timezone.now() - longer_than)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.id FROM experiments_trial t JOIN experiments_study s ON s.id = t.study_id "
            "WHERE t.study_id = %s AND s.kind = %s AND t.state = %s AND t.heartbeat_at < %s",
            [study_id, StudyKind.FREE.value, _RUNNING, deadline],
        )
        return [trial_id for (trial_id,) in cursor.fetchall()]


def _listed(ids: Collection[int]) -> str:
    return ", ".join(str(int(trial_id)) for trial_id in ids)


def _number(found: FoundTrial) -> int:
    return found.row.number
