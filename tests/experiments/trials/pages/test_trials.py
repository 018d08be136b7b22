from __future__ import annotations

import re

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Artifact, Experiment, Trial
from experiments.models.trial import TrialState
from tests import cast

pytestmark = pytest.mark.django_db


def page(client: Client, experiment: Experiment, name: str, query: str = "") -> str:
    client.force_login(cast.person("ben"))
    answer = client.get(cast.address(experiment, f"trials/{name}/{query}"))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_trial_tells_what_happened_in_its_run(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    trial = experiment.studies.get(arm_index=1).trials.get(number=0)
    Artifact.objects.create(
        trial=trial,
        kind="checkpoint",
        name="best.pt",
        path="x",
        size=2048,
        sha256="a" * 64,
        step=9,
    )
    text = page(client, experiment, "B0")
    for words in ("label_smoothing = 0.1", "learning_rate", "adam", "best.pt", "node-3",
                  "epoch 60 train", "torch", "workers.reproduce", "figure-curves"):  # fmt: skip
        assert words in text, words


def test_the_letter_says_the_arm_and_its_absence_the_first(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    assert "<h1>Trial A0</h1>" in page(client, experiment, "A0")
    assert "<h1>Trial A0</h1>" in page(client, experiment, "0")


@pytest.mark.parametrize("name", ["C0", "A99", "x", "s99-1", "A-1"])
def test_a_trial_that_is_not_there_is_not_found(client: Client, name: str) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    client.force_login(cast.person("ada"))
    assert client.get(cast.address(experiment, f"trials/{name}/")).status_code == 404


def test_a_trial_of_another_experiment_is_not_found(client: Client) -> None:
    cast.project()
    one, two = cast.finished_search("one", trials_per_arm=2), cast.search("two")
    foreign = one.studies.get(arm_index=0)
    client.force_login(cast.person("ada"))
    assert client.get(cast.address(two, f"trials/s{foreign.pk}-0/")).status_code == 404


def test_a_failed_trial_says_why(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    trial = experiment.studies.get(arm_index=0).trials.get(number=0)
    Trial.objects.filter(pk=trial.pk).update(
        state=TrialState.FAILED, failure_kind="exception", failure_reason="CUDA out of memory",
        traceback="Traceback (most recent call last): <module>",
    )  # fmt: skip
    text = page(client, experiment, "A0")
    assert "CUDA out of memory" in text
    assert "&lt;module&gt;" in text


def test_a_waiting_trial_says_that_it_waits(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    trial = experiment.studies.get(arm_index=0).trials.get(number=0)
    trial.series.all().delete()
    Trial.objects.filter(pk=trial.pk).update(
        state=TrialState.WAITING, started_at=None, queued_at=timezone.now(), value=None
    )
    text = page(client, experiment, "A0")
    assert "waiting since" in text and "Curves appear with its first evaluations" in text


def test_a_replicate_is_called_by_its_side_and_pair(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    replication = cast.repeated(experiment, looks=(3,), done=3)
    study = replication.studies.get(side="candidate")
    text = page(client, experiment, f"s{study.pk}-0")
    assert "Candidate, pair 1" in text
    assert "test_accuracy" not in text


def test_where_it_overfits_is_shaded(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    best = experiment.best_trial
    assert best is not None
    cast.some_findings(experiment)
    name = "AB"[best.study.arm_index] + str(best.number)
    assert f"{name}: overfitting from step 24" in page(client, experiment, name)


def test_a_running_trial_gains_points_and_says_when_it_is_done(client: Client) -> None:
    cast.project()
    experiment = cast.running_search(done=1, trials_per_arm=3)
    text = page(client, experiment, "A1")
    cursor = re.findall(r'data-cursor="([^"]*)"', text)[0]
    address = cast.address(experiment, "trials/A1/live/")
    assert client.get(address, {"since": cursor}).status_code == 204
    trial = Trial.objects.get(study__arm_index=0, state=TrialState.RUNNING)
    cast.log(
        trial.pk, {"validation_loss": np.array([0.3])}, first_batch=8, first_step=50, batches=1
    )
    news = client.get(address, {"since": cursor, "metric": "loss"}).json()
    assert news["curves"]["traces"][0]["figure"][0]["x"] == [50]
    assert news["again"] and not news["reload"]
    Trial.objects.filter(pk=trial.pk).update(state=TrialState.COMPLETE, values="[0.9]")
    assert client.get(address, {"since": news["since"]}).json()["reload"]


def test_a_finished_trial_does_not_ask_for_news(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    assert "data-live=" not in page(client, experiment, "A0")
