"""Worker processes: here, still here, gone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db import connection
from django.utils import timezone

from experiments.models import Worker
from experiments.models.worker import ProbeState
from experiments.trials.lifecycle.services import scheduling
from experiments.trials.lifecycle.services.statements import execute_batch

SILENCE = dt.timedelta(minutes=1)  # of a worker on another host, after which its name is free

_HEARTBEAT = f"""
UPDATE experiments_worker SET heartbeat_at = %s, turn_at = CASE WHEN EXISTS (
    SELECT 1 FROM experiments_worker o WHERE o.turn_at > %s AND o.turn_at < %s
) THEN turn_at ELSE %s END
WHERE id = %s
RETURNING turn_at IS NOT NULL AND turn_at = %s, {{work}} OR EXISTS (
    SELECT 1 FROM experiments_objectivecheck q
    WHERE q.state = '{ProbeState.WAITING}' AND q.queue IN ({{queues}})
) OR EXISTS (
    SELECT 1 FROM experiments_batchsizeprobe p
    WHERE p.state = '{ProbeState.WAITING}' AND p.queue IN ({{queues}})
)
"""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Answer to a worker that has said that it lives.

    Attributes:
        has_turn: it is to do now what one worker does for all, such as taking over trials.
        has_work: something may wait in its queues.
    """

    has_turn: bool
    has_work: bool


def register(
    *, name: str, host: str, pid: int, queues: Sequence[str], slots: int, devices: Sequence[str]
) -> int:
    """A worker has started; returns its id.

    Without a name it is called host:pid. One that starts again under its name takes its record
    over; while another process that may still live has the name, the process id is added.
    """
    now = timezone.now()
    wanted = name[:180] or f"{host[:180]}:{pid}"
    holder = Worker.objects.filter(name=wanted, stopped_at__isnull=True).first()
    if holder is not None and _may_live(holder, host[:200], pid):
        wanted = f"{wanted}:{pid}"
    worker, _ = Worker.objects.update_or_create(
        name=wanted,
        defaults={
            "host": host[:200],
            "pid": pid,
            "queues": " ".join(queues)[:200],
            "slots": slots,
            "devices": " ".join(devices)[:400],
            "started_at": now,
            "heartbeat_at": now,
            "stopped_at": None,
        },
    )
    return worker.pk


def _may_live(holder: Worker, host: str, pid: int) -> bool:
    if holder.host == host:
        return holder.pid != pid and Path(f"/proc/{holder.pid}").exists()
    return holder.heartbeat_at > timezone.now() - SILENCE


def heartbeat(*, worker_id: int, queues: Sequence[str], turn_seconds: float) -> Heartbeat | None:
    """Say that a worker lives, in one statement; None when there is no record of it.

    A turn goes to whoever is heard first once `turn_seconds` have passed since the last one. A
    turn that lies further ahead is of a clock that runs fast, and counts for nothing.
    """
    now = timezone.now()
    turn = dt.timedelta(seconds=turn_seconds)
    stamp, last, ahead = map(
        connection.ops.adapt_datetimefield_value, (now, now - turn, now + turn)
    )
    work, its_queues = scheduling.any_candidate(queues)
    names = ", ".join(["%s"] * len(queues))
    found = execute_batch(
        (
            _HEARTBEAT.format(work=work, queues=names),
            [stamp, last, ahead, stamp, worker_id, stamp, *its_queues, *queues, *queues],
        ),
        waits=False,
    )
    return Heartbeat(has_turn=bool(found[0]), has_work=bool(found[1])) if found else None


def deregister(*, worker_id: int) -> None:
    Worker.objects.filter(pk=worker_id).update(stopped_at=timezone.now())


def offer(*, worker_id: int, offers: str) -> None:
    """Announce the training functions that a worker can import, as JSON."""
    Worker.objects.filter(pk=worker_id).update(offers=offers)
