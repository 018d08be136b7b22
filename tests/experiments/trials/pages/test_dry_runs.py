from __future__ import annotations

import json

import pytest
from django.test import Client

from experiments.design.document import experiment_file
from experiments.models import Experiment, ObjectiveCheck
from tests import cast

pytestmark = pytest.mark.django_db

NEW = "/projects/digits/experiments/new/"
TEXT = cast.LABEL_SMOOTHING.format(name="one", goal="Is it?", trials=4)
FOUND = {
    "seconds": 10.0,
    "peak_memory_mb": 212.0,
    "score": 0.9,
    "names": ["validation_accuracy", "test_accuracy"],
    "series": {"validation_accuracy": [[1, 2, 3], [0.5, float("nan"), 0.9]]},
    "parameters": {"dropout": 0.25},
    "log": "epoch 3 <b>",
}


def test_one_trial_shows_its_curve_metrics_time_memory_and_the_whole_search(
    client: Client,
) -> None:
    cast.project()
    cast.offering_worker()
    client.force_login(cast.person("cleo"))
    answer = client.post(NEW, {"text": TEXT, "try": "1"})
    check = ObjectiveCheck.objects.get()
    assert answer.headers["Location"] == f"{NEW}try/{check.pk}/"
    assert "Waits for a worker" in client.get(f"{NEW}try/{check.pk}/").content.decode()
    ObjectiveCheck.objects.update(state="done", answer=json.dumps(FOUND))
    text = client.get(f"{NEW}try/{check.pk}/").content.decode()
    assert "figure-dry-run" in text and "212" in text and "epoch 3 &lt;b&gt;" in text
    assert "8 trials, 1 at once" in text and "40 s to 3 min" in text, "one of 10 s"
    assert "validation_accuracy, test_accuracy" in text
    news = client.get(f"{NEW}try/{check.pk}/live/").json()
    assert news["again"] is False and "Metrics logged" in news["parts"]["dry_run"]
    assert client.get(f"{NEW}try/{check.pk}/live/", {"since": news["since"]}).status_code == 204
    assert not Experiment.objects.exists()


def test_a_known_good_configuration_counts_once_for_each_arm_that_tries_it(
    client: Client,
) -> None:
    cast.project()
    cast.offering_worker()
    client.force_login(cast.person("cleo"))
    text = f"{TEXT}first: [{{learning_rate: 0.001, dropout: 0.2, hidden_units: 64}}]\n"
    client.post(NEW, {"text": text, "try": "1"})
    page = client.get(f"{NEW}try/{ObjectiveCheck.objects.get().pk}/").content.decode()
    client.post(NEW, {"text": text})
    assert Experiment.objects.get().budget == 10 and "10 trials, 1 at once" in page


def test_while_it_runs_names_are_listed_only_once_they_are_known(client: Client) -> None:
    cast.project()
    cast.offering_worker()
    client.force_login(cast.person("cleo"))
    client.post(NEW, {"text": TEXT, "try": "1"})
    address = f"{NEW}try/{ObjectiveCheck.objects.get().pk}/"
    series = {"series": FOUND["series"]}
    ObjectiveCheck.objects.update(state="running", answer=json.dumps(series))
    text = client.get(address).content.decode()
    assert "Metrics logged" in text and "All names" not in text


def test_the_file_of_a_trial_goes_back_into_the_form(client: Client) -> None:
    cast.project()
    cast.offering_worker()
    client.force_login(cast.person("cleo"))
    client.post(NEW, {"text": TEXT, "try": "1"})
    tried = ObjectiveCheck.objects.get().pk
    assert client.get(NEW, {"tried": tried}).context["text"] == TEXT
    assert client.get(NEW, {"tried": tried + 1}).status_code == 404


@pytest.mark.parametrize(("state", "taken_out"), [("done", True), ("failed", False)])
def test_metrics_that_a_whole_trial_did_not_log_are_taken_out_of_the_form(
    client: Client, state: str, taken_out: bool
) -> None:
    cast.project()
    cast.offering_worker()
    client.force_login(cast.person("cleo"))
    declared = "metrics:\n  f1: {direction: maximize}\n  test_accuracy: {split: test}\n"
    text = TEXT.replace("metrics:\n", declared)
    client.post(NEW, {"text": text, "try": "1"})
    ObjectiveCheck.objects.update(state=state, answer=json.dumps(FOUND))
    answer = client.get(NEW, {"tried": ObjectiveCheck.objects.get().pk})
    file = experiment_file.parse(answer.context["text"])
    assert ("f1" not in file.metrics) is taken_out
    assert {"validation_accuracy", "test_accuracy"} <= {*file.metrics}
    assert ("the trial did not log it: f1." in answer.content.decode()) is taken_out


def test_a_trial_without_a_worker_says_so_and_keeps_the_text(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    answer = client.post(NEW, {"text": TEXT, "try": "1"})
    assert answer.status_code == 400 and answer.context["text"] == TEXT
    assert "One trial cannot be tried now" in answer.content.decode()
