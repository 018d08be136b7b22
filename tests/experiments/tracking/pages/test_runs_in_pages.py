"""Runs that MLflow's clients log, in the pages."""

from __future__ import annotations

import pytest
from django.test import Client

from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import run_ends
from tests import cast
from tests.cast.tracker import Tracker

pytestmark = pytest.mark.django_db
E = "/projects/digits/experiments/from%20lightning/"


@pytest.fixture
def tracker() -> Tracker:
    cast.project(official_metric="another_metric")
    return Tracker()


def browser(who: str = "cleo") -> Client:
    client = Client()
    client.force_login(cast.person(who))
    return client


def read(address: str, who: str = "cleo") -> str:
    response = browser(who).get(address)
    assert response.status_code == 200, address
    return response.content.decode()


def test_a_run_shows_its_name_notes_tags_data_and_nested_runs(tracker: Tracker) -> None:
    key = tracker.experiment()
    parent = tracker.run(
        key,
        run_name="sweep of rates",
        tags=[
            {"key": "mlflow.note.content", "value": "**why** <script>alert(1)</script>"},
            {"key": "team", "value": "vision"},
            {"key": "mlflow.source.name", "value": "train.py"},
        ],
    )
    for name in ("low rate", "<b>high</b>"):
        tags = [{"key": "mlflow.parentRunId", "value": parent}]
        tracker.run(key, run_name=name, tags=tags)
    dataset = {"name": "mnist", "digest": "0a1b", "source_type": "local", "source": "{}"}
    tracker.post("runs/log-inputs", run_id=parent, datasets=[{"dataset": dataset, "tags": []}])
    page = read(f"{E}trials/0/")
    for words in ("sweep of rates", "<strong>why</strong>", "vision", "train.py", "mnist", "0a1b",
                  "low rate", "&lt;b&gt;high&lt;/b&gt;"):  # fmt: skip
        assert words in page
    assert "<script>alert" not in page
    assert "sweep of rates" in read(f"{E}trials/1/")
    assert "low rate" in read(E)


def test_metrics_of_the_machine_are_never_the_first_chart(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment())
    tracker.log(run, "system/cpu_utilization_percentage", 1, 2, 3)
    tracker.log(run, "zz_score", 1, 2, 3)
    page = read(f"{E}trials/0/")
    assert page.index("zz score") < page.index("system/cpu_utilization_percentage")


def test_the_official_metric_is_named_on_the_experiments_page(tracker: Tracker) -> None:
    key = tracker.experiment()
    run = tracker.run(key)
    tracker.log(run, "val_rmse", 3, 1, 2)
    tracker.end(run)
    page = read(E)
    assert "Set official metric" in page and "<option>val_rmse</option>" in page
    told = {"metric": "val_rmse", "direction": "minimize"}
    assert browser("ben").post(f"{E}metric/", told).status_code == 403
    assert browser().post(f"{E}metric/", told, follow=True).status_code == 200
    experiment = Experiment.objects.get(pk=key)
    assert (experiment.official_metric, experiment.best_value) == ("val_rmse", 1)
    assert Trial.objects.get().value == 1 and "Set official metric" not in read(E)
    answer = browser().post(f"{E}metric/", told | {"metric": "other"}, follow=True)
    assert "every comparison so far rests on it" in answer.content.decode()


def test_runs_that_completed_without_a_score_are_not_called_incomplete(tracker: Tracker) -> None:
    key = tracker.experiment()
    for _ in range(2):
        tracker.end(tracker.run(key))
    page = read(E)
    assert "Runs completed; name the official metric to score them." in page
    assert "needs a score" in page and "without a complete trial" not in page
    assert "No trial of the search has a score yet" in read(f"{E}decide/")
    told = {"metric": "val_rmse", "direction": "minimize"}
    page = browser().post(f"{E}metric/", told, follow=True).content.decode()
    assert "2 runs completed without a score: none logged val_rmse." in page


def test_a_value_told_at_the_end_outlives_the_naming_of_the_metric(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment())
    tracker.log(run, "other", 3)
    run_ends.finish(run_id=Trial.objects.get().pk, state="complete", value=0.75)
    told = {"metric": "val_rmse", "direction": "minimize"}
    browser().post(f"{E}metric/", told)
    trial, experiment = Trial.objects.get(), Experiment.objects.get()
    assert (trial.state, trial.value, trial.evaluations) == (TrialState.COMPLETE, 0.75, 1)
    assert (experiment.official_metric, experiment.best_value) == ("val_rmse", 0.75)


def test_links_that_a_client_prints_lead_to_pages(tracker: Tracker) -> None:
    key = tracker.experiment()
    run = tracker.run(key)
    found = browser().get(f"/open/experiments/{key}/runs/{run}/")
    assert found["Location"] == f"{E}trials/0/"
    assert browser().get(f"/open/experiments/{key}/")["Location"] == E
    assert browser("dan").get(f"/open/experiments/{key}/runs/{run}/").status_code == 404
    assert browser("dan").get(f"/open/experiments/{key}/").status_code == 404
    assert browser().get(f"/open/experiments/{key}/runs/{'0' * 32}/").status_code == 404


def test_an_empty_project_says_how_to_log_its_first_run_and_hears_of_it(tracker: Tracker) -> None:
    address = "http://testserver/projects/digits"
    for page in ("/projects/digits/", "/projects/digits/champions/"):
        told = read(page)
        assert f"export MLFLOW_TRACKING_URI={address}" in told and "Create token" in told
        for title in ("MLflow", "Lightning", "Hugging Face", "Plain Python", "curl"):
            assert f"<b>{title}</b>" in told
    assert "Log your first run" not in read("/projects/digits/", "ben")
    live = "/projects/digits/first-run/live/"
    assert browser().get(live).status_code == 204
    tracker.run(tracker.experiment())
    news = browser().get(live).json()
    assert news["again"] is False and "first run received" in news["parts"]["first-run"]


def test_a_new_token_stands_in_the_snippets(tracker: Tracker) -> None:
    form = {"name": "first run", "project": "digits", "scope": "write", "lifetime": "90"}
    page = browser().post("/account/tokens/", form).content.decode()
    assert "export MLFLOW_TRACKING_TOKEN=vd_" in page
    assert "export MLFLOW_TRACKING_TOKEN=vd_..." not in page
