from __future__ import annotations

import datetime as dt

import pytest
from django.conf import settings
from django.utils import timezone

from experiments.models import Experiment, Trial
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.services import queue, trials
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def search() -> Experiment:
    """A search whose trials ask for two GPUs."""
    cast.project()
    experiment = cast.search("queued", trials_per_arm=4)
    Experiment.objects.filter(pk=experiment.pk).update(parallel=8, gpus=2)
    return Experiment.objects.get()


def _run(device: str, hours: float, *, ends: bool) -> queue.Claim:
    claim = queue.claim(queue="cpu", worker_id=None, device=device)
    assert claim is not None
    if ends:
        trials.finish(trial_id=claim.trial_id, state=1, values=[0.5], attempt=claim.attempt)
    begun = timezone.now() - dt.timedelta(hours=hours)
    Trial.objects.filter(pk=claim.trial_id).update(started_at=begun)
    return claim


@pytest.mark.parametrize(
    ("device", "count"), [("", 0), ("cpu", 0), ("cuda:3", 1), ("cuda:0,cuda:1,cuda:5", 3)]
)
def test_a_device_names_its_gpus(device: str, count: int) -> None:
    assert gpu_hours.gpus_in(device) == count


def test_hours_count_for_each_gpu_that_a_trial_holds(search: Experiment) -> None:
    _run("cuda:0,cuda:1", 3.0, ends=True)
    _run("cuda:2", 1.0, ends=True)
    _run("cuda:0,cuda:1,cuda:2", 2.0, ends=False)
    _run("cpu", 50.0, ends=True)
    assert gpu_hours.of_search(search) == pytest.approx(13.0, abs=0.01)
    assert gpu_hours.of_experiment(search.pk) == pytest.approx(13.0, abs=0.01)


def test_an_attempt_that_is_handed_back_has_held_each_of_its_gpus(search: Experiment) -> None:
    claim = _run("cuda:0,cuda:1", 3.0, ends=False)
    queue.hand_back(trial_id=claim.trial_id, attempt=claim.attempt)
    assert gpu_hours.of_experiment(search.pk) == pytest.approx(6.0, abs=0.01)


def test_a_cap_of_the_experiment_holds_new_trials_back_until_it_is_raised(
    search: Experiment,
) -> None:
    Experiment.objects.update(gpu_hours_cap=4.0)
    _run("cuda:0,cuda:1", 2.5, ends=True)
    search.refresh_from_db()
    assert gpu_hours.why_held_back(search).startswith("queued has used 5.0 of 4 GPU hours")
    assert queue.claim(queue="cpu", worker_id=None) is None and queue.claimable("cpu") == 0
    Experiment.objects.update(gpu_hours_cap=6.0)
    assert queue.claim(queue="cpu", worker_id=None) is not None


def test_the_operators_cap_stands_over_the_experiments_own(
    search: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "GPU_HOURS_PER_EXPERIMENT", 3)
    search.gpu_hours_cap = 7.0
    assert gpu_hours.cap_of(search) == 3
    search.gpu_hours_cap = 2.0
    assert gpu_hours.cap_of(search) == 2.0


def test_a_persons_cap_counts_all_of_their_experiments_of_late(
    search: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "GPU_HOURS_PER_PERSON", 5)
    _run("cuda:0,cuda:1", 2.6, ends=True)
    other = cast.search("other", trials_per_arm=4)
    Experiment.objects.filter(pk=other.pk).update(gpus=1)
    other.refresh_from_db()
    who = search.created_by.get_username()
    assert gpu_hours.why_held_back(other).startswith(f"{who} has used 5.2 of 5 GPU hours")
    long_ago = timezone.now() - dt.timedelta(days=31)
    Trial.objects.update(started_at=long_ago, finished_at=long_ago + dt.timedelta(hours=2.6))
    assert gpu_hours.why_held_back(other) == ""


def test_who_asks_for_no_gpu_is_never_held_back(
    search: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "GPU_HOURS_PER_PERSON", 1)
    _run("cuda:0,cuda:1", 9.0, ends=True)
    Experiment.objects.update(gpus=0)
    search.refresh_from_db()
    assert gpu_hours.why_held_back(search) == ""
