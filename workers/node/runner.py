"""Trial runner: claims a trial, samples its parameters, trains, records result and findings."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from functools import partial
from typing import Any

from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    close_old_connections,
    connections,
)
from optuna.trial import TrialState

from experiments.design.objective_code import ObjectiveCode
from experiments.errors import NotFound, TrialFenced, TrialFinished
from experiments.trials.artifacts.services import artifacts
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.queries.search_progress import SearchProgress
from experiments.trials.lifecycle.queries.trial_spec import TrialSpec
from experiments.trials.lifecycle.services import (
    edge_probes,
    experiments,
    queue,
    stop_rules,
    trials,
)
from experiments.trials.series.services import series
from experiments.web.log_context import about
from workers.delivery.attempt_series import AttemptSeries
from workers.delivery.checkpoint_fetching import fetch_checkpoints
from workers.delivery.checkpoint_recorder import CheckpointRecorder
from workers.delivery.database_away import is_away, persistently
from workers.delivery.series_uploader import SeriesUploader, Undelivered
from workers.node import environment, importance, owed_findings
from workers.node.findings import FindingsRecorder
from workers.node.heartbeats import Heartbeats, RunningAttempt
from workers.node.job_spec import checkpoints_of, job_of
from workers.node.live_findings import LiveFindings
from workers.node.results import facts, state_and_values
from workers.node.slots import Reservation
from workers.node.supervisor import Order, Slot
from workers.node.trial_code import TrialCode, keep_diff
from workers.search.asking import AskedTrial
from workers.search.storage import VerdictStorage
from workers.search.terminator import outlook
from workers.training.messages import Job, Outcome, Resumed, Sealed, SeriesFlush, StoredMessage

logger = logging.getLogger(__name__)

_HAND_BACK_SECONDS = 3.0  # for the last flushes of a worker that is asked to end
UNANSWERED = "verdict:reports_without_answer"  # how often no pruner answered in time


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
        self._environment = environment.describe()
        self._code = TrialCode(worker_id)
        self._uploader = SeriesUploader(settings.DATA_DIR / "spool")
        self._checkpoint_recorder = CheckpointRecorder(self._uploader)
        self._heartbeats = Heartbeats()
        self.findings_recorder = FindingsRecorder()
        self._live = LiveFindings()
        self._importance = importance.ImportanceRecorder()

    def close(self) -> None:
        """End its threads; flushes that the database did not take stay on disk."""
        self._heartbeats.close()
        self._live.close()
        self._checkpoint_recorder.close()
        self._uploader.close()

    def run_next(self, queue_name: str, reservation: Reservation) -> bool:
        """Claim and run one trial; False when none is due or no device is free."""
        if self._stopping.is_set():
            return False
        claim = queue.claim(
            queue=queue_name, worker_id=self.worker_id, allocate=reservation.allocate
        )
        if claim is None:
            return False
        with about(trial=claim.trial_id, attempt=claim.attempt):
            return self._run(claim, reservation.slot)

    def _run(self, claim: queue.Claim, slot: Slot) -> bool:
        logger.info("trial %s attempt %s claimed", claim.trial_id, claim.attempt)
        try:
            environment = {**self._environment, "device": slot.device}
            _OneTrial(claim, self._storage, self._stopping, environment, self._code).run(
                slot,
                self._uploader,
                self._checkpoint_recorder,
                self._heartbeats,
                self.findings_recorder,
                self._live,
            )
        except (TrialFenced, TrialFinished) as error:
            logger.warning("trial %s was taken over: %s", claim.trial_id, error)
        except Undelivered as error:
            logger.warning("trial %s is left to another worker: %s", claim.trial_id, error)
            return True
        except NotFound:
            logger.warning("trial %s was deleted", claim.trial_id)
            return True
        if persistently(lambda: edge_probes.advance_after(claim.row), give_up=self._stopping):
            owed_findings.derive_all([claim.experiment_id], self.findings_recorder)
        self._advance(claim.experiment_id)
        return True

    def _advance(self, experiment_id: int) -> None:
        try:
            progress = persistently(
                lambda: experiments.advance(experiment_id), give_up=self._stopping
            )
        except NotFound:
            logger.warning("experiment %s was deleted", experiment_id)
            return
        self._derive(progress)

    def _derive(self, progress: SearchProgress) -> None:
        """Derive importance and findings of the search; they stay owed when that fails."""
        made = self._importance.record_if_due(progress)
        ended = progress.has_ended
        if ended and self.findings_recorder.after_search(progress.experiment_id) and made:
            owed_findings.finish_search(progress)


class _OneTrial:
    """One trial from claim to result."""

    def __init__(
        self,
        claim: queue.Claim,
        storage: VerdictStorage,
        stopping: threading.Event,
        environment: dict[str, Any],
        code: TrialCode,
    ) -> None:
        self._code = code
        self._claim = claim
        self._storage = storage
        self._stopping = stopping
        self._environment = environment
        self._sealed: list[Sealed] = []
        self._unreported: list[tuple[float, float]] = []
        self._series = AttemptSeries(claim.trial_id, claim.attempt)
        self._hands_back = False

    def run(
        self,
        slot: Slot,
        uploader: SeriesUploader,
        checkpoint_recorder: CheckpointRecorder,
        heartbeats: Heartbeats,
        findings_recorder: FindingsRecorder,
        live: LiveFindings,
    ) -> None:
        try:
            spec = trial_spec.read(self._claim.trial_id)
            asked = AskedTrial(self._storage, spec, self._claim.row)
            code, diff = self._code.check(spec)
            job = self._begin(spec, asked, code)
        except (TrialFenced, TrialFinished):
            raise
        except Exception as error:  # a bad space or sampler must not stop the worker
            if is_away(error):
                raise
            logger.exception("trial %s could not start", self._claim.trial_id)
            self._finish(
                TrialState.FAIL,
                None,
                failure_kind="exception",
                failure_reason=f"could not start: {error}",
            )
            return
        if file := keep_diff(self._claim.trial_id, self._claim.attempt, diff):
            checkpoint_recorder.put(self._claim.trial_id, self._claim.attempt, file)
        watched = heartbeats.watch(self._claim.trial_id, self._claim.attempt)
        curves = live.watch(spec, job.params)

        def on_series(flush: SeriesFlush) -> None:
            uploader.put(self._series.batch(flush))
            live.put(curves, flush)

        try:
            fetch_checkpoints(job, give_up=self._stopping)
            outcome = slot.run(
                job,
                on_series=on_series,
                on_report=lambda step, value: self._report(asked, step, value),
                on_sealed=self._sealed.append,
                on_log_tail=lambda text: setattr(watched, "log_tail", text),
                on_tick=lambda: self._on_tick(watched),
                on_reports_end=connections.close_all,
                on_checkpoint=lambda message: self._on_checkpoint(checkpoint_recorder, message),
            )
        finally:
            heartbeats.forget(watched)
            live.forget(curves)
        if not watched.fenced:
            outcome = self._await_delivery(uploader, checkpoint_recorder, outcome)
            artifacts.remove_working_copies(self._claim.trial_id)
            if self._conclude(spec, asked, outcome):
                findings_recorder.after_trial(
                    spec,
                    job.params,
                    seconds=outcome.seconds,
                    pruned=outcome.state not in ("complete", "infeasible"),
                    logged=self._series.columns(spec.metrics),
                )
        self._series.compact()

    def _begin(self, spec: TrialSpec, asked: AskedTrial, code: ObjectiveCode) -> Job:
        parameters = dict(asked.parameters())
        begin = partial(
            queue.begin,
            claim=self._claim,
            parameters=parameters,
            objective=spec.objective,
            code=code.digest,
            commit="" if code.digest else spec.runs.commit,
            environment={**self._environment, "code": code.record()},
            data=spec.runs.data,
            drawn=asked.drawn,
            is_replicate=spec.kind == "replication",
        )
        begin()
        asked.begun(begin)
        job = job_of(spec, parameters, asked.rungs(), checkpoints_of(spec))
        packages = tuple(package.name for package in code.packages)
        return replace(job, packages=packages, code=code.digest) if code.digest else job

    def _report(self, asked: AskedTrial, step: float, value: float) -> bool | None:
        """Store a report and ask the pruner; None while the database is away."""
        self._unreported.append((step, value))
        try:
            return self._report_all(asked)
        except (DatabaseError, InterfaceError) as error:
            if not is_away(error):
                raise
            close_old_connections()
            return None

    def _report_all(self, asked: AskedTrial) -> bool:
        prune = False
        while self._unreported:
            prune = asked.should_prune(*self._unreported[0])
            self._unreported.pop(0)
        return prune

    def _on_checkpoint(
        self, checkpoint_recorder: CheckpointRecorder, message: StoredMessage
    ) -> None:
        if isinstance(message, Resumed):  # the pruner knows nothing of earlier attempts
            self._unreported[:0] = message.reports
        checkpoint_recorder.put(self._claim.trial_id, self._claim.attempt, message)

    def _seal(self) -> None:
        for sealed in self._sealed:
            series.seal(trial_id=self._claim.trial_id, name=sealed.name, value=sealed.value)

    def _on_log_tail(self, text: str) -> None:
        persistently(
            lambda: queue.keep_log_tail(
                trial_id=self._claim.trial_id, attempt=self._claim.attempt, text=text
            ),
            give_up=self._stopping,
        )

    def _on_tick(self, watched: RunningAttempt) -> Order | None:
        connections.close_all()  # none is needed between ticks
        return self._order(watched)

    def _order(self, watched: RunningAttempt) -> Order | None:
        """Order to the training process: a person's, or due to the worker's shutdown."""
        if watched.fenced or watched.control == "cancel":
            return "kill"
        if watched.control == "stop":  # what it has reached counts
            return "leave" if self._stopping.is_set() else "stop"
        if self._stopping.is_set() or watched.control == "back":
            self._hands_back = True
            return "leave"
        return None

    def _await_delivery(
        self, uploader: SeriesUploader, checkpoint_recorder: CheckpointRecorder, outcome: Outcome
    ) -> Outcome:
        """Wait until the database has all checkpoints and series, before the result is written."""
        ending = self._is_handed_back(outcome) and self._stopping.is_set()
        give_up = threading.Event() if ending else self._stopping
        if ending:
            threading.Timer(_HAND_BACK_SECONDS, give_up.set).start()
        checkpoint_recorder.wait(self._claim.trial_id, self._claim.attempt, give_up=give_up)
        try:
            uploader.wait(self._claim.trial_id, self._claim.attempt, give_up=give_up)
        except Undelivered:
            if not ending:
                raise
        except Exception as error:
            return replace(outcome, state="failed", reason=f"series cannot be stored: {error}")
        return outcome

    def _is_handed_back(self, outcome: Outcome) -> bool:
        """Test whether the worker's shutdown ended it: another worker resumes the trial."""
        return self._hands_back and outcome.state in ("killed", "stopped")

    def _conclude(self, spec: TrialSpec, asked: AskedTrial, outcome: Outcome) -> bool:
        """Record the result; False when the trial was handed back without one."""
        trial_id = self._claim.trial_id
        if self._is_handed_back(outcome):
            queue.hand_back(trial_id=self._claim.trial_id, attempt=self._claim.attempt)
            return False
        if outcome.state == "lost":
            self._on_log_tail(outcome.log_tail)  # what it printed last may tell why
            persistently(
                lambda: queue.fail_attempt(
                    trial_id=self._claim.trial_id,
                    attempt=self._claim.attempt,
                    reason=outcome.reason,
                ),
                give_up=self._stopping,
            )
            return False
        if outcome.log_tail:
            self._on_log_tail(outcome.log_tail)
        if outcome.state == "killed":
            by = persistently(lambda: queue.cancel_reason(trial_id), give_up=self._stopping)
            outcome = replace(outcome, reason=by or outcome.reason)
        persistently(lambda: self._report_all(asked), give_up=self._stopping)
        persistently(self._seal, give_up=self._stopping)
        if outcome.unanswered:
            persistently(
                lambda: trials.set_system_attribute(
                    trial_id=self._claim.trial_id,
                    key=UNANSWERED,
                    value=outcome.unanswered,
                    attempt=self._claim.attempt,
                ),
                give_up=self._stopping,
            )
        state, values = state_and_values(outcome, has_fidelity=spec.file.fidelity is not None)
        if outcome.folds:
            asked.keep_folds(outcome.folds)
        asked.after(state, values)
        self._finish(state, values, **facts(outcome))
        self._end_arm(spec)
        return True

    def _end_arm(self, spec: TrialSpec) -> None:
        """End an arm with little left to gain; else record why it continues."""
        if spec.kind != "search" or spec.file.terminator is None:
            return
        seen = outlook(
            self._storage,
            spec.study_name,
            spec.file.terminator,
            seed=spec.search_seed,
        )
        write = stop_rules.end_arm if seen.ends else stop_rules.record_outlook
        persistently(
            lambda: write(study_id=self._claim.study_id, why=seen.why),
            give_up=self._stopping,
        )

    def _finish(self, state: TrialState, values: list[float] | None, **facts: Any) -> None:
        persistently(
            lambda: self._storage.finish(
                self._claim.trial_id, state, values, self._claim.attempt, **facts
            ),
            give_up=self._stopping,
        )
