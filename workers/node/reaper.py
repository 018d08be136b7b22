"""Takes over trials whose worker is gone, unless it was this node that heard nothing."""

from __future__ import annotations

import datetime as dt
import logging
import time

from experiments.trials.lifecycle.services import batch_sizes, dry_runs, queue
from experiments.trials.series.services import series

logger = logging.getLogger(__name__)


def idle_seconds(heartbeat: float, stale_after: float) -> float:
    """Pause between heartbeats of an idle worker: twice the usual, but none that seems dead."""
    return min(2 * heartbeat, stale_after / 2)


class Reaper:
    """One for a worker process, which tells it of every heartbeat.

    While the database was away, or this machine slept, nobody's heartbeat could be seen: then all
    others get as long as usual to be heard again. A worker that has just started waits for
    nothing, as after a power cut nobody else would look.

    Args:
        stale_after: seconds without a heartbeat after which a worker is taken for dead.
    """

    def __init__(self, *, stale_after: float) -> None:
        self._stale_after = stale_after
        self._judges_from = 0.0
        self._heard_at: float | None = None

    def was_deaf(self) -> None:
        """The database could not be asked just now."""
        self._heard_at = time.time()
        self._judges_from = self._heard_at + self._stale_after

    def heard(self) -> None:
        """The database has answered just now."""
        now = time.time()  # the wall clock goes on while a machine sleeps
        if self._heard_at is not None and now - self._heard_at > self._stale_after:
            self.was_deaf()
        self._heard_at = now

    def look(self) -> list[int]:
        """Hand back or fail what has no heartbeat; the ids of those trials."""
        self.heard()
        if time.time() < self._judges_from:
            return []
        silence = dt.timedelta(seconds=self._stale_after)
        batch_sizes.fail_silent(stale_after=silence)
        dry_runs.fail_silent(stale_after=silence)
        taken = queue.reap(stale_after=silence)
        for trial_id in taken:
            logger.warning("trial %s was taken from a worker that is gone", trial_id)
            series.compact(trial_id)
        return taken
