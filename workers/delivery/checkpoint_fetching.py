"""Checkpoints of another node, fetched from the store before a trial goes on from them."""

from __future__ import annotations

import logging
import threading

from experiments.trials.artifacts import storage
from experiments.trials.artifacts.storage import StorageAway
from workers.training.messages import Job

logger = logging.getLogger(__name__)
TRIES = 5  # of a store that is away
PAUSE_SECONDS = 2.0


def fetch_checkpoints(job: Job, *, give_up: threading.Event) -> None:
    """Bring here what a trial may go on from. A checkpoint that cannot be had is logged; the
    trial then takes an older one, or begins anew.
    """
    for file in job.checkpoints.saved if job.checkpoints is not None else ():
        for left in reversed(range(TRIES)):
            try:
                storage.fetch(file.path, size=file.size, sha256=file.sha256)
            except StorageAway as error:
                if left and not give_up.wait(PAUSE_SECONDS):
                    continue
                logger.warning("checkpoint %s cannot be fetched: %s", file.path, error)
            except OSError as error:
                logger.warning("checkpoint %s cannot be fetched: %s", file.path, error)
            break
