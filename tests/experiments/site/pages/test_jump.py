from __future__ import annotations

import copy
from typing import Any

import pytest
from django.test import Client

from experiments.models import Experiment, ExperimentTag
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_experiment(module_db: None) -> Experiment:
    cast.project()
    cast.project("hidden").memberships.all().delete()
    cast.decided("wider", "adopt", "Twice the width pays.")
    return cast.finished_search(trials_per_arm=3)


@pytest.fixture
def experiment(made_experiment: Experiment) -> Experiment:
    return copy.deepcopy(made_experiment)


def ask(text: str, who: str = "ben", **where: str) -> list[dict[str, Any]]:
    client = Client()
    client.force_login(cast.person(who))
    answer = client.get("/jump/", {"q": text, **where})
    assert answer.status_code == 200
    places: list[dict[str, Any]] = answer.json()["places"]
    return places


def titles(found: list[dict[str, Any]], kind: str) -> list[str]:
    return [place["title"] for place in found if place["kind"] == kind]


def test_nothing_typed_offers_the_latest_experiments(experiment: Experiment) -> None:
    assert experiment.name in titles(ask(""), "experiment")


def test_a_few_letters_find_experiments_and_projects(experiment: Experiment) -> None:
    found = ask("label")
    assert titles(found, "experiment")[0] == "label-smoothing"
    assert found[0]["url"] == cast.address(experiment)
    assert titles(ask("digi"), "project") == ["Digits"]


def test_a_number_finds_trials_of_the_experiment_one_looks_at(experiment: Experiment) -> None:
    here = {"project": "digits", "experiment": experiment.name}
    assert titles(ask("2", **here), "trial") == ["Trial A2", "Trial B2"]
    (found,) = [place for place in ask("b1", **here) if place["kind"] == "trial"]
    assert found["url"] == cast.address(experiment, "trials/B1/")
    assert titles(ask("99", **here), "trial") == []
    assert titles(ask("2"), "trial") == [], "of which experiment?"


def test_a_trial_is_found_by_its_experiments_name(experiment: Experiment) -> None:
    assert titles(ask("label A1"), "trial") == ["Trial A1"]


def test_a_number_finds_a_decision_of_the_project_one_looks_at(experiment: Experiment) -> None:
    found = ask("1", project="digits")
    assert titles(found, "decision") == ["Decision 1"]
    assert titles(ask("1"), "decision") == []


def test_what_one_may_not_see_is_not_found(experiment: Experiment) -> None:
    assert titles(ask("hidden"), "project") == []
    here = {"project": "digits", "experiment": experiment.name}
    for text in ("", "label", "1", "A1", "label A1", "digits"):
        assert ask(text, "dan", **here) == []


@pytest.mark.parametrize("text", ["%", "_", "'", "\\", "\x01", "#", "A" * 500, "s1-2", "9" * 300])
def test_any_text_is_answered(experiment: Experiment, text: str) -> None:
    ask(text, project="digits", experiment="label-smoothing")


def test_one_has_to_log_in(client: Client) -> None:
    assert client.get("/jump/").status_code == 302


def test_tags_parameters_people_and_decisions_are_found_by_their_words(
    experiment: Experiment,
) -> None:
    ExperimentTag.objects.update_or_create(experiment=experiment, name="regularisation")
    (tag,) = [place for place in ask("#regular") if place["kind"] == "tag"]
    assert (tag["title"], tag["url"]) == (
        "#regularisation",
        "/projects/digits/?tag=regularisation",
    )
    (parameter,) = [place for place in ask("hidden_un") if place["kind"] == "parameter"]
    assert parameter["title"] == "hidden_units" and parameter["url"].endswith("/?tab=axes")
    (person,) = [place for place in ask("cleo") if place["kind"] == "person"]
    assert person["detail"] == "editor of Digits"
    (decision,) = [place for place in ask("twice width") if place["kind"] == "decision"]
    assert decision["url"] == "/projects/digits/decisions/1/"


def test_pages_are_found_by_title_and_only_those_that_the_role_opens(
    experiment: Experiment,
) -> None:
    assert titles(ask("webho", who="ada", project="digits"), "page") == ["Webhooks and deliveries"]
    assert titles(ask("webho", project="digits"), "page") == []
    assert titles(ask("token"), "page") == ["API tokens"]
    for place in ask("e", who="ada", project="digits"):
        if place["kind"] == "page":
            client = Client()
            client.force_login(cast.person("ada"))
            assert client.get(place["url"]).status_code == 200, place


def test_nothing_of_a_project_is_found_by_who_may_not_see_it(experiment: Experiment) -> None:
    ExperimentTag.objects.update_or_create(experiment=experiment, name="regularisation")
    for text in ("regular", "hidden_un", "cleo", "twice", "width", "champions", "label"):
        found = ask(text, who="dan", project="digits", experiment=experiment.name)
        assert found == [], text


def test_a_report_is_found_by_its_present_title(experiment: Experiment) -> None:
    report, _ = cast.frozen_report("Words.", title="Smoothing pays")
    (found,) = [place for place in ask("pays smooth") if place["kind"] == "report"]
    assert found["url"] == f"/projects/digits/reports/{report}/"
    assert titles(ask("pays", who="dan"), "report") == []
