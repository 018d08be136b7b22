from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.models import Experiment, Worker
from experiments.trials.lifecycle.services import workers
from tests import cast

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
    workers.deregister(worker_id=first)
    assert _register("node", "b", 9) == first


def test_a_worker_without_a_name_is_called_by_host_and_process() -> None:
    assert Worker.objects.get(pk=_register("", "a", 7)).name == "a:7"


def _beat(worker: int, *queues: str) -> workers.Heartbeat:
    found = workers.heartbeat(worker_id=worker, queues=queues or ("cpu",), turn_seconds=2.5)
    assert found is not None
    return found


def test_a_worker_without_a_record_learns_it_from_its_heartbeat() -> None:
    assert workers.heartbeat(worker_id=9, queues=["cpu"], turn_seconds=2.5) is None


def test_one_worker_at_a_time_looks_after_all_and_another_when_it_is_silent() -> None:
    first, second = _register("one", "a", 7), _register("two", "b", 7)
    assert [_beat(worker).has_turn for worker in (first, second, first)] == [True, False, False]
    Worker.objects.filter(pk=first).update(turn_at=timezone.now() - dt.timedelta(seconds=3))
    assert _beat(second).has_turn and not _beat(first).has_turn


def test_a_turn_that_lies_ahead_is_of_a_clock_that_runs_fast() -> None:
    first, second = _register("one", "a", 7), _register("two", "b", 7)
    Worker.objects.filter(pk=first).update(turn_at=timezone.now() + dt.timedelta(hours=1))
    assert _beat(second).has_turn


def test_a_heartbeat_tells_of_work_in_the_queues_of_its_worker() -> None:
    worker = _register("one", "a", 7)
    assert not _beat(worker).has_work
    cast.project()
    experiment = cast.running_search(done=1)
    Experiment.objects.update(parallel=9)
    assert _beat(worker, "gpu", experiment.queue).has_work
    assert not _beat(worker, "gpu").has_work


def test_a_heartbeat_is_one_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    worker = _register("one", "a", 7)
    with django_assert_num_queries(1):
        _beat(worker)
