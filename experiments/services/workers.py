"""Worker processes: here, still here, gone."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from experiments.models import Worker


def register(
    *, name: str, host: str, pid: int, queues: Sequence[str], slots: int, devices: Sequence[str]
) -> int:
    """A worker has started; returns its id."""
    now = timezone.now()
    worker, _ = Worker.objects.update_or_create(
        name=name[:200],
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


def heartbeat(*, worker_id: int) -> None:
    Worker.objects.filter(pk=worker_id).update(heartbeat_at=timezone.now())


def leave(*, worker_id: int) -> None:
    Worker.objects.filter(pk=worker_id).update(stopped_at=timezone.now())
