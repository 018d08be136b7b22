from __future__ import annotations

import copy
import html
import json
import re
from typing import Any

import pytest
from django.test import Client

from experiments.models import Experiment, Trial
from experiments.models.trial import FailureKind, Origin, TrialState
from tests import cast

pytestmark = pytest.mark.django_db

RANDOM = """\
project: digits
experiment: wide
goal: Where is it good?
objective: workers.problems.digits:train
search: {sampler: random, trials: 12, seed: 3}
hyperparameters:
  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}
  dropout:       {role: nuisance, low: 0.0, high: 0.5, natural: [low]}
  epochs:        {role: fixed, value: 60}
"""
GOOD = {"value-learning_rate": "2e-3", "value-dropout": "0.1", "value-hidden_units": "2"}


def get(client: Client, experiment: Experiment, rest: str = "add/", name: str = "cleo") -> str:
    client.force_login(cast.person(name))
    answer = client.get(cast.address(experiment, rest))
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def post(
    client: Client, experiment: Experiment, rest: str, name: str = "cleo", **told: Any
) -> tuple[int, str]:
    client.force_login(cast.person(name))
    answer = client.post(cast.address(experiment, rest), told, follow=True)
    return answer.status_code, html.unescape(answer.content.decode())


def field(page: str, name: str) -> str:
    """A field with what stands below it."""
    found = re.search(rf'<div class="field"><label for="id_{name}".*?</div>', page, re.DOTALL)
    assert found is not None, name
    return found[0]


@pytest.fixture(scope="module")
def made_experiment(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=4)


@pytest.fixture
def experiment(made_experiment: Experiment) -> Experiment:
    return copy.deepcopy(made_experiment)


@pytest.fixture
def wide() -> Experiment:
    """A random search of two hyperparameters that has ended."""
    cast.project()
    experiment = cast.search(source=RANDOM)
    cast.finish_search(experiment, 12)
    experiment.refresh_from_db()
    return experiment


def test_the_form_begins_with_the_best_trial_and_says_the_ranges(
    client: Client, experiment: Experiment
) -> None:
    best = experiment.best_trial
    assert best is not None
    page, held = get(client, experiment), json.loads(best.parameters)
    assert f'value="{held["learning_rate"]!r}"' in field(page, "value-learning_rate")
    assert "0.0001 to 0.1, log" in field(page, "value-learning_rate")
    assert f"selected>{held['hidden_units']}<" in field(page, "value-hidden_units")
    assert "label_smoothing = 0.1" in field(page, "arm")


def test_the_form_begins_with_a_trial_that_was_asked_for(
    client: Client, experiment: Experiment
) -> None:
    trial = Trial.objects.get(study__experiment=experiment, study__arm_index=1, number=2)
    page = get(client, experiment, "add/?trial=B2")
    held = json.loads(trial.parameters)
    assert f'value="{held["dropout"]!r}"' in field(page, "value-dropout")
    assert '<option value="1" selected>' in field(page, "arm")
    assert "?trial=B2" in get(client, experiment, "trials/B2/")
    client.force_login(cast.person("cleo"))
    assert client.get(cast.address(experiment, "add/?trial=B99")).status_code == 404


def test_a_configuration_is_queued_in_every_arm_or_in_the_chosen_one(
    client: Client, experiment: Experiment
) -> None:
    status, page = post(client, experiment, "add/configuration/", **GOOD, arm="")
    assert status == 200 and "The configuration is queued in 2 arms." in page
    post(client, experiment, "add/configuration/", **GOOD, arm="1")
    made = Trial.objects.filter(origin=Origin.MANUAL, state=TrialState.WAITING)
    assert [trial.study.arm_index for trial in made.order_by("pk")] == [0, 1, 1]
    wanted = {"learning_rate": 2e-3, "dropout": 0.1, "hidden_units": 128}
    assert {trial.parameters for trial in made} == {json.dumps(wanted, separators=(",", ":"))}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("value-learning_rate", "3", "learning_rate 3.0 lies outside its range"),
        ("value-learning_rate", "fast", "fast is no number."),
        ("value-learning_rate", "nan", "lies outside"),
        ("value-dropout", "", "dropout is missing"),
        ("value-hidden_units", "9", "Select a valid choice"),
        ("arm", "7", "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_what_was_written_stays(
    client: Client, experiment: Experiment, name: str, value: str, says: str
) -> None:
    status, page = post(client, experiment, "add/configuration/", **{**GOOD, name: value})
    assert status == 400 and says in field(page, name)
    assert 'value="2e-3"' in page or name == "value-learning_rate"
    assert not Trial.objects.filter(origin=Origin.MANUAL).exists()


def test_a_larger_budget_lets_a_finished_search_go_on(
    client: Client, experiment: Experiment
) -> None:
    assert 'value="6"' in field(get(client, experiment), "per_arm")
    status, page = post(client, experiment, "add/trials/", per_arm="7")
    assert status == 200 and "6 more trials are to come." in page
    experiment.refresh_from_db()
    assert experiment.state == "running"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("4", "no arm in which that many trials are still to come"),
        ("0", "greater than or equal to 1"),
        ("many", "whole number"),
        ("9999999", "expected 1 to 1000000"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_at_its_field(
    client: Client, experiment: Experiment, told: str, says: str
) -> None:
    status, page = post(client, experiment, "add/trials/", per_arm=told)
    assert status == 400 and says in field(page, "per_arm")


def test_a_stopped_search_says_that_it_begins_no_more(
    client: Client, experiment: Experiment
) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(
        state="stopped", stop_reason="ran for 5 minutes"
    )
    page = get(client, experiment)
    assert "(ran for 5 minutes)" in page and 'name="per_arm"' not in page


def _failed(experiment: Experiment, kind: str) -> Trial:
    trial = Trial.objects.get(study__experiment=experiment, study__arm_index=0, number=1)
    Trial.objects.filter(pk=trial.pk).update(
        state=TrialState.FAILED, failure_kind=kind, values=None, value=None
    )
    return trial


def test_a_failed_trial_is_retried_once_from_its_page(
    client: Client, experiment: Experiment
) -> None:
    failed = _failed(experiment, FailureKind.EXCEPTION)
    assert "Retry with the same seeds" in get(client, experiment, "trials/A1/")
    status, page = post(client, experiment, "trials/A1/retry/")
    assert status == 200 and "Queued again" in page
    assert Trial.objects.get(retry_of=failed).parameters == failed.parameters
    assert "Retry with the same seeds" not in get(client, experiment, "trials/A1/")
    _, page = post(client, experiment, "trials/A1/retry/")
    assert "It was tried again already." in page


def test_what_would_fail_again_or_did_not_fail_has_no_button(
    client: Client, experiment: Experiment
) -> None:
    _failed(experiment, FailureKind.INFEASIBLE)
    assert "Retry with the same seeds" not in get(client, experiment, "trials/A1/")
    assert "Retry with the same seeds" not in get(client, experiment, "trials/A2/")
    _, page = post(client, experiment, "trials/A1/retry/")
    assert "It was infeasible" in page


def test_a_grid_where_a_random_search_was_good_is_one_press_away(
    client: Client, wide: Experiment
) -> None:
    assert "Grid where it is good" in get(client, wide, "")
    status, page = post(client, wide, "add/grid/")
    assert status == 200 and "a grid where wide was best" in page
    made = Experiment.objects.get(name="wide-grid")
    assert made.extends == wide and made.sampler == "grid" and made.state == "running"
    post(client, wide, "add/grid/")
    assert Experiment.objects.filter(name="wide-grid-2").exists()


def test_a_grid_of_many_dimensions_is_refused_until_somebody_insists(
    client: Client, experiment: Experiment
) -> None:
    Trial.objects.filter(study__experiment=experiment).update(state=TrialState.COMPLETE)
    more = cast.finished_search("more", trials_per_arm=12)
    assert "Grid where it is good" not in get(client, more, "")
    status, page = post(client, more, "add/grid/")
    assert status == 400 and "a grid over 3 hyperparameters tries few values" in page
    status, _ = post(client, more, "add/grid/", insist="on")
    assert status == 200 and Experiment.objects.filter(name="more-grid").exists()


def test_before_the_search_has_ended_no_grid_is_offered(client: Client) -> None:
    cast.project()
    running = cast.search(source=RANDOM)
    assert "Grid where" not in get(client, running, "") + get(client, running)
    status, page = post(client, running, "add/grid/")
    assert status == 400 and "only such a one has looked everywhere" in page


ACTIONS = ("add/configuration/", "add/trials/", "add/grid/", "trials/A1/retry/")


@pytest.mark.parametrize("rest", ACTIONS)
def test_viewers_may_not_and_strangers_see_nothing(
    client: Client, experiment: Experiment, rest: str
) -> None:
    assert post(client, experiment, rest, "ben")[0] == 403
    assert post(client, experiment, rest, "dan")[0] == 404
    count = Trial.objects.filter(origin__in=(Origin.MANUAL, Origin.RETRY)).count()
    assert count == 0 and Experiment.objects.count() == 1


@pytest.mark.parametrize("rest", ACTIONS)
def test_every_button_is_a_post_with_its_token(experiment: Experiment, rest: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.person("cleo"))
    assert client.post(cast.address(experiment, rest)).status_code == 403
    assert client.get(cast.address(experiment, rest)).status_code == 405


def test_viewers_see_no_buttons(client: Client, experiment: Experiment) -> None:
    _failed(experiment, FailureKind.LOST)
    text = get(client, experiment, "", "ben") + get(client, experiment, "trials/A1/", "ben")
    assert "Add trials" not in text and "Retry with" not in text and "Try one like" not in text
    client.force_login(cast.person("ben"))
    assert client.get(cast.address(experiment, "add/")).status_code == 403


def test_what_a_program_described_has_no_such_page(client: Client, experiment: Experiment) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(source="", document="{}")
    client.force_login(cast.person("cleo"))
    assert client.get(cast.address(experiment, "add/")).status_code == 404
    assert "Add trials" not in get(client, experiment, "")
