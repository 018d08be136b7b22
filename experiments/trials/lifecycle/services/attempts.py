"""Write access to a trial: for an attempt while it holds it, for a program from outside until it
has finished.
"""

from __future__ import annotations

from django.db import connection

from experiments.errors import Conflict, NotFound, TrialFenced, TrialFinished, VerdictError
from experiments.models.trial import FINISHED, TrialState

_UNFINISHED = f"{TrialState.RUNNING:d}, {TrialState.WAITING:d}"


def may_write(attempt: int | None) -> str:
    """The SQL condition on a trial `t` under which a write goes through."""
    if attempt is None:
        return f"t.state IN ({_UNFINISHED})"
    return f"t.state = {TrialState.RUNNING:d} AND t.attempt = {int(attempt)}"


def refusal(
    trial_id: int, attempt: int | None, otherwise: VerdictError | None = None
) -> VerdictError:
    """Reason that a write did not go through; `otherwise` where the trial did not refuse it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, attempt FROM experiments_trial WHERE id = %s", [trial_id])
        found = cursor.fetchone()
    if found is None:
        return NotFound(f"There is no trial with id {trial_id}.")
    state, current = found
    if attempt is not None and current != attempt:
        return TrialFenced(f"Attempt {current} has taken trial {trial_id} over from {attempt}.")
    if state in FINISHED:
        return TrialFinished(f"Trial {trial_id} has finished and can not be updated.")
    if otherwise is not None and (attempt is None or state == TrialState.RUNNING):
        return otherwise
    return Conflict(f"Trial {trial_id} is not running.")


def require_attempt(*, trial_id: int, attempt: int) -> None:
    """Lock a trial for the rest of the transaction and make sure that the attempt holds it.

    Raises:
        NotFound, TrialFenced, TrialFinished, Conflict: when it does not.
    """
    lock = " FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM experiments_trial t WHERE t.id = %s AND {may_write(attempt)}{lock}",
            [trial_id],
        )
        if cursor.fetchone() is None:
            raise refusal(trial_id, attempt)
