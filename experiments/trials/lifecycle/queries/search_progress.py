"""Progress of a search, in the one query that every finished trial makes."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from experiments.errors import NotFound
from experiments.models.experiment import ExperimentState
from experiments.models.trial import StudyKind, TrialState

_SELECT = f"""
SELECT e.state, e.document, e.complete_count, e.trial_count, e.budget,
    EXISTS (
        SELECT 1 FROM experiments_study s WHERE s.experiment_id = e.id
        AND s.kind = '{StudyKind.SEARCH}' AND s.deleted_at IS NULL AND s.next_row < s.budget
    ),
    EXISTS (
        SELECT 1 FROM experiments_trial t JOIN experiments_study s ON s.id = t.study_id
        WHERE s.experiment_id = e.id AND s.kind = '{StudyKind.SEARCH}'
        AND t.state IN ({TrialState.WAITING:d}, {TrialState.RUNNING:d})
    ),
    (SELECT i.trials FROM experiments_parameterimportance i WHERE i.experiment_id = e.id)
FROM experiments_experiment e WHERE e.id = %s
"""
_ENDED = (ExperimentState.FINISHED, ExperimentState.STOPPED)


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """Progress of a search.

    Attributes:
        document: the experiment's file in canonical JSON.
        complete: complete trials; `done` counts pruned and failed ones, too.
        has_rows: whether the sampler has rows left.
        has_unfinished: whether search trials wait or run.
        read_for_importance: complete trials when it was last computed, None if it never was.
    """

    experiment_id: int
    state: str
    document: str
    complete: int
    done: int
    budget: int
    has_rows: bool
    has_unfinished: bool
    read_for_importance: int | None

    @property
    def is_running(self) -> bool:
        return self.state == ExperimentState.RUNNING

    @property
    def has_ended(self) -> bool:
        """Test whether no further trial of the search will begin."""
        return self.state in _ENDED


def progress_of(experiment_id: int) -> SearchProgress:
    """Read the progress of an experiment's search.

    Raises:
        NotFound: when there is no such experiment.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SELECT, [experiment_id])
        found = cursor.fetchone()
    if found is None:
        raise NotFound(f"There is no experiment with id {experiment_id}.")
    state, document, complete, done, budget, rows, unfinished, read = found
    return SearchProgress(
        experiment_id, state, document, complete, done, budget, bool(rows), bool(unfinished), read
    )
