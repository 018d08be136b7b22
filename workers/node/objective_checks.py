"""Objective checks on a worker: which objectives it offers, and whether one can be imported.

Each import runs in its own process with a time limit, outside the slots, so that a fully busy node
answers, too.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections

from experiments.trials.lifecycle.services import objective_checks, workers
from experiments.trials.lifecycle.services.objective_checks import Question
from workers.node.devices import Device, pinned
from workers.node.training_process import describe_exit
from workers.training.parent_death import MARK, kill_marked

logger = logging.getLogger(__name__)

IMPORT_SECONDS = 30.0
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from workers.objectives.inspection import main; main()"
)


class ObjectiveChecker:
    """One thread of a worker process.

    Args:
        devices: the node's GPUs; an objective whose trials ask for some sees as many.
        hidden: environment variables that training functions do not get to see.
    """

    def __init__(
        self,
        *,
        worker_id: int,
        queue_names: Sequence[str],
        devices: Sequence[Device],
        hidden: Sequence[str],
    ) -> None:
        self._worker_id = worker_id
        self._queue_names = tuple(queue_names)
        self._devices = tuple(devices)
        self._hidden = frozenset(hidden)
        self._due = threading.Event()
        self._closing = threading.Event()
        self._offered: str | None = None
        self._thread = threading.Thread(target=self._run, name="objective checks", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Wake the thread. Returns at once."""
        self._due.set()

    def poll(self, *, asked: bool) -> None:
        """Wake the thread when a check is waiting, or no offers have been stored yet."""
        if self._offered is None or (asked and objective_checks.any_waiting(self._queue_names)):
            self.wake()

    def close(self) -> None:
        """End after the current check, or after a second."""
        self._closing.set()
        self._due.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._answer_all()
            except DatabaseError as error:
                logger.warning("objectives are not checked, the database is away: %s", error)
            except Exception:
                logger.exception("checking objectives broke")
            finally:
                connections.close_all()
            self._due.wait()
            self._due.clear()

    def _answer_all(self) -> None:
        close_old_connections()
        self._offer()
        while not self._closing.is_set():
            asked = objective_checks.claim(
                queues=self._queue_names,
                worker_id=self._worker_id,
                most_gpus=len(self._devices),
            )
            if asked is None:
                return
            objective_checks.answer(check_id=asked.id, found=self._inspect(asked))
            self._offer()  # the code has perhaps changed since

    def _inspect(self, asked: Question) -> dict[str, Any]:
        order = {"objective": asked.objective}
        return inspected(order, self._environment(self._devices[: asked.gpus]))

    def _offer(self) -> None:
        found = inspected({}, self._environment(()))
        if "offers" not in found:
            logger.warning(
                "training functions are not listed, earlier offers stay: %s\n%s",
                found["fault"],
                found["log"],
            )
            self._offered = self._offered or ""  # listed again at the next check
            return
        text = json.dumps(found["offers"])
        if text != self._offered:
            workers.offer(worker_id=self._worker_id, offers=text)
            self._offered = text

    def _environment(self, devices: Sequence[Device]) -> dict[str, str]:
        shown = {name: value for name, value in os.environ.items() if name not in self._hidden}
        return {**shown, **pinned(devices)}


def inspected(
    order: Mapping[str, Any], environment: Mapping[str, str], seconds: float = IMPORT_SECONDS
) -> dict[str, Any]:
    """Result of `workers.objectives.inspection` in its own process.

    A timeout or a crash is reported as a fault of the objective's import.
    """
    order = {**order, "allowed": list(settings.OBJECTIVES), "parent": os.getpid()}
    mark = secrets.token_hex(8)
    # Files, not pipes: what an import has started may hold a pipe open.
    with (
        tempfile.TemporaryFile() as asked,
        tempfile.TemporaryFile() as answer,
        tempfile.TemporaryFile() as printed,
    ):
        asked.write(json.dumps(order).encode())
        asked.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=asked,
            stdout=answer,
            stderr=printed,
            env={**environment, MARK: mark},
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
            ended = f"with code {code}" if code >= 0 else describe_exit(code, memory_ran_out=False)
            fault = f"its import ends the process: {ended}"
        except subprocess.TimeoutExpired:
            fault = f"its import takes longer than {seconds:g} s"
        finally:
            process.kill()
            process.wait()
            kill_marked(mark)
        answer.seek(0)
        if written := answer.read():
            found: dict[str, Any] = json.loads(written)
            return found
        printed.seek(max(0, printed.seek(0, os.SEEK_END) - 4096))
        log = printed.read().decode(errors="replace").replace("\0", "")
        return {"fault": fault, "nearest": "", "log": log, "source": None, "seconds": seconds}
