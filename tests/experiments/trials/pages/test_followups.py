from __future__ import annotations

import pytest
from django.test import Client

from experiments.design.document import experiment_file
from experiments.models import Experiment
from tests import cast

pytestmark = pytest.mark.django_db

NEW = "/projects/digits/experiments/new/"


@pytest.fixture
def older(client: Client) -> Experiment:
    cast.project()
    client.force_login(cast.person("cleo"))
    return cast.finished_search(trials_per_arm=4)


def test_every_follow_up_is_listed_with_its_form_or_the_reason(
    client: Client, older: Experiment
) -> None:
    page = client.get(cast.address(older, "follow-ups/")).content.decode()
    assert "extends=label-smoothing&amp;follow=run_longer" in page
    assert "follow=extend&amp;hyperparameter=learning_rate&amp;edge=high" in page
    assert "declared a natural limit" in page
    assert "follow=exploit" not in page and "cannot be told yet" in page


def test_a_viewer_reads_them_without_buttons(client: Client, older: Experiment) -> None:
    client.force_login(cast.person("ben"))
    page = client.get(cast.address(older, "follow-ups/")).content.decode()
    assert "your role is viewer" in page and "follow=run_longer" not in page


def test_somebody_outside_the_project_finds_nothing(client: Client, older: Experiment) -> None:
    client.force_login(cast.person("dan"))
    assert client.get(cast.address(older, "follow-ups/")).status_code == 404


def test_the_form_shows_the_difference_before_anything_starts(
    client: Client, older: Experiment
) -> None:
    query = {"extends": older.name, "follow": "run_longer"}
    answer = client.get(NEW, query)
    file = experiment_file.parse(answer.context["text"])
    assert (file.name, file.extends) == ("label-smoothing-longer", older.name)
    assert "epochs: 60, fixed → 120, fixed" in answer.content.decode()
    told = client.post(f"{NEW}check/", {"text": answer.context["text"]}).json()
    assert told["ok"] and "epochs: 60, fixed → 120, fixed" in told["difference"]


def test_a_refused_follow_up_gives_the_reason_and_a_clone(
    client: Client, older: Experiment
) -> None:
    query = {"extends": older.name, "follow": "extend", "hyperparameter": "dropout", "edge": "low"}
    answer = client.get(NEW, query)
    assert "natural limit" in answer.content.decode()
    assert experiment_file.parse(answer.context["text"]).name == "label-smoothing-2"


def test_the_check_refuses_what_must_not_follow(client: Client, older: Experiment) -> None:
    text = client.get(NEW, {"extends": older.name, "follow": "clone"}).context["text"]
    wider = text.replace("low: 0.0", "low: -1.0")
    assert wider != text
    told = client.post(f"{NEW}check/", {"text": wider}).json()
    assert not told["ok"]
    assert told["problems"][0]["where"] == "hyperparameters.dropout.low"
    answer = client.post(NEW, {"text": wider})
    assert answer.status_code == 400 and "natural limit" in answer.content.decode()


def test_the_new_page_shows_old_and_new_and_the_earlier_trials(
    client: Client, older: Experiment
) -> None:
    text = client.get(NEW, {"extends": older.name, "follow": "clone"}).context["text"]
    text = text.replace("high: 1.0e-1", "high: 0.09")
    answer = client.post(NEW, {"text": text}, follow=True)
    page = answer.content.decode()
    made = Experiment.objects.get(name="label-smoothing-2")
    assert made.extends == older
    assert "0.0001 to 0.1, log, nuisance" in page and "0.0001 to 0.09, log, nuisance" in page
    followed = answer.context["followed"]
    assert followed.inside > 0 and followed.given == 0
    assert "it draws its own points" in page and cast.address(older, "trials/") in page


def test_a_sampler_that_learns_is_said_to_have_begun_with_them(
    client: Client, older: Experiment
) -> None:
    source = older.source.replace("halton", "tpe")
    document = experiment_file.as_document(experiment_file.parse(source))
    Experiment.objects.filter(pk=older.pk).update(sampler="tpe", source=source, document=document)
    text = client.get(NEW, {"extends": older.name, "follow": "more_trials"}).context["text"]
    answer = client.post(NEW, {"text": text}, follow=True)
    followed = answer.context["followed"]
    assert followed.given == followed.inside > 0
    assert f"began with {followed.given} of them" in answer.content.decode()


def test_an_unknown_kind_and_a_missing_experiment_are_no_server_errors(
    client: Client, older: Experiment
) -> None:
    answer = client.get(NEW, {"extends": older.name, "follow": "explode"})
    assert "no such follow-up" in answer.content.decode()
    assert client.get(NEW, {"extends": "nothing"}).status_code == 404


def test_findings_offer_what_their_rule_advises(client: Client, older: Experiment) -> None:
    finding = cast.finding(older, rule="overfitting", subject="", action="add_dropout")
    page = client.get(cast.address(older)).content.decode()
    assert f"follow=add_dropout&amp;finding={finding.pk}" in page and "Add dropout" in page
