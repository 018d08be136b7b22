from __future__ import annotations

import datetime as dt
import socket

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from experiments.models import Worker
from experiments.trials.lifecycle.services import workers

pytestmark = pytest.mark.django_db


def register(host: str) -> int:
    return workers.register(name=host, host=host, pid=1, queues=["cpu"], slots=1, devices=["cpu"])


def test_a_container_with_a_living_worker_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    register(socket.gethostname())
    call_command("node_health")
    assert "is alive" in capsys.readouterr().out


def test_workers_of_other_hosts_do_not_count() -> None:
    register("elsewhere")
    with pytest.raises(CommandError, match="no worker of"):
        call_command("node_health")


def test_a_worker_without_heartbeat_is_unhealthy() -> None:
    long_ago = timezone.now() - dt.timedelta(minutes=5)
    Worker.objects.filter(pk=register(socket.gethostname())).update(heartbeat_at=long_ago)
    with pytest.raises(CommandError):
        call_command("node_health")
