from __future__ import annotations

import pytest
from django.test import Client

from experiments.design.document import experiment_file
from experiments.design.queries.time_left import trial_time
from experiments.design.review.design_review import review
from experiments.models import Experiment, ObjectiveCheck
from experiments.trials.lifecycle.queries.objective_checks import ObjectiveReport
from experiments.trials.lifecycle.services import objective_checks
from experiments.web.formatting import time_range
from tests import cast

pytestmark = pytest.mark.django_db

ADDRESS = "/projects/digits/experiments/new/"
GOOD = cast.LABEL_SMOOTHING.format(name="smooth", goal="Does it help?", trials=4)


def test_a_new_experiment_starts_empty_and_nothing_in_it_is_called_wrong(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    answer = client.get(ADDRESS)
    text = answer.context["text"]
    assert "validation_accuracy: {official: true, direction: maximize}" in text
    assert answer.context["form_state"]["rows"] == []
    told = client.post(f"{ADDRESS}check/", {"text": text}).json()
    assert (told["title"], told["verdict"]) == ("Still to fill in", "unfinished")
    assert all(problem["unfinished"] for problem in told["problems"])


def test_what_is_wrong_is_told_from_what_is_still_to_be_filled_in(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    bad = client.get(ADDRESS).context["text"].replace("halton", "halten")
    told = client.post(f"{ADDRESS}check/", {"text": bad}).json()
    assert told["verdict"] == "failed"
    wrong = [problem["where"] for problem in told["problems"] if not problem["unfinished"]]
    assert wrong == ["search.sampler"]


@pytest.mark.parametrize("name", ["label-smoothing", "bert-adam", "svm-grid"])
def test_a_bundled_example_becomes_this_projects_under_a_free_name(
    client: Client, name: str
) -> None:
    cast.project()
    cast.search("label-smoothing")
    client.force_login(cast.person("cleo"))
    answer = client.get(ADDRESS, {"example": name})
    file = experiment_file.parse(answer.context["text"])
    assert file.project == "digits" and file.official == "validation_accuracy"
    assert file.name == ("label-smoothing-2" if name == "label-smoothing" else name)
    assert not review(answer.context["text"], cast.access("cleo")).error
    assert "#" in answer.context["text"], "comments stay"


def test_an_example_whose_metric_is_not_the_projects_cannot_be_used(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    text = client.get(ADDRESS).content.decode()
    assert "example=label-smoothing" in text and "maximize validation_accuracy" in text
    assert "minimize validation_rmse" in text and "example=depth" not in text


def test_there_is_no_example_of_another_name(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    assert client.get(ADDRESS, {"example": "../../manage"}).status_code == 404


def test_an_earlier_experiment_can_be_copied(client: Client) -> None:
    cast.project()
    cast.search("earlier")
    client.force_login(cast.person("cleo"))
    assert "<option>earlier</option>" in client.get(ADDRESS).content.decode()
    text = client.get(ADDRESS, {"extends": "earlier", "follow": "clone"}).context["text"]
    assert experiment_file.parse(text).name == "earlier-2"


def test_objectives_are_picked_from_what_workers_offer(client: Client) -> None:
    cast.project()
    cast.offering_worker()
    client.force_login(cast.person("cleo"))
    text = client.get(ADDRESS).content.decode()
    assert '<option value="workers.problems.digits:train">Train and evaluate' in text


def test_a_good_file_becomes_an_experiment(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    answer = client.post(ADDRESS, {"text": GOOD.replace("\n", "\r\n")}, follow=True)
    assert "started; its trials are queued" in answer.content.decode()
    experiment = Experiment.objects.get()
    assert experiment.source == GOOD
    assert answer.redirect_chain == [(cast.address(experiment), 302)]


def test_every_error_is_listed_with_its_key_and_the_text_is_kept(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    bad = GOOD.replace("goal: Does it help?\n", "").replace("log: true", "log: true, bins: 3")
    answer = client.post(ADDRESS, {"text": bad})
    text = answer.content.decode()
    assert answer.status_code == 400
    assert "<code>goal</code>" in text and "hyperparameters.learning_rate.bins" in text
    assert answer.context["text"] == bad
    assert not Experiment.objects.exists()


def test_a_file_of_another_project_is_refused_here(client: Client) -> None:
    cast.project()
    cast.project("other")
    client.force_login(cast.person("cleo"))
    answer = client.post(ADDRESS, {"text": GOOD.replace("project: digits", "project: other")})
    assert "must be digits here" in answer.content.decode()


def test_a_name_that_is_taken_is_said(client: Client) -> None:
    cast.project()
    cast.search("smooth")
    client.force_login(cast.person("cleo"))
    assert "choose another name" in client.post(ADDRESS, {"text": GOOD}).content.decode()


def test_a_viewer_can_look_but_not_start(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    assert "your role is viewer" in client.get(ADDRESS).content.decode()
    assert client.post(ADDRESS, {"text": GOOD}).status_code == 403


def test_the_check_tells_what_would_run(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    told = client.post(f"{ADDRESS}check/", {"text": GOOD}).json()
    assert told["ok"]
    assert told["design"][0] == "2 arms of 4 trials, 8 in all, 2 at once."
    assert "optimizer, epochs" in told["design"][2]
    assert "its time is not known" in told["price"]


def test_the_price_of_a_dry_run_is_told_before_it_is_pressed(client: Client) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=4)
    client.force_login(cast.person("cleo"))
    price = client.post(f"{ADDRESS}check/", {"text": GOOD}).json()["price"]
    takes = trial_time(cast.access("cleo").project_id, cast.search("other").objective)
    assert takes is not None
    assert price == f"One trial, {time_range(takes.low, takes.high)} of a worker's time."


@pytest.mark.parametrize("text", ["", "a: [", "x" * 300_000, "- 1", "project: other\n"])
def test_the_check_lists_what_is_wrong(client: Client, text: str) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    told = client.post(f"{ADDRESS}check/", {"text": text}).json()
    assert not told["ok"] and told["problems"]
    assert all(set(problem) == {"where", "message", "unfinished"} for problem in told["problems"])


def test_a_boundary_finding_widens_the_range_in_a_new_file(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    finding = cast.finding(experiment)
    client.force_login(cast.person("cleo"))
    answer = client.get(ADDRESS, {"extends": experiment.name, "finding": finding.pk})
    file = experiment_file.parse(answer.context["text"])
    assert file.space["learning_rate"].domain.low == 1e-5  # type: ignore[union-attr]
    assert file.name == "label-smoothing-wider"
    client.post(
        f"{ADDRESS}?extends={experiment.name}&finding={finding.pk}",
        {"text": answer.context["text"]},
    )
    made = Experiment.objects.get(name="label-smoothing-wider")
    assert made.extends == experiment


def test_extending_what_is_not_there_is_not_found(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    assert client.get(ADDRESS, {"extends": "nothing"}).status_code == 404


def test_the_check_says_what_the_rules_see_while_the_file_is_written(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    unfair = GOOD.replace(
        "learning_rate:   {role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}",
        "learning_rate:   {role: fixed, value: 0.001}",
    )
    assert unfair != GOOD
    told = client.post(f"{ADDRESS}check/", {"text": unfair}).json()
    assert {
        "rule": "R2",
        "severity": "warning",
        "where": "hyperparameters.learning_rate",
        "title": "Unfair comparison: everything of the optimizer is fixed",
    } in told["rules"]
    assert "Unfair comparison" in told["checks"] and "Tuning Playbook" in told["checks"]
    broken = client.post(f"{ADDRESS}check/", {"text": "a: ["}).json()
    assert "Once the file can run" in broken["checks"]


def test_the_page_shows_the_checks_before_any_script_runs(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    answer = client.get(ADDRESS, {"example": "label-smoothing"})
    assert "rules passed" in answer.content.decode()
    assert answer.context["checks"].fired or answer.context["checks"].passed
    text = client.post(ADDRESS, {"text": "project: digits\n"}).content.decode()
    assert "Once the file can run" in text


def test_names_in_checks_are_escaped(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    text = GOOD.replace("dropout:", "dropout<script>alert(1)</script>:")
    told = client.post(f"{ADDRESS}check/", {"text": text}).json()
    assert told["ok"] and "<script>" not in told["checks"]
    assert "dropout&lt;script&gt;" in told["checks"]


def test_a_design_is_judged_before_its_name_is_free(client: Client) -> None:
    cast.project()
    cast.search("smooth")
    client.force_login(cast.person("cleo"))
    told = client.post(f"{ADDRESS}check/", {"text": GOOD}).json()
    assert not told["ok"] and told["rules"] and "rules passed" in told["checks"]


def test_what_the_extended_search_saw_interact_is_told_when_one_of_it_is_fixed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.project()
    older = cast.finished_search(trials_per_arm=3)
    asked = []

    def shares(axes: object) -> dict[tuple[str, str], float]:
        asked.append(axes)
        return {("learning_rate", "dropout"): 0.31}

    monkeypatch.setattr("experiments.design.review.design_review.interaction_shares", shares)
    client.force_login(cast.person("cleo"))
    text = (
        GOOD.replace("role: scientific, choices: [0.0, 0.1]", "role: fixed, value: 0.1")
        .replace("{role: nuisance, low: 1.0e-4,", "{role: scientific, low: 1.0e-4,")
        .replace(
            "{role: nuisance, low: 0.0, high: 0.5, natural: [low]}", "{role: fixed, value: 0.2}"
        )
    )
    told = client.post(f"{ADDRESS}check/", {"text": f"extends: {older.name}\n{text}"}).json()
    rules = {rule["rule"]: rule for rule in told["rules"]}
    assert asked and rules["R4"]["severity"] == "warning"
    assert "dropout (31 %)" in told["checks"]


def _report(monkeypatch: pytest.MonkeyPatch, report: ObjectiveReport) -> None:
    monkeypatch.setattr(objective_checks, "check", lambda **asked: report)


def test_a_file_is_said_to_run_only_once_a_worker_has_imported_its_objective(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    told = client.post(f"{ADDRESS}check/", {"text": GOOD}).json()
    assert told["verdict"] == "unchecked" and "is not checked" in told["title"]
    assert "no worker" in told["objective"] or "none does" in told["objective"]
    _report(monkeypatch, ObjectiveReport("passed", worker="node"))
    told = client.post(f"{ADDRESS}check/", {"text": GOOD}).json()
    assert (told["verdict"], told["title"]) == ("passed", "This can run")


def test_an_objective_that_cannot_run_offers_the_nearest_name(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    report = ObjectiveReport("failed", "no module <b>", "team.digits:train", "Traceback")
    _report(monkeypatch, report)
    told = client.post(f"{ADDRESS}check/", {"text": GOOD}).json()
    assert told["title"] == "The objective cannot run"
    assert 'data-objective="team.digits:train"' in told["objective"]
    assert "&lt;b&gt;" in told["objective"]


def test_a_viewer_has_no_code_imported(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    told = client.post(f"{ADDRESS}check/", {"text": GOOD}).json()
    assert told["verdict"] == "unchecked" and not ObjectiveCheck.objects.exists()
