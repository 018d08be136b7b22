from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from experiments.models import Experiment, Worker
from experiments.trials.lifecycle.queries.waiting import why_waiting
from experiments.trials.lifecycle.services import workers
from tests import cast

pytestmark = pytest.mark.django_db


def _search(queue: str = "cpu", gpus: int = 0) -> Experiment:
    cast.project()
    experiment = cast.search("queued", trials_per_arm=3)
    Experiment.objects.filter(pk=experiment.pk).update(queue=queue, gpus=gpus)
    return Experiment.objects.get()


def _worker(name: str, queues: list[str], devices: list[str]) -> int:
    return workers.register(name=name, host=name, pid=7, queues=queues, slots=2, devices=devices)


def test_without_a_worker_the_queue_is_named() -> None:
    search = _search()
    said = "Waits for a worker that listens to the queue cpu; none does"
    assert why_waiting(search, 0) == said
    _worker("a", ["gpu"], ["cuda:0"])
    assert why_waiting(search, 0) == said
    _worker("b", ["cpu", "gpu"], ["cpu"])
    assert why_waiting(search, 0) == ""


def test_who_asks_for_gpus_waits_for_a_node_with_as_many() -> None:
    search = _search("gpu", 2)
    assert "a worker with 2 GPUs that listens to the queue gpu" in why_waiting(search, 0)
    _worker("a", ["gpu"], ["cpu"])
    assert why_waiting(search, 0).endswith("those of the queue gpu have at most no GPUs")
    _worker("b", ["gpu"], ["cuda:0", "cpu"])
    assert why_waiting(search, 0).endswith("have at most 1 GPU")
    _worker("c", ["gpu"], ["cuda:0", "cuda:1", "cpu"])
    assert why_waiting(search, 0) == ""


def test_a_worker_that_is_silent_or_has_left_counts_for_nothing() -> None:
    search = _search()
    Worker.objects.filter(pk=_worker("a", ["cpu"], ["cpu"])).update(
        heartbeat_at=timezone.now() - dt.timedelta(minutes=2)
    )
    workers.deregister(worker_id=_worker("b", ["cpu"], ["cpu"]))
    assert "none does" in why_waiting(search, 0)


def test_what_runs_or_has_ended_waits_for_nothing() -> None:
    search = _search()
    assert why_waiting(search, 1) == ""
    search.state = "paused"
    assert why_waiting(search, 0) == ""
