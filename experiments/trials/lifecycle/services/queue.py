"""Lifecycle of a trial between queue and result: begin, heartbeat, hand back, requeue.

A message on the queue names no trial. A worker that takes one claims here, with compare-and-set
and an attempt number; whatever it writes later is fenced by that number.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from experiments import dispatch
from experiments.design import configuration as configurations
from experiments.errors import TrialFenced, TrialFinished
from experiments.models import Environment, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.models.trial_encoding import Parameter
from experiments.trials.lifecycle.services import stop_rules, trials
from experiments.trials.lifecycle.services.attempts import may_write
from experiments.trials.lifecycle.services.claiming import Allocate, Claim, claim, claimable
from experiments.trials.lifecycle.services.statements import (
    Statement,
    execute_asynchronously,
    execute_batch,
)

__all__ = [
    "Allocate",
    "Claim",
    "begin",
    "cancel_reason",
    "claim",
    "claimable",
    "fail_attempt",
    "hand_back",
    "heartbeat",
    "keep_log_tail",
    "reap",
]

_HOLD = """
INSERT INTO experiments_configuration (project_id, digest, document, created_at)
SELECT s.project_id, %s, %s, %s FROM experiments_study s WHERE s.id = %s
ON CONFLICT (project_id, digest) DO NOTHING
"""
_BEGIN = """
UPDATE experiments_trial AS t SET
    configuration_id = COALESCE({held}(
        SELECT c.id FROM experiments_configuration c
        JOIN experiments_study s ON s.project_id = c.project_id
        WHERE s.id = t.study_id AND c.digest = %s
    ), t.configuration_id),
    environment_id = (SELECT n.id FROM experiments_environment n WHERE n.digest = %s){changes}
WHERE t.id = %s AND {may_write}{unchanged}
RETURNING configuration_id, environment_id
"""
_HEARTBEAT = f"""
UPDATE experiments_trial SET heartbeat_at = %s
WHERE id = %s AND attempt = %s AND state = {TrialState.RUNNING:d} RETURNING control
"""
_LOG_TAIL = f"""
UPDATE experiments_trial SET log_tail = %s
WHERE id = %s AND attempt = %s AND state = {TrialState.RUNNING:d}
"""


def begin(
    *,
    claim: Claim,
    parameters: Mapping[str, Any],
    objective: str,
    code: str = "",
    commit: str = "",
    environment: dict[str, Any],
    data: Mapping[str, str] | None = None,
    drawn: Mapping[str, Parameter] | None = None,
    is_replicate: bool = False,
) -> int:
    """Record which configuration runs, and where, before the first step.

    A replicate's configuration was fixed when it was queued and stays; of another trial it is the
    one of its newest attempt, whose code may have changed. `drawn`: those of the
    parameters that the sampler has drawn and that are not stored yet. Does not wait for the
    disk: the result does, and whoever writes it begins again what a crash of the database lost.

    Returns:
        The configuration's id.

    Raises:
        TrialFenced: when another worker has taken the trial over.
    """
    document = configurations.canonical(
        objective=objective, parameters=parameters, code=code, commit=commit, data=data
    )
    where = json.dumps(environment, sort_keys=True)
    digests = [configurations.digest(document), configurations.digest(where)]
    holding: list[Statement] = []
    if claim.configuration_id is None or not is_replicate:
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        holding.append((_HOLD, [digests[0], document, now, claim.study_id]))
    texts = claim.row.texts
    while True:
        columns = trials.with_parameters(texts, drawn or {})
        beginning = _beginning(claim, digests, columns, is_replicate)
        found = execute_batch(*holding, beginning, waits=False)
        if found is not None:
            break
        texts = trials.read_texts(claim.trial_id, claim.attempt)
    configuration_id, environment_id = found
    if environment_id is None:
        environment_row, _ = Environment.objects.get_or_create(
            digest=digests[1], defaults={"document": where}
        )
        Trial.objects.filter(pk=claim.trial_id, attempt=claim.attempt).update(
            environment=environment_row
        )
    return int(configuration_id)


def _beginning(
    claim: Claim,
    digests: Sequence[str],
    columns: Mapping[str, tuple[str, str]],
    is_replicate: bool,
) -> Statement:
    """`columns`: before and after of those that change, compared and set."""
    changes = "".join(f", {name} = %s" for name in columns)
    unchanged = "".join(f" AND t.{name} = %s" for name in columns)
    before = [change[0] for change in columns.values()]
    after = [change[1] for change in columns.values()]
    text = _BEGIN.format(
        held="t.configuration_id, " if is_replicate else "",
        changes=changes,
        may_write=may_write(claim.attempt),
        unchanged=unchanged,
    )
    return text, [*digests, *after, claim.trial_id, *before]


def heartbeat(*, trial_id: int, attempt: int) -> str | None:
    """Record an attempt's heartbeat.

    Returns what is asked of it: "" (go on), "stop", "cancel", "back"; None when it is fenced.
    """
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    found = execute_batch((_HEARTBEAT, [now, trial_id, attempt]), waits=False)
    return None if found is None else str(found[0])


def cancel_reason(trial_id: int) -> str:
    """Name of the person who asked a running trial to end, in words; "" when nobody did."""
    asked = Trial.objects.filter(pk=trial_id, control="cancel")
    return asked.values_list("failure_reason", flat=True).first() or ""


def keep_log_tail(*, trial_id: int, attempt: int, text: str) -> None:
    """Keep the last lines that a running attempt printed."""
    execute_asynchronously(_LOG_TAIL, [text.replace("\x00", "\ufffd"), trial_id, attempt])


def hand_back(*, trial_id: int, attempt: int, reason: str = "", died: bool = False) -> bool:
    """Give an unfinished trial back to the queue: same number, row, parameters and seeds.

    One that a person has asked to end meanwhile ends instead. `died`: its attempt counts against
    the retry budget, as one that a worker gives back of itself does not.

    Returns:
        Whether the attempt still held it.
    """
    with transaction.atomic():
        trial = (
            Trial.objects.select_for_update(of=("self",), no_key=True)
            .select_related("study__experiment")
            .get(pk=trial_id)
        )
        if trial.state != TrialState.RUNNING or trial.attempt != attempt:
            return False
        ends = trial.control in ("cancel", "stop")
        if not ends:
            _put_back(trial, reason, died)
    if ends:
        what = "cancelled" if trial.control == "cancel" else "its experiment was stopped"
        after = f", after {reason}" if reason else ", and its worker ended"
        _fail(trial_id, attempt, FailureKind.CANCELLED, f"{what}{after}")
    return True


def _put_back(trial: Trial, reason: str, died: bool) -> None:
    trial.earlier_gpu_seconds += stop_rules.gpu_seconds_of_attempt(trial)
    trial.losses += died
    trial.state = TrialState.WAITING
    trial.failure_reason = reason
    trial.worker = None
    trial.heartbeat_at = None
    changed = ["state", "failure_reason", "worker", "heartbeat_at", "earlier_gpu_seconds"]
    trial.save(update_fields=[*changed, "losses"])
    trial.open_reports.all().delete()
    experiment = trial.study.experiment
    if experiment is not None:
        dispatch.wake(experiment.queue)


def fail_attempt(*, trial_id: int, attempt: int, reason: str) -> None:
    """Requeue a trial whose attempt died, or fail it when its retry budget is used.

    The last lines that it printed stay with the trial.
    """
    losses = Trial.objects.values_list("losses", flat=True).get(pk=trial_id)
    if losses < settings.TRIAL_RETRIES:
        hand_back(trial_id=trial_id, attempt=attempt, reason=reason, died=True)
        return
    times = "once" if not losses else f"{losses + 1} times"
    _fail(trial_id, attempt, FailureKind.LOST, f"{reason} (its process or worker died {times})")


def _fail(trial_id: int, attempt: int, kind: FailureKind, reason: str) -> None:
    trials.finish(
        trial_id=trial_id,
        state=TrialState.FAILED,
        values=None,
        attempt=attempt,
        failure_kind=kind,
        failure_reason=reason,
    )


def reap(*, stale_after: dt.timedelta) -> list[int]:
    """Requeue or fail trials whose worker has no heartbeat for `stale_after`.

    Only trials of our workers: what a program from outside asked has no heartbeat.
    Returns the trials' ids.
    """
    deadline = timezone.now() - stale_after
    stale = list(
        Trial.objects.filter(
            state=TrialState.RUNNING, heartbeat_at__lt=deadline, attempt__gte=1
        ).values_list("pk", "attempt", "worker__name")
    )
    taken = []
    for trial_id, attempt, name in stale:
        who = f"its worker {name}" if name else "its worker"
        reason = f"{who} sent no heartbeat for {stale_after.total_seconds():.0f} s"
        with suppress(TrialFenced, TrialFinished):  # another worker was quicker
            fail_attempt(trial_id=trial_id, attempt=attempt, reason=reason)
            taken.append(trial_id)
    return taken
