"""Worker processes: here, still here, gone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from django.utils import timezone

from experiments.models import Worker

SILENCE = dt.timedelta(minutes=1)  # of a worker on another host, after which its name is free


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


def heartbeat(*, worker_id: int) -> bool:
    """Say that a worker lives; False when there is no record of it."""
    return bool(Worker.objects.filter(pk=worker_id).update(heartbeat_at=timezone.now()))


def leave(*, worker_id: int) -> None:
    Worker.objects.filter(pk=worker_id).update(stopped_at=timezone.now())


def offer(*, worker_id: int, offers: str) -> None:
    """Announce the training functions that a worker can import, as JSON."""
    Worker.objects.filter(pk=worker_id).update(offers=offers)
