"""Reads the curves of runs that programs outside logged and ended, as it is done for trials.

Rules across trials need a search space, which such experiments do not have.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError

from experiments.trials.findings.services import findings
from experiments.trials.lifecycle.queries import runs
from experiments.trials.lifecycle.queries.runs import UnreadRun
from workers.node.findings import Account, look_at_trial

logger = logging.getLogger(__name__)

AT_ONCE = 5  # at one heartbeat, which they must not hold up


def look(most: int = AT_ONCE) -> int:
    """Record what the rules see in runs that nobody has read yet; returns how many were read.

    A rule that breaks is logged and costs its findings: the run is not read again.

    Raises:
        DatabaseError: while the database is away; the runs wait.
    """
    waiting = runs.unread(most)
    for run in waiting:
        try:
            look_at_trial(run, run.parameters, run.pruned, Account())
        except DatabaseError:
            raise
        except Exception:
            logger.exception("the findings of run %s could not be made", run.trial_id)
            _mark(run)
    return len(waiting)


def _mark(run: UnreadRun) -> None:
    findings.record_trial(
        experiment_id=run.experiment_id, trial_id=run.trial_id, diagnoses=(), reading="{}"
    )
