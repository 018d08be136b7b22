"""One trial's life on a worker: claim, ask, train, record, look, go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from optuna.trial import TrialState

from experiments import code_version
from experiments.errors import TrialFenced, TrialFinished
from experiments.queries import assignments
from experiments.queries.assignments import Assignment
from experiments.services import experiments, queue, series, trials
from workers import environment, findings
from workers.messages import Job, Outcome, Sealed, SeriesFlush
from workers.search.asking import AskedTrial
from workers.search.storage import VerdictStorage
from workers.supervisor import Order, Slot

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

_RETRY_SECONDS = 1.0


def persistently(action: Callable[[], Result], *, give_up: threading.Event) -> Result:
    """Do `action`, again and again while the database is away, until `give_up` is set."""
    while True:
        try:
            return action()
        except (OperationalError, InterfaceError) as error:
            logger.warning("the database is away, trying again: %s", error)
            close_old_connections()
            if give_up.wait(_RETRY_SECONDS):
                raise


class TrialRunner:
    """Runs claimed trials in the slots of one worker process.

    Args:
        storage: shared by all slots of the process, so that finished trials are read once.
        stopping: set when the worker is asked to end; trials are then handed back.
    """

    def __init__(
        self, *, worker_id: int, storage: VerdictStorage, stopping: threading.Event
    ) -> None:
        self.worker_id = worker_id
        self._storage = storage
        self._stopping = stopping
        self._environment = environment.describe(code_version.FOLDER)

    def run_next(self, queue_name: str, slot: Slot) -> bool:
        """Claim and run one trial; False when there was nothing to do."""
        if self._stopping.is_set():
            return False
        claim = queue.claim(queue=queue_name, worker_id=self.worker_id, device="cpu")
        if claim is None:
            return False
        logger.info("trial %s attempt %s claimed", claim.trial_id, claim.attempt)
        try:
            _OneTrial(claim, self._storage, self._stopping, self._environment).run(slot)
        except (TrialFenced, TrialFinished) as error:
            logger.warning("trial %s was taken over: %s", claim.trial_id, error)
        persistently(lambda: experiments.advance(claim.experiment_id), give_up=self._stopping)
        return True


class _OneTrial:
    """What happens between a claim and a result."""

    def __init__(
        self,
        claim: queue.Claim,
        storage: VerdictStorage,
        stopping: threading.Event,
        environment: dict[str, Any],
    ) -> None:
        self._claim = claim
        self._storage = storage
        self._stopping = stopping
        self._environment = environment
        self._heartbeat_at = 0.0
        self._control = ""
        self._fenced = False

    def run(self, slot: Slot) -> None:
        try:
            assignment = assignments.read(self._claim.trial_id)
            asked = AskedTrial(self._storage, assignment)
            job = self._begin(assignment, asked)
        except (TrialFenced, TrialFinished, OperationalError, InterfaceError):
            raise
        except Exception as error:  # a bad space or sampler must not stop the worker
            logger.exception("trial %s could not start", self._claim.trial_id)
            self._finish(
                TrialState.FAIL,
                None,
                failure_kind="exception",
                failure_reason=f"could not start: {error}",
            )
            return
        outcome = slot.run(
            job,
            on_series=self._on_series,
            on_report=asked.should_prune,
            on_sealed=self._on_sealed,
            on_log_tail=self._on_log_tail,
            on_tick=self._on_tick,
        )
        self._conclude(assignment, asked, outcome)

    def _begin(self, assignment: Assignment, asked: AskedTrial) -> Job:
        parameters = dict(asked.parameters())
        queue.begin(
            claim=self._claim,
            parameters=parameters,
            objective=assignment.objective,
            commit=code_version.commit(),
            environment=self._environment,
        )
        return Job(
            label=assignment.label,
            objective=assignment.objective,
            allowed=tuple(settings.OBJECTIVES),
            params=parameters,
            train_seed=assignment.train_seed,
            split_seed=assignment.split_seed,
            search_seed=assignment.search_seed,
            official_metric=assignment.official_metric,
            direction="minimize" if assignment.direction == "minimize" else "maximize",
            splits={name: metric.split for name, metric in assignment.metrics.items()},
            pruning=assignment.pruner != "none",
        )

    def _on_series(self, flush: SeriesFlush) -> None:
        persistently(
            lambda: series.append(
                series.Batch(
                    trial_id=self._claim.trial_id,
                    attempt=self._claim.attempt,
                    batch=flush.batch,
                    payload=flush.payload,
                    points=flush.points,
                    first_step=flush.first_step,
                    last_step=flush.last_step,
                    latest_value=flush.score.last_value,
                    latest_step=flush.score.last_step,
                )
            ),
            give_up=self._stopping,
        )

    def _on_sealed(self, sealed: Sealed) -> None:
        persistently(
            lambda: series.seal(
                trial_id=self._claim.trial_id, name=sealed.name, value=sealed.value
            ),
            give_up=self._stopping,
        )

    def _on_log_tail(self, text: str) -> None:
        persistently(
            lambda: queue.keep_log_tail(
                trial_id=self._claim.trial_id, attempt=self._claim.attempt, text=text
            ),
            give_up=self._stopping,
        )

    def _on_tick(self) -> Order | None:
        """Heartbeat now and then; what a person or the worker's end asks of the child."""
        if self._stopping.is_set():
            return "kill"
        now = time.monotonic()
        if now - self._heartbeat_at >= 1.0:
            self._heartbeat_at = now
            try:
                control = queue.heartbeat(
                    trial_id=self._claim.trial_id, attempt=self._claim.attempt
                )
            except (OperationalError, InterfaceError):
                close_old_connections()
                return None  # training goes on while the database is away
            self._fenced = control is None
            self._control = control or ""
        if self._fenced or self._control == "cancel":
            return "kill"
        return "stop" if self._control == "stop" else None

    def _conclude(self, assignment: Assignment, asked: AskedTrial, outcome: Outcome) -> None:
        if self._fenced:
            return
        if outcome.state == "killed" and self._stopping.is_set():
            queue.hand_back(trial_id=self._claim.trial_id, attempt=self._claim.attempt)
            return
        if outcome.state == "lost":
            persistently(
                lambda: queue.lose(
                    trial_id=self._claim.trial_id,
                    attempt=self._claim.attempt,
                    reason=outcome.reason,
                ),
                give_up=self._stopping,
            )
            return
        if outcome.log_tail:
            self._on_log_tail(outcome.log_tail)
        state, values = _result(outcome)
        asked.after(state, values)
        self._finish(state, values, **_facts(outcome))
        findings.look(assignment)

    def _finish(self, state: TrialState, values: list[float] | None, **facts: Any) -> None:
        persistently(
            lambda: trials.finish(
                trial_id=self._claim.trial_id,
                state=int(state),
                values=values,
                attempt=self._claim.attempt,
                **facts,
            ),
            give_up=self._stopping,
        )


def _result(outcome: Outcome) -> tuple[TrialState, list[float] | None]:
    """Optuna's state and values. A stopped run counts with what it reached."""
    value = outcome.score.value
    if outcome.state == "pruned":
        return TrialState.PRUNED, None if value is None else [value]
    if outcome.state in ("complete", "stopped") and value is not None:
        return TrialState.COMPLETE, [value]
    return TrialState.FAIL, None


def _facts(outcome: Outcome) -> dict[str, Any]:
    kinds = {
        "failed": "exception",
        "infeasible": "infeasible",
        "killed": "cancelled",
    }
    kind = kinds.get(outcome.state, "")
    if outcome.state == "stopped" and outcome.score.value is None:
        kind = "cancelled"
    return {
        "failure_kind": kind,
        "failure_reason": outcome.reason,
        "traceback": outcome.traceback,
        "best_step": outcome.score.best_step,
        "evaluations": outcome.score.evaluations,
        "seconds": outcome.seconds,
        "peak_memory_mb": outcome.peak_memory_mb,
        "read_split_seed": outcome.read_split_seed,
        "stopped_early": outcome.state == "stopped",
    }
