"""The studies' half of Optuna's storage interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy

from experiments.errors import Conflict, NotFound, TrialFenced, TrialFinished
from workers.search import records
from workers.search.bare_django import drop_broken_connection


class FinishedTrialError(UpdateFinishedTrialError, TrialFinished):
    """The trial has its result; it stands."""


class FencedTrialError(UpdateFinishedTrialError, TrialFenced):
    """Another worker has taken the trial over; nothing of ours is written any more."""


@contextmanager
def optuna_errors() -> Iterator[None]:
    """Raise what Optuna's interface promises; after a lost connection the next call gets another.

    Raises:
        KeyError: what is asked for is not there.
        FinishedTrialError, FencedTrialError: the trial takes no more writes of this caller.
    """
    try:
        yield
    except NotFound as error:
        raise KeyError(error.message) from None
    except TrialFenced as error:
        raise FencedTrialError(error.message) from None
    except TrialFinished as error:
        raise FinishedTrialError(error.message) from None
    except Exception as error:
        drop_broken_connection(error)
        raise


class StudyStorage(BaseStorage):
    """Studies of one database; new ones lie in the project of that slug."""

    _project: str
    _database: Callable[[], AbstractContextManager[None]]

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Every call of services: on this storage's database, with Optuna's errors."""
        with self._database(), optuna_errors():
            yield

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        with self._calling():
            try:
                return records.studies.create(
                    name=study_name,
                    directions=[direction.name.lower() for direction in directions],
                    project=self._project,
                )
            except Conflict as error:
                raise DuplicatedStudyError(error.message) from None

    def delete_study(self, study_id: int) -> None:
        """Delete a study with its trials.

        Raises:
            KeyError: when there is no such study.
            StudyCited: when a decision cites its experiment; a RuntimeError.
        """
        with self._calling():
            records.studies.delete(study_id=study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        with self._calling():
            records.studies.set_user_attribute(study_id=study_id, key=key, value=value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        with self._calling():
            records.studies.set_system_attribute(study_id=study_id, key=key, value=value)

    def get_study_id_from_name(self, study_name: str) -> int:
        with self._calling():
            return records.study_queries.by_name(study_name).id

    def get_study_name_from_id(self, study_id: int) -> str:
        with self._calling():
            return records.study_queries.get(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        with self._calling():
            return as_directions(records.study_queries.get(study_id).directions)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        with self._calling():
            return records.study_queries.get(study_id).user_attributes

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        with self._calling():
            return records.study_queries.get(study_id).system_attributes

    def get_all_studies(self) -> list[FrozenStudy]:
        with self._calling():
            return [
                FrozenStudy(
                    study_name=row.name,
                    direction=None,
                    directions=as_directions(row.directions),
                    user_attrs=row.user_attributes,
                    system_attrs=row.system_attributes,
                    study_id=row.id,
                )
                for row in records.study_queries.everything()
            ]


def as_directions(names: Sequence[str]) -> list[StudyDirection]:
    """Optuna's directions of stored ones."""
    return [StudyDirection[name.upper()] for name in names]
