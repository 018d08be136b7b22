from __future__ import annotations

import json

import pytest
from django.test import Client

from experiments.design.document import experiment_file
from experiments.models import Decision, Experiment, Trial
from experiments.models.trial import TrialState
from tests import cast

pytestmark = pytest.mark.django_db

PAGE = "/projects/digits/baseline/"
KNOWN = {
    "objective": cast.OBJECTIVE,
    "parameters": "{learning_rate: 0.001, hidden_units: 64}",
    "scores": "0.94, 0.95\n0.945",
    "source": "<b>wandb</b> run 17",
    "reason": "In production since June.",
    "chance": "0.1",
}


def test_a_project_says_what_to_do_first(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    page = client.get("/projects/digits/").content.decode()
    assert "Start with the baseline" in page and PAGE in page


def test_the_example_can_run_and_its_seeds_lead_to_decision_0(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    text = client.get(PAGE).context["text"]
    assert experiment_file.parse(text).metrics["validation_accuracy"].chance == 0.1
    answer = client.post(f"{PAGE}start/", {"text": text, "seeds": "3"}, follow=True)
    assert "0 of 3 seeds are done" in answer.content.decode()
    Trial.objects.update(state=TrialState.COMPLETE, value=0.95, values=json.dumps([0.95]))
    page = client.get(PAGE).content.decode()
    assert "much better than chance" in page and "Enter it as the baseline" in page
    assert "over seeds" in client.get(cast.address(Experiment.objects.get())).content.decode()
    answer = client.post(f"{PAGE}record/", {"reason": "We begin here."}, follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain == [("/projects/digits/decisions/0/", 302)]
    assert "Decision 0: baseline" in page and "there is no verdict" in page
    assert "baseline" in client.get("/projects/digits/decisions/").content.decode()
    assert client.get("/projects/digits/decisions/0.md").status_code == 200
    assert "champions" in client.get("/projects/digits/").content.decode().lower()


def test_a_file_with_something_to_search_comes_back_with_the_reason(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    text = cast.LABEL_SMOOTHING.format(name="b", goal="Why?", trials=2)
    answer = client.post(f"{PAGE}start/", {"text": text, "seeds": "3"})
    page = answer.content.decode()
    assert answer.status_code == 400 and answer.context["text"] == text
    assert "hyperparameters.dropout" in page and "one fixed value" in page


def test_a_known_model_is_entered_and_marked(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    page = client.post(f"{PAGE}enter/", KNOWN, follow=True).content.decode()
    assert "entered by hand" in page and "&lt;b&gt;wandb&lt;/b&gt; run 17" in page
    assert Decision.objects.get().sequence == 0
    project = client.get("/projects/digits/").content.decode()
    assert "entered by hand" in project and "Start with the baseline" not in project
    assert "decision" in client.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": "0.9, abc"}, "is no number"),
        ({"scores": "0.9 nan"}, "not finite"),
        ({"parameters": "- 1"}, "mapping"),
        ({"parameters": "{rate: [1, 2]}"}, "one value each"),
        ({"objective": "os:system"}, "package.module:function"),
        ({"reason": ""}, "required"),
        ({"chance": "x"}, "number"),
    ],
)
def test_errors_come_back_with_what_was_typed(
    client: Client, change: dict[str, str], said: str
) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    answer = client.post(f"{PAGE}enter/", KNOWN | change)
    page = answer.content.decode()
    assert answer.status_code == 400 and said in page and "run 17" in page
    assert not Decision.objects.exists()


def test_roles_hold(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    assert "your role is viewer" in client.get(PAGE).content.decode()
    text = client.get(PAGE).context["text"]
    assert client.post(f"{PAGE}start/", {"text": text, "seeds": "3"}).status_code == 403
    client.force_login(cast.person("cleo"))
    assert client.post(f"{PAGE}enter/", KNOWN).status_code == 403
    client.force_login(cast.person("dan"))
    assert client.get(PAGE).status_code == 404
    assert client.post(f"{PAGE}enter/", KNOWN).status_code == 404
