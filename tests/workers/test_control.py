"""GPUs and a person's orders through the real queue, with pretended devices."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from django.conf import settings

from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.services import control, experiments
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]

TEXT = """
project: digits
experiment: {name}
goal: Does it obey?
objective: tests.workers.quick_objectives:{objective}
search: {{sampler: halton, trials: {trials}, parallel: 4, seed: 5}}
resources: {{gpu: {gpus}}}
hyperparameters:
  x: {{role: nuisance, low: 0.0, high: 1.0}}
  pause: {{role: fixed, value: 0.2}}
"""
BLOCKS = 30.0  # seconds for which the training process hears nothing


@pytest.fixture(autouse=True)
def project(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["tests.workers"])
    cast.project()


def _experiment(objective: str, *, trials: int, gpus: int = 0, name: str = "one") -> Experiment:
    text = TEXT.format(objective=objective, trials=trials, gpus=gpus, name=name)
    return experiments.create(user=cast.person("ada"), text=text)


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


def test_orders_are_obeyed_while_a_step_blocks(start_worker: Start) -> None:
    experiment = _experiment("blocks_in_c", trials=2)
    ada = cast.person("ada")
    worker = start_worker(STOP_GRACE_SECONDS="2")

    def wait(condition: Callable[[], bool]) -> None:
        wait_until(condition, seconds=BLOCKS - 5, worker=worker)

    wait(lambda: Trial.objects.filter(state=TrialState.RUNNING, latest_step=1).count() == 2)
    first, second = Trial.objects.order_by("number")
    control.cancel(user=ada, trial=first)
    wait(lambda: Trial.objects.filter(pk=first.pk, state=TrialState.FAILED).exists())
    first.refresh_from_db()
    assert (first.failure_kind, first.failure_reason) == ("cancelled", "cancelled by ada")
    control.pause(user=ada, experiment=experiment, hand_back=True)
    wait(lambda: Trial.objects.filter(pk=second.pk, state=TrialState.WAITING).exists())
    control.resume(user=ada, experiment=experiment)
    again = Trial.objects.filter(pk=second.pk, attempt=2, latest_step=1)
    wait(again.exists)
    experiments.stop(user=ada, experiment=experiment)
    wait(lambda: Trial.objects.filter(pk=second.pk, state=TrialState.COMPLETE).exists())
    second.refresh_from_db()
    assert (second.value, second.stopped_early, second.losses) == (0.5, True, 0)
