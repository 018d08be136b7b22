"""Reaper of trials whose worker has no heartbeat, unless this node itself was cut off."""

from __future__ import annotations

import datetime as dt
import logging
import time

from experiments.trials.lifecycle.services import batch_sizes, dry_runs, queue
from experiments.trials.series.services import series

logger = logging.getLogger(__name__)


def idle_seconds(heartbeat: float, stale_after: float) -> float:
    """Interval between heartbeats of an idle worker: twice the usual, below the timeout."""
    return min(2 * heartbeat, stale_after / 2)


class Reaper:
    """One for a worker process, which reports each heartbeat's success or failure.

    While the database was away, or this machine slept, no worker's heartbeat could be seen:
    afterwards all get a full timeout again. A worker that has just started does not wait, as
    after a power cut no other would reap.

    Args:
        stale_after: seconds without a heartbeat after which a worker counts as dead.
    """

    def __init__(self, *, stale_after: float) -> None:
        self._stale_after = stale_after
        self._reaps_from = 0.0
        self._answered_at: float | None = None

    def database_failed(self) -> None:
        """A query failed: postpone reaping."""
        self._answered_at = time.time()
        self._reaps_from = self._answered_at + self._stale_after

    def database_answered(self) -> None:
        """A query succeeded; one after a long gap postpones reaping, too."""
        now = time.time()  # the wall clock goes on while a machine sleeps
        if self._answered_at is not None and now - self._answered_at > self._stale_after:
            self.database_failed()
        self._answered_at = now

    def reap(self) -> list[int]:
        """Hand back or fail trials and jobs without a heartbeat; ids of the trials."""
        self.database_answered()
        if time.time() < self._reaps_from:
            return []
        silence = dt.timedelta(seconds=self._stale_after)
        batch_sizes.fail_silent(stale_after=silence)
        dry_runs.fail_silent(stale_after=silence)
        taken = queue.reap(stale_after=silence)
        for trial_id in taken:
            logger.warning("trial %s was taken from a worker that is gone", trial_id)
            series.compact(trial_id)
        return taken
