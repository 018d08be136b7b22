from __future__ import annotations

import datetime as dt

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.models import Experiment, Trial, Worker
from experiments.models.experiment import ExperimentState
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.queries.workers import list_queues, list_workers
from experiments.trials.lifecycle.services import workers
from tests import cast

pytestmark = pytest.mark.django_db


def node(name: str = "gpu-1:77", *, queues: tuple[str, ...] = ("cpu",), silent: float = 0) -> int:
    found = workers.register(
        name=name, host="gpu-1", pid=77, queues=queues, slots=2, devices=["cuda:0", "cuda:1"]
    )
    heard = timezone.now() - dt.timedelta(seconds=silent)
    Worker.objects.filter(pk=found).update(heartbeat_at=heard)
    return found


def running_search() -> Experiment:
    """One under way, with trials done and rows still to draw; one trial of it runs on `gpu-1`."""
    cast.project()
    experiment = cast.running_search(done=3, trials_per_arm=24)
    trial = Trial.objects.filter(state=TrialState.RUNNING).first()
    assert trial is not None
    trial.worker_id, trial.device, trial.latest_step = node(), "cuda:0", 1200
    trial.save()
    return experiment


def test_nobody_reads_it_without_logging_in(client: Client) -> None:
    for address in ("/workers/", "/workers/live/"):
        assert client.get(address).status_code == 302


def test_without_workers_the_page_says_how_to_start_one(client: Client) -> None:
    client.force_login(cast.person("dan"))
    text = client.get("/workers/").content.decode()
    assert "No workers yet" in text and "verdict worker" in text and "Nothing waits" in text


def test_a_node_stands_with_devices_and_the_trial_it_runs(client: Client) -> None:
    experiment = running_search()
    client.force_login(cast.person("ada"))
    text = client.get("/workers/").content.decode()
    assert "gpu-1:77" in text and "cuda:0, cuda:1" in text and "step 1" in text
    assert f"/experiments/{experiment.name}/trials/" in text


def test_a_trial_of_a_project_one_may_not_see_has_no_name(client: Client) -> None:
    experiment = running_search()
    client.force_login(cast.person("dan"))
    text = client.get("/workers/").content.decode()
    assert "a trial of another project" in text
    assert experiment.name not in text


@pytest.mark.parametrize(("silent", "state"), [(0, "alive"), (90, "silent")])
def test_a_node_without_heartbeat_is_called_silent(silent: float, state: str) -> None:
    node(silent=silent)
    assert [worker.state for worker in list_workers(cast.person("ada")).rows] == [state]


def test_a_node_that_said_goodbye_is_shown_for_an_hour() -> None:
    found = node()
    workers.deregister(worker_id=found)
    assert [worker.state for worker in list_workers(cast.person("ada")).rows] == ["stopped"]
    before = timezone.now() - dt.timedelta(hours=2)
    Worker.objects.filter(pk=found).update(stopped_at=before)
    assert list_workers(cast.person("ada")).rows == []


def test_a_queue_tells_depth_and_time_left_from_the_trials_that_are_done() -> None:
    experiment = running_search()
    took = F("started_at") + dt.timedelta(seconds=60)
    Trial.objects.filter(state=TrialState.COMPLETE).update(finished_at=took)
    open_rows = sum(
        max(0, (study.budget or 0) - study.next_row) for study in experiment.studies.all()
    )
    waiting = Trial.objects.filter(state=TrialState.WAITING).count()
    (queue,) = list_queues()
    running = Trial.objects.filter(state=TrialState.RUNNING).count()
    assert (queue.name, queue.slots, queue.running) == ("cpu", 2, running)
    assert queue.depth == open_rows + waiting >= 10
    assert queue.time_left is not None, "two slots, of which one ends half a trial later"
    half = 60 * (queue.depth + 0.5 * running + 0.5) / 2
    assert queue.time_left.expected == pytest.approx(half, rel=0.01)


def test_a_queue_that_nobody_serves_has_no_time_left() -> None:
    running_search()
    Worker.objects.update(queues="gpu")
    queues = {queue.name: queue for queue in list_queues()}
    assert queues["cpu"].slots == 0 and queues["cpu"].time_left is None
    assert queues["gpu"].depth == 0


def test_a_paused_experiment_waits_for_nobody() -> None:
    experiment = running_search()
    Trial.objects.filter(state=TrialState.RUNNING).delete()
    Experiment.objects.filter(pk=experiment.pk).update(state=ExperimentState.PAUSED)
    assert [queue.depth for queue in list_queues()] == [0]


def test_an_open_page_hears_nothing_until_something_changes(client: Client) -> None:
    running_search()
    client.force_login(cast.person("ada"))
    first = client.get("/workers/live/").json()
    assert first["again"] and set(first["parts"]) == {"queues", "workers"}
    assert client.get(f"/workers/live/?since={first['since']}").status_code == 204
    Trial.objects.filter(state=TrialState.RUNNING).update(latest_step=1300)
    assert client.get(f"/workers/live/?since={first['since']}").status_code == 200


def test_ten_workers_cost_no_more_queries_than_one(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    running_search()
    for number in range(9):
        node(f"gpu-1:{number}")
    client.force_login(cast.person("ada"))
    with django_assert_max_num_queries(12):
        client.get("/workers/live/")
