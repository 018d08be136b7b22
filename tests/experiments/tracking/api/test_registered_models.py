"""The model registry over MLflow's protocol, and the alias that only decisions move."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from experiments.decisions.queries.champion import as_document, message_as_sent
from experiments.decisions.services import champions
from experiments.models import Artifact, Decision, Event, Experiment, ModelVersion, Project, Trial
from experiments.team.services import projects, webhooks
from experiments.verdict.queries import chain_check
from experiments.verdict.services import replications
from tests import cast
from tests.cast.tracker import Tracker

pytestmark = pytest.mark.django_db


@pytest.fixture
def tracker() -> Tracker:
    cast.project()
    return Tracker()


def put(tracker: Tracker, experiment: str, place: str, content: bytes = b"weights") -> Any:
    base = tracker.base.replace("mlflow/", "mlflow-artifacts/artifacts")
    return tracker.client.put(
        f"{base}/{experiment}/{place}", content, "application/octet-stream",
        headers={"Authorization": f"Bearer {tracker.secret}"},
    )  # fmt: skip


def logged(tracker: Tracker, experiment: str, run: str, content: bytes = b"weights") -> str:
    """A logged model of a run, with a file; returns its id."""
    made = tracker.post(
        "logged-models", experiment_id=experiment, source_run_id=run, name="classifier"
    )
    key: str = made["model"]["info"]["model_id"]
    assert put(tracker, experiment, f"models/{key}/artifacts/MLmodel", content).status_code == 200
    headers = {"Authorization": f"Bearer {tracker.secret}"}
    body = json.dumps({"model_id": key, "status": "LOGGED_MODEL_READY"})
    answer = tracker.client.patch(
        f"{tracker.base}logged-models/{key}", body, "application/json", headers=headers
    )
    assert answer.status_code == 200
    return key


def changed(tracker: Tracker, method: str, call: str, **fields: Any) -> tuple[int, Any]:
    answer = tracker.client.generic(
        method, tracker.base + call, json.dumps(fields), "application/json",
        headers={"Authorization": f"Bearer {tracker.secret}"},
    )  # fmt: skip
    return answer.status_code, json.loads(answer.content)


def searched(tracker: Tracker) -> tuple[str, list[str]]:
    """An experiment with three runs of one configuration each; returns its id and theirs."""
    key = tracker.experiment()
    runs = []
    for rate, score in (("0.1", 0.91), ("0.01", 0.97), ("0.001", 0.95)):
        run = tracker.run(key)
        tracker.param(run, lr=rate, seed="3")
        tracker.log(run, "validation_accuracy", score - 0.1, score)
        tracker.end(run)
        runs.append(run)
    return key, runs


def adopt(experiment: str, candidate: str, baseline: str, **more: Any) -> Decision:
    """Repeat a run's configuration over fresh seeds beside another's, and adopt it."""
    found = Experiment.objects.get(pk=experiment)
    crowned = Decision.objects.crowning(found.project) is not None
    held = replications.declare(
        access=cast.access("ada", found),
        experiment=found,
        candidate_trial=Trial.objects.get(run_id=candidate),
        baseline_trial=None if crowned else Trial.objects.get(run_id=baseline),
        looks=(10,),
    )
    cast.finish_pairs(held, 10)
    return cast.decide(held, "adopt", **more)


def adopted(tracker: Tracker) -> tuple[str, list[str], Decision]:
    """A search whose second run logged a model and was adopted."""
    key, runs = searched(tracker)
    logged(tracker, key, runs[1])
    return key, runs, adopt(key, runs[1], runs[0])


def champion(tracker: Tracker, name: str = "digits") -> str:
    """Number of the version behind the alias champion."""
    answer = tracker.get("registered-models/alias", name=name, alias="champion")
    found: str = answer["model_version"]["version"]
    return found


def test_a_program_registers_describes_and_finds_models_and_versions(tracker: Tracker) -> None:
    key, runs = searched(tracker)
    made = tracker.post(
        "registered-models/create", name="classifier", description="of digits",
        tags=[{"key": "team", "value": "vision"}],
    )["registered_model"]  # fmt: skip
    assert (made["name"], made["description"], made["aliases"]) == ("classifier", "of digits", [])
    assert tracker.refused("registered-models/create", name="classifier")[:2] == (
        400, "RESOURCE_ALREADY_EXISTS",
    )  # fmt: skip
    model = logged(tracker, key, runs[0])
    put(tracker, key, f"{runs[1]}/artifacts/model/MLmodel")
    versions = [
        tracker.post("model-versions/create", name="classifier", source=source, **more)
        for source, more in (
            (f"models:/{model}", {"model_id": model}),
            (f"runs:/{runs[1]}/model", {"run_id": runs[1], "description": "second"}),
            (f"mlflow-artifacts:/{key}/{runs[1]}/artifacts/model", {}),
            (f"mlflow-artifacts:/{key}/models/{model}/artifacts", {}),
            ("models:/classifier/2", {"tags": [{"key": "stage", "value": "copied"}]}),
        )
    ]
    shown = [version["model_version"] for version in versions]
    assert [version["version"] for version in shown] == ["1", "2", "3", "4", "5"]
    assert [version["run_id"] for version in shown] == [runs[0], *[runs[1]] * 2, runs[0], runs[1]]
    assert [version["model_id"] for version in shown] == [model, "", "", model, ""]
    assert {version["status"] for version in shown} == {"READY"}
    assert shown[1]["description"] == "second"
    places = [
        tracker.get("model-versions/get-download-uri", name="classifier", version=number)
        for number in (1, 2, 5)
    ]
    assert [place["artifact_uri"] for place in places] == [
        f"mlflow-artifacts:/{key}/models/{model}/artifacts",
        *[f"mlflow-artifacts:/{key}/{runs[1]}/artifacts/model"] * 2,
    ]
    newest = tracker.post("registered-models/get-latest-versions", name="classifier")
    assert [version["version"] for version in newest["model_versions"]] == ["5"]
    newest = tracker.get("registered-models/get-latest-versions", name="classifier", stages="none")
    assert len(newest["model_versions"]) == 1
    (found,) = tracker.get("registered-models/search")["registered_models"]
    assert found["latest_versions"][0]["version"] == "5"


def test_models_and_versions_change_and_go(tracker: Tracker) -> None:
    _, runs = searched(tracker)
    tracker.post("registered-models/create", name="a")
    for _ in range(2):
        tracker.post("model-versions/create", name="a", source=f"runs:/{runs[0]}/model")
    for call, more in (
        ("registered-models/set-tag", {}), ("model-versions/set-tag", {"version": "1"})
    ):  # fmt: skip
        tracker.post(call, name="a", key="k", value="v", **more)
    status, answer = changed(
        tracker, "PATCH", "registered-models/update", name="a", description="d"
    )
    assert (status, answer["registered_model"]["description"]) == (200, "d")
    assert answer["registered_model"]["tags"] == [{"key": "k", "value": "v"}]
    status, answer = changed(
        tracker, "PATCH", "model-versions/update", name="a", version="1", description="e"
    )
    assert (status, answer["model_version"]["description"]) == (200, "e")
    assert answer["model_version"]["tags"] == [{"key": "k", "value": "v"}]
    for call, more in (
        ("registered-models/delete-tag", {}), ("model-versions/delete-tag", {"version": "1"})
    ):  # fmt: skip
        assert changed(tracker, "DELETE", call, name="a", key="k", **more) == (200, {})
    assert tracker.get("model-versions/get", name="a", version="1")["model_version"]["tags"] == []
    tracker.post("registered-models/alias", name="a", alias="best", version="2")
    named = tracker.get("registered-models/get", name="a")["registered_model"]
    assert named["aliases"] == [{"alias": "best", "version": "2"}] and named["tags"] == []
    answer = tracker.get("registered-models/alias", name="a", alias="best")["model_version"]
    assert (answer["version"], answer["aliases"]) == ("2", ["best"])
    answer = tracker.get("registered-models/alias", name="a", alias="latest")["model_version"]
    assert answer["version"] == "2"
    renamed = tracker.post("registered-models/rename", name="a", new_name="b")["registered_model"]
    assert renamed["name"] == "b" and renamed["aliases"]
    assert changed(tracker, "DELETE", "model-versions/delete", name="b", version="2")[0] == 200
    assert (
        tracker.refused("registered-models/alias", method="GET", name="b", alias="best")[0] == 400
    )
    tracker.post("registered-models/alias", name="b", alias="old", version="1")
    assert changed(tracker, "DELETE", "registered-models/alias", name="b", alias="old")[0] == 200
    made = tracker.post("model-versions/create", name="b", source=f"runs:/{runs[0]}/model")
    assert made["model_version"]["version"] == "3"  # a number is given once
    assert changed(tracker, "DELETE", "registered-models/delete", name="b")[0] == 200
    status, code, message = tracker.refused("registered-models/get", method="GET", name="b")
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert message == "Registered Model with name=b not found"
    tracker.post("registered-models/create", name="b")


def test_the_registry_is_searched_in_the_filter_language(tracker: Tracker) -> None:
    _, runs = searched(tracker)
    for name in ("one", "two", "three"):
        tags = [{"key": "team", "value": name[0]}, {"key": "of.all", "value": "x"}]
        tracker.post("registered-models/create", name=name, tags=tags)
    for name, run in (("one", 0), ("one", 1), ("two", 1)):
        tracker.post("model-versions/create", name=name, source=f"runs:/{runs[run]}/m")

    def models(text: str = "", **more: Any) -> list[str]:
        answer = tracker.get("registered-models/search", filter=text, **more)
        return [model["name"] for model in answer["registered_models"]]

    unasked = "tag.`mlflow.prompt.is_prompt` != 'true'"  # as clients from 3 on send it
    assert models() == models(unasked) == models(f"tags.`of.all` = 'x' AND {unasked}") == [
        "one", "three", "two",
    ]  # fmt: skip
    assert models("tag.`mlflow.prompt.is_prompt` = 'true'") == []
    assert models("name ILIKE 'T%'") == models("tags.team = 't'") == ["three", "two"]
    assert models("name IN ('two', 'one')", order_by="name DESC") == ["two", "one"]
    first = tracker.get("registered-models/search", max_results=2)
    rest = tracker.get("registered-models/search", page_token=first["next_page_token"])
    assert [model["name"] for model in rest["registered_models"]] == ["two"]

    def versions(text: str = "", **more: Any) -> list[tuple[str, str]]:
        answer = tracker.get("model-versions/search", filter=text, **more)
        return [(version["name"], version["version"]) for version in answer["model_versions"]]

    assert versions() == [("two", "1"), ("one", "2"), ("one", "1")]
    assert versions("name = 'one'", order_by="version_number ASC") == [("one", "1"), ("one", "2")]
    assert versions(f"run_id = '{runs[1]}' and version_number > 1") == [("one", "2")]
    assert versions(f"source_path = 'runs:/{runs[0]}/m'") == [("one", "1")]
    for call, text in (
        ("registered-models/search", "version_number = 1"), ("model-versions/search", "x = 'y'"),
        ("model-versions/search", "version_number = 'a'"), ("registered-models/search", "name ="),
    ):  # fmt: skip
        assert tracker.refused(call, method="GET", filter=text)[0] == 400


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/model", "/etc", "file:///etc", "models:/", "models:/none/1", "models:/a@b",
        "mlflow-artifacts:/1/../../etc", "runs:/" + "0" * 32 + "/model", "runs:/x", "",
        "mlflow-artifacts://host/1/2/artifacts/model",
    ],
)  # fmt: skip
def test_a_version_of_files_that_are_no_runs_of_the_project_is_refused(
    tracker: Tracker, source: str
) -> None:
    tracker.post("registered-models/create", name="classifier")
    status, _, message = tracker.refused("model-versions/create", name="classifier", source=source)
    assert status in (400, 404) and message and not ModelVersion.objects.exists()


@pytest.mark.parametrize("name", ["a/b", "a:b", " ", "", ".", "x" * 257])
def test_a_name_that_no_model_can_have_is_refused(tracker: Tracker, name: str) -> None:
    assert tracker.refused("registered-models/create", name=name)[:2] == (
        400, "INVALID_PARAMETER_VALUE",
    )  # fmt: skip


def test_prompts_and_stages_are_not_offered(tracker: Tracker) -> None:
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    refused = tracker.refused("registered-models/create", name="p", tags=tags)
    assert refused[:2] == (501, "NOT_IMPLEMENTED")
    refused = tracker.refused("model-versions/transition-stage", name="p", version="1")
    assert refused[:2] == (501, "NOT_IMPLEMENTED") and "alias" in refused[2]


def test_an_adopt_registers_the_candidates_model_and_makes_it_champion(tracker: Tracker) -> None:
    key, runs = searched(tracker)
    asked = {"method": "GET", "name": "digits", "alias": "champion"}
    assert tracker.refused("registered-models/alias", **asked)[0] == 404
    model = logged(tracker, key, runs[1])
    decision = adopt(key, runs[1], runs[0])
    (version,) = tracker.get("model-versions/search")["model_versions"]
    assert version | {"creation_timestamp": 0, "last_updated_timestamp": 0} == {
        "name": "digits", "version": "1", "creation_timestamp": 0, "last_updated_timestamp": 0,
        "user_id": "ada", "current_stage": "None", "description": "", "run_id": runs[1],
        "source": f"models:/{model}", "status": "READY", "tags": [], "aliases": ["champion"],
        "model_id": model,
    }  # fmt: skip
    assert champion(tracker) == "1"
    named = tracker.get("registered-models/get", name="digits")["registered_model"]
    assert named["aliases"] == [{"alias": "champion", "version": "1"}]
    frozen = json.loads(decision.evidence)["model"]
    assert (frozen["name"], frozen["version"], frozen["uri"]) == ("digits", 1, "models:/digits/1")
    assert frozen["files"] == 1 and frozen["bytes"] == len(b"weights")


def test_what_a_client_before_3_logged_is_registered_too(tracker: Tracker) -> None:
    key, runs = searched(tracker)
    put(tracker, key, f"{runs[1]}/artifacts/best/MLmodel")
    described = json.dumps({"artifact_path": "best", "run_id": runs[1], "flavors": {}})
    tracker.post("runs/log-model", run_id=runs[1], model_json=described)
    adopt(key, runs[1], runs[0])
    found = tracker.get(
        "model-versions/get-download-uri", name="digits", version=champion(tracker)
    )
    assert found["artifact_uri"] == f"mlflow-artifacts:/{key}/{runs[1]}/artifacts/best"


def test_a_candidate_without_a_model_leaves_no_version_and_no_alias(tracker: Tracker) -> None:
    key, runs = searched(tracker)
    logged(tracker, key, runs[0])  # another configuration's
    tracker.post("registered-models/create", name="digits")
    decision = adopt(key, runs[1], runs[0])
    assert not ModelVersion.objects.exists() and as_document(decision)["model"] is None
    status, code, message = tracker.refused(
        "registered-models/alias", method="GET", name="digits", alias="champion"
    )
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert f"decision {decision.sequence}, has no logged model" in message


def test_the_alias_follows_each_adopt_and_each_revert(tracker: Tracker) -> None:
    key, runs, first = adopted(tracker)
    logged(tracker, key, runs[2])
    second = adopt(key, runs[2], runs[1])
    assert champion(tracker) == "2"
    back = champions.revert(
        access=cast.access("ada"), target="production", to=first.sequence,
        current=second.sequence, reason="Slow.",
    )  # fmt: skip
    assert champion(tracker) == "1"
    assert as_document(back)["model"] == as_document(first)["model"]
    champions.revert(
        access=cast.access("ada"), target="production", to=second.sequence,
        current=back.sequence, reason="The cable.",
    )  # fmt: skip
    assert champion(tracker) == "2" and ModelVersion.objects.count() == 2


def test_each_target_has_a_registered_model_of_its_own(tracker: Tracker) -> None:
    projects.set_targets(access=cast.access("ada"), targets=["production", "staging"])
    key, runs = searched(tracker)
    logged(tracker, key, runs[1])
    adopt(key, runs[1], runs[0], target="staging")
    assert champion(tracker, "digits.staging") == "1"
    assert tracker.refused(
        "registered-models/alias", method="GET", name="digits", alias="champion"
    )[0] == 404  # fmt: skip


def test_no_client_moves_the_champion_or_takes_away_what_it_rests_on(tracker: Tracker) -> None:
    key, runs, _ = adopted(tracker)
    tracker.post("model-versions/create", name="digits", source=f"runs:/{runs[0]}/model")
    (model,) = ModelVersion.objects.filter(decision__isnull=False).values_list("folder", flat=True)
    named = {"name": "digits"}
    for alias in ("champion", "Champion"):
        status, code, message = tracker.refused(
            "registered-models/alias", **named, alias=alias, version="2"
        )
        assert (status, code) == (403, "PERMISSION_DENIED") and "decision" in message
        assert (
            changed(tracker, "DELETE", "registered-models/alias", **named, alias=alias)[0] == 403
        )
    for method, call, more in (
        ("DELETE", "registered-models/delete", {}),
        ("POST", "registered-models/rename", {"new_name": "x"}),
        ("DELETE", "model-versions/delete", {"version": "1"}),
    ):
        status, answer = changed(tracker, method, call, **named, **more)
        assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED"), call
    status, answer = changed(tracker, "DELETE", f"logged-{model}")
    assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")
    for name in ("MLmodel", "other.bin"):
        assert put(tracker, key, f"{model}/artifacts/{name}", b"theirs").status_code == 400
    tracker.post("runs/delete", run_id=runs[1])
    assert champion(tracker) == "1"
    assert changed(tracker, "DELETE", "model-versions/delete", **named, version="2")[0] == 200


def test_a_champion_is_told_only_as_the_log_has_it(tracker: Tracker) -> None:
    adopted(tracker)
    kept = Artifact.objects.get()
    Artifact.objects.update(sha256="0" * 64)
    status, code, message = tracker.refused(
        "registered-models/alias", method="GET", name="digits", alias="champion"
    )
    assert (status, code) == (400, "BAD_REQUEST") and "not those that were adopted" in message
    Artifact.objects.update(sha256=kept.sha256)
    assert champion(tracker) == "1"
    cast.by_hand("UPDATE experiments_decision SET reason = 'x'")
    chain_check._verified.clear()
    status, code, message = tracker.refused(
        "registered-models/alias", method="GET", name="digits", alias="champion"
    )
    assert status == 400 and "was altered" in message
    named = tracker.get("registered-models/get", name="digits")["registered_model"]
    assert named["aliases"] == [] and named["latest_versions"][0]["aliases"] == []


def test_webhooks_and_deployments_hear_of_the_version(tracker: Tracker) -> None:
    webhooks.create(
        access=cast.access("ada"),
        kind="json",
        address="https://hooks.example.org/",
        events=["decided"],
    )
    _, _, decision = adopted(tracker)
    event = Event.objects.get()
    sent = message_as_sent(decision.project_id, json.loads(event.document))
    assert sent["decision"]["model"]["uri"] == "models:/digits/1"
    headers = {"Authorization": f"Bearer {tracker.secret}"}
    answer = Client().get("/api/v1/projects/digits/champion", headers=headers).json()
    assert answer["decision"]["model"] == sent["decision"]["model"]
    browser = Client()
    browser.force_login(cast.person("ben"))
    assert b"models:/digits@champion" in browser.get("/projects/digits/champions/").content
    assert b"models:/digits/1" in browser.get("/projects/digits/decisions/1/").content


def test_the_registry_of_a_project_is_its_members(tracker: Tracker) -> None:
    _, runs, _ = adopted(tracker)
    other = cast.project("speech")
    stranger, viewer = Tracker("dan"), Tracker("ben")
    assert stranger.refused("registered-models/get", method="GET", name="digits")[0] == 404
    assert stranger.refused("model-versions/search", method="GET")[0] == 404
    assert champion(viewer) == "1"
    for call, more in (
        ("registered-models/create", {"name": "x"}),
        ("registered-models/alias", {"name": "digits", "alias": "a", "version": "1"}),
        ("registered-models/set-tag", {"name": "digits", "key": "a", "value": "b"}),
        ("model-versions/create", {"name": "digits", "source": f"runs:/{runs[0]}/m"}),
    ):
        assert viewer.refused(call, **more)[:2] == (403, "PERMISSION_DENIED"), call
        reader = Tracker("cleo", scopes=("read",), name="reader")
        assert reader.refused(call, **more)[:2] == (403, "PERMISSION_DENIED"), call
    speech = Tracker("cleo", slug="speech", project=other)
    speech.post("registered-models/create", name="digits")
    for source in (f"runs:/{runs[0]}/m", "models:/digits/1"):
        assert speech.refused("model-versions/create", name="digits", source=source)[0] == 404
    assert speech.get("model-versions/search").get("model_versions") == []


def test_at_the_bare_address_the_models_name_finds_its_project(tracker: Tracker) -> None:
    adopted(tracker)
    bare = Tracker(slug="", name="bare")
    assert champion(bare) == "1"
    assert bare.refused("registered-models/create", name="digits")[1] == "RESOURCE_ALREADY_EXISTS"
    bare.post("registered-models/create", name="digits.small")
    assert Project.objects.get(registered_models__name="digits.small").slug == "digits"
    cast.project("speech")
    Tracker(slug="speech", name="s").post("registered-models/create", name="digits.small")
    status, _, message = bare.refused("registered-models/get", method="GET", name="digits.small")
    assert status == 400 and "Several projects" in message
