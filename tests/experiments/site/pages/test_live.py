from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from django.http import HttpResponse
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.pages.live_cursor import read_cursor
from tests import cast

pytestmark = pytest.mark.django_db


class OpenPage:
    """An experiment's page as its script sees it: asks with what it has got."""

    def __init__(self, client: Client, experiment: Experiment) -> None:
        self.client, self.experiment = client, experiment
        text = client.get(cast.address(experiment)).content.decode()
        self.cursor = re.findall(r'data-cursor="([^"]*)"', text)[0]

    def ask(self, **query: str) -> HttpResponse:
        told = {"tab": "curves", "metric": "loss", "since": self.cursor} | query
        return self.client.get(cast.address(self.experiment, "live/"), told)  # type: ignore[return-value]

    def news(self, **query: str) -> dict[str, Any]:
        answer = self.ask(**query)
        assert answer.status_code == 200
        document: dict[str, Any] = answer.json()  # type: ignore[attr-defined]
        self.cursor = document["since"]
        return document


@pytest.fixture
def open_page(client: Client) -> OpenPage:
    cast.project()
    client.force_login(cast.person("ben"))
    return OpenPage(client, cast.running_search(done=4, trials_per_arm=8))


def running() -> Trial:
    trial = Trial.objects.filter(state=TrialState.RUNNING).order_by("pk").first()
    assert trial is not None
    return trial


def append(trial: Trial, first_step: int = 100, batch: int = 50) -> None:
    series = {"validation_loss": np.array([0.2]), "train_loss": np.array([0.1])}
    cast.log(trial.pk, series, first_batch=batch, first_step=first_step, batches=1)


def test_an_idle_question_is_answered_with_nothing(
    open_page: OpenPage, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(5):
        answer = open_page.ask()
    assert answer.status_code == 204 and not answer.content


def test_new_points_come_once(open_page: OpenPage) -> None:
    trial = running()
    append(trial)
    news = open_page.news()
    (added,) = news["curves"]["traces"]
    assert (added["trial"], added["whole"]) == (trial.pk, False)
    assert [trace["x"] for trace in added["figure"]] == [[100], [100]]
    assert "parts" not in news
    assert open_page.ask().status_code == 204


def test_a_step_renews_the_table_but_not_the_words(open_page: OpenPage) -> None:
    Trial.objects.filter(pk=running().pk).update(latest_step=55, latest_value=0.91)
    news = open_page.news()
    assert set(news["parts"]) == {"trials"}
    assert "0.9100" in news["parts"]["trials"]


def test_a_finished_trial_renews_words_table_and_charts(open_page: OpenPage) -> None:
    study = running().study
    cast.finished_trial(study, 77, np.random.default_rng(8))
    news = open_page.news()
    assert {"facts", "path", "findings", "next", "trials"} <= set(news["parts"])
    assert "9 of 16" in news["parts"]["facts"]
    assert news["charts"] and news["again"]


def test_a_trial_that_finished_is_sent_whole_with_its_best_checkpoint(
    open_page: OpenPage,
) -> None:
    trial = running()
    Trial.objects.filter(pk=trial.pk).update(
        state=TrialState.COMPLETE, values="[0.99]", value=0.99, best_step=10
    )
    traces = open_page.news()["curves"]["traces"]
    (whole,) = [trace for trace in traces if trace["trial"] == trial.pk]
    assert whole["whole"]
    assert any(trace["meta"].get("mark") for trace in whole["figure"])


def test_a_trial_that_left_the_best_is_taken_away(open_page: OpenPage) -> None:
    had = read_cursor(open_page.cursor).curves or {}
    for number in range(3):
        trial = cast.finished_trial(running().study, 60 + number, np.random.default_rng(number))
        Trial.objects.filter(pk=trial.pk).update(
            state=TrialState.COMPLETE, values="[1.0]", value=1.0 + number
        )
    gone = set(open_page.news()["curves"]["gone"])
    assert gone and gone <= set(had)
    assert running().pk not in gone


def test_a_page_on_another_tab_gets_no_points(open_page: OpenPage) -> None:
    append(running())
    assert open_page.ask(tab="axes").status_code == 204


def test_an_ended_search_says_stop(open_page: OpenPage) -> None:
    cast.end(open_page.experiment)
    Trial.objects.filter(state=TrialState.RUNNING).update(state=TrialState.FAILED)
    open_page.news()
    assert open_page.news()["again"] is False


def test_another_attempt_is_sent_whole(open_page: OpenPage) -> None:
    trial = running()
    Trial.objects.filter(pk=trial.pk).update(attempt=2)
    cast.log(trial.pk, {"validation_loss": np.array([2.0])}, attempt=2, batches=1)
    traces = open_page.news()["curves"]["traces"]
    (again,) = [trace for trace in traces if trace["trial"] == trial.pk]
    assert again["whole"] and again["figure"][0]["x"] == [1]


def test_the_table_follows_the_filter_of_the_page(open_page: OpenPage) -> None:
    Trial.objects.filter(pk=running().pk).update(latest_step=56)
    table = open_page.news(state="running")["parts"]["trials"]
    assert table.count("<tr") == 3, "the head and two running trials"
    assert "since=" not in table


def test_a_stranger_gets_no_news(open_page: OpenPage) -> None:
    open_page.client.force_login(cast.person("dan"))
    assert open_page.ask().status_code == 404


@given(st.text(max_size=80))
def test_any_cursor_is_read(text: str) -> None:
    read_cursor(text)


@given(
    st.from_regex(r"[a-z0-9]{0,12}\|[a-z0-9]{0,12}\|(\d{1,20}:\d{1,20}\.-?\d{1,20}[rfx],?){0,4}")
)
def test_a_cursor_of_odd_numbers_is_read(text: str) -> None:
    found = read_cursor(text)
    assert all(isinstance(key, int) for key in found.curves or {})


def test_the_seeds_page_moves_too(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    replication = cast.repeated(experiment, looks=(3, 6), done=1)
    client.force_login(cast.person("ada"))
    text = client.get(cast.address(experiment, "seeds/")).content.decode()
    cursor = re.findall(r'data-cursor="([^"]*)"', text)[0]
    address = cast.address(experiment, "seeds/live/")
    assert client.get(address, {"since": cursor}).status_code == 204
    cast.finish_pairs(replication, 2)
    news = client.get(address, {"since": cursor}).json()
    assert "4 of 6" in news["parts"]["seeds"]
    assert news["again"]
    assert client.get(address, {"since": news["since"]}).status_code == 204
