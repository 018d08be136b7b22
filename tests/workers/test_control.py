"""GPUs and a person's orders through the real queue, with pretended devices."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable

import psutil
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from experiments.management.experiment_commands import experiment_group
from experiments.models import Experiment, Trial, Worker
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import experiments
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]

TEXT = """
project: digits
experiment: {name}
goal: Does it obey?
objective: tests.workers.quick_objectives:{objective}
search: {{sampler: halton, trials: {trials}, parallel: {parallel}, seed: 5}}
resources: {{gpu: {gpus}}}
hyperparameters:
  x: {{role: nuisance, low: 0.0, high: 1.0}}
  pause: {{role: fixed, value: {pause}}}
"""
BLOCKS = 3600  # seconds for which the training process hears nothing
A_HEARTBEAT = dt.timedelta(seconds=1)  # of the worker under test


@pytest.fixture(autouse=True)
def project(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["tests.workers"])
    cast.project()


def _experiment(objective: str, *, trials: int, **more: object) -> Experiment:
    pause = BLOCKS if objective == "blocks_in_c" else 0.2
    fields = {"gpus": 0, "name": "one", "parallel": 4, "pause": pause, **more}
    text = TEXT.format(objective=objective, trials=trials, **fields)
    return experiments.create(access=cast.access("ada"), text=text)


def test_trials_hold_their_devices_alone_and_see_no_other(start_worker: Start) -> None:
    single = _experiment("tells_its_device", trials=5, gpus=1)
    double = _experiment("tells_its_device", trials=2, gpus=2, name="two")
    assert (single.queue, double.queue) == ("gpu", "gpu")
    worker = start_worker(WORKER_GPUS="2")
    wait_until(lambda: Experiment.objects.filter(state="finished").count() == 2, worker=worker)
    trials = list(Trial.objects.order_by("started_at"))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert {trial.device for trial in trials} == {"cuda:0", "cuda:1", "cuda:0,cuda:1"}
    for trial in trials:
        assert f"sees [{trial.device.replace('cuda:', '')}]" in trial.log_tail
    for before, after in itertools.combinations(trials, 2):
        if set(before.device.split(",")) & set(after.device.split(",")):
            assert before.finished_at and after.started_at
            assert before.finished_at <= after.started_at
    libraries = psutil.Process(worker.child.process.pid).memory_maps()
    assert "nh3" not in str(libraries), "it has imported the pages"


class Page:
    """Orders given on pages."""

    def __init__(self) -> None:
        self.client = Client()
        self.client.force_login(cast.person("ada"))

    def order(self, experiment: Experiment, name: str, **fields: object) -> None:
        answer = self.client.post(cast.address(experiment, name), fields)
        assert answer.status_code == 302

    def cancel(self, trial: Trial) -> None:
        self.order(_of(trial), f"trials/{trial.number}/cancel/")

    def pause(self, experiment: Experiment) -> None:
        self.order(experiment, "pause/")

    def hand_back(self, experiment: Experiment) -> None:
        self.order(experiment, "hand-back/")

    def resume(self, experiment: Experiment) -> None:
        self.order(experiment, "resume/")

    def stop(self, experiment: Experiment) -> None:
        self.order(experiment, "stop/")

    def limit(self, experiment: Experiment, *, parallel: int, priority: int) -> None:
        limits = {"parallel": parallel, "priority": priority}
        self.order(experiment, "control/", **limits, per_arm=experiment.budget)


class CommandLine:
    """Orders given by `manage.py experiment`."""

    def __init__(self) -> None:
        User.objects.create_superuser("root")

    def order(self, action: str, experiment: Experiment, *rest: str) -> None:
        name = f"{experiment.project.slug}/{experiment.name}"
        experiment_group.main([action, name, *rest], standalone_mode=False)

    def cancel(self, trial: Trial) -> None:
        self.order("cancel", _of(trial), str(trial.number))

    def pause(self, experiment: Experiment) -> None:
        self.order("pause", experiment)

    def hand_back(self, experiment: Experiment) -> None:
        self.order("pause", experiment, "--hand-back")

    def resume(self, experiment: Experiment) -> None:
        self.order("resume", experiment)

    def stop(self, experiment: Experiment) -> None:
        self.order("stop", experiment)

    def limit(self, experiment: Experiment, *, parallel: int, priority: int) -> None:
        self.order("set", experiment, f"--parallel={parallel}", f"--priority={priority}")


def _of(trial: Trial) -> Experiment:
    assert trial.study.experiment is not None
    return trial.study.experiment


@pytest.mark.parametrize("way", [Page, CommandLine])
def test_every_order_is_obeyed_while_steps_block(
    start_worker: Start, way: type[Page | CommandLine]
) -> None:
    """With the default grace. No step ever ends: what happens here, happens before that."""
    person = way()
    one = _experiment("blocks_in_c", trials=5, parallel=1)
    worker = start_worker(slots=2)

    def wait(**condition: object) -> Trial:
        found = Trial.objects.filter(**condition)
        wait_until(found.exists, worker=worker)
        return found.get()

    def runs(experiment: Experiment, number: int, attempt: int = 1) -> Trial:
        where = {"study__experiment": experiment, "number": number, "attempt": attempt}
        return wait(**where, state=TrialState.RUNNING, latest_step=1)

    first = runs(one, 0)
    person.limit(one, parallel=2, priority=0)
    second = runs(one, 1)

    two = _experiment("blocks_in_c", trials=2, parallel=1, name="two")
    person.limit(two, parallel=1, priority=5)
    person.cancel(first)
    wait(pk=first.pk, state=TrialState.FAILED, failure_kind="cancelled")
    third = runs(two, 0)  # before the waiting trials of the other, which was there earlier
    assert Trial.objects.filter(study__experiment=one).count() == 2

    person.stop(two)
    stopped = wait(pk=third.pk, state=TrialState.COMPLETE)
    assert (stopped.value, stopped.stopped_early, stopped.losses) == (0.5, True, 0)
    runs(one, 2)

    person.pause(one)
    person.cancel(second)
    cancelled = wait(pk=second.pk, state=TrialState.FAILED)
    looks = Worker.objects.filter(heartbeat_at__gt=cancelled.finished_at + 2 * A_HEARTBEAT)
    wait_until(looks.exists, worker=worker)
    assert Trial.objects.filter(study__experiment=one).count() == 3, "nothing new begins"
    person.resume(one)
    fourth = runs(one, 3)

    person.hand_back(one)
    wait(pk=fourth.pk, state=TrialState.WAITING)
    person.resume(one)
    runs(one, 3, attempt=2)
    ended = Trial.objects.exclude(seconds=None)
    assert {trial.pk for trial in ended} == {first.pk, second.pk, third.pk}
    assert all((trial.seconds or 0) < BLOCKS for trial in ended)
