"""Read studies for Optuna's storage and for workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from experiments.errors import NotFound
from experiments.models import trial_encoding as encoding

_SELECT = (
    "SELECT id, name, kind, directions, user_attributes, system_attributes, experiment_id "
    "FROM experiments_study WHERE deleted_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study that was not deleted."""

    id: int
    name: str
    kind: str  # of `StudyKind`
    directions: tuple[str, ...]  # "minimize" or "maximize", one for each objective
    user_attributes_text: str
    system_attributes_text: str
    experiment_id: int | None

    @property
    def user_attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = encoding.decode(self.user_attributes_text)
        return found

    @property
    def system_attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = encoding.decode(self.system_attributes_text)
        return found


def get(study_id: int) -> StudyRow:
    """One study.

    Raises:
        NotFound: when there is none, or it was deleted.
    """
    found = _rows(f"{_SELECT} AND id = %s", [study_id])
    if not found:
        raise NotFound(f"There is no study with id {study_id}.")
    return found[0]


def by_name(name: str) -> StudyRow:
    """The study of that name.

    Raises:
        NotFound: when there is none, or it was deleted.
    """
    found = _rows(f"{_SELECT} AND name = %s", [name])
    if not found:
        raise NotFound(f"There is no study named {name}.")
    return found[0]


def everything() -> list[StudyRow]:
    """All studies of all projects, by id."""
    return _rows(f"{_SELECT} ORDER BY id", [])


def _rows(query: str, parameters: Sequence[Any]) -> list[StudyRow]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [
            StudyRow(key, name, kind, tuple(directions.split()), *rest)
            for key, name, kind, directions, *rest in cursor.fetchall()
        ]
