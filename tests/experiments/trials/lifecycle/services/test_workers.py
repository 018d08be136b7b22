from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from experiments.models import Worker
from experiments.trials.lifecycle.services import workers

pytestmark = pytest.mark.django_db


def _register(name: str, host: str, pid: int) -> int:
    return workers.register(
        name=name, host=host, pid=pid, queues=["cpu"], slots=1, devices=["cpu"]
    )


def test_a_worker_that_starts_again_takes_its_record_over() -> None:
    first = _register("node-1", "a", 2**22 + 7)  # beyond the largest process id
    assert _register("node-1", "a", 9) == first


def test_two_workers_of_one_name_are_told_apart_while_the_first_may_live() -> None:
    first = _register("node", "a", 7)
    second = _register("node", "b", 9)
    assert first != second
    assert Worker.objects.get(pk=second).name == "node:9"
    Worker.objects.filter(pk=first).update(heartbeat_at=timezone.now() - dt.timedelta(minutes=2))
    assert _register("node", "c", 3) == first


def test_the_name_of_a_worker_that_left_is_free() -> None:
    first = _register("node", "a", 7)
    workers.leave(worker_id=first)
    assert _register("node", "b", 9) == first


def test_a_worker_without_a_name_is_called_by_host_and_process() -> None:
    assert Worker.objects.get(pk=_register("", "a", 7)).name == "a:7"
