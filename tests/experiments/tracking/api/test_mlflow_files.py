"""Files and logged models as MLflow's clients send and read them."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponseBase

from experiments.models import ApiToken, Artifact, Trial
from experiments.tracking.queries import mlflow_runs
from experiments.trials.artifacts.storage import LocalFolder, StorageAway
from tests import cast
from tests.cast.tracker import Tracker

pytestmark = pytest.mark.django_db
FILES = "/projects/digits/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def tracker() -> Tracker:
    cast.project()
    return Tracker()


@pytest.fixture
def run(tracker: Tracker) -> str:
    return tracker.run(tracker.experiment())


def asked(tracker: Tracker, method: str, path: str, body: bytes = b"") -> HttpResponseBase:
    return tracker.client.generic(
        method,
        f"{FILES}{path}",
        body,
        "application/octet-stream",
        headers={"Authorization": f"Bearer {tracker.secret}"},
    )


def place(run: str) -> str:
    experiment = Trial.objects.get(run_id=run).study.experiment_id
    return f"/{experiment}/{run}/artifacts"


def body_of(answer: HttpResponseBase) -> bytes:
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def listed(tracker: Tracker, path: str) -> list[dict[str, Any]]:
    answer: Any = asked(tracker, "GET", f"?path={path.strip('/')}")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["files"]
    return found


def test_files_come_back_as_they_were_sent_in_folders(tracker: Tracker, run: str) -> None:
    sent = {"a.txt": b"hello", "folder/b c.bin": bytes(range(256)), "folder/sub/d.png": b"\x89PNG"}
    for name, content in sent.items():
        assert asked(tracker, "PUT", f"{place(run)}/{name}", content).status_code == 200
    for name, content in sent.items():
        answer = asked(tracker, "GET", f"{place(run)}/{name}")
        assert body_of(answer) == content
        assert answer["Content-Disposition"].startswith("attachment")
        assert answer["Content-Type"] == "application/octet-stream"
    assert listed(tracker, place(run)) == [
        {"path": "a.txt", "is_dir": False, "file_size": 5},
        {"path": "folder", "is_dir": True},
    ]
    assert [file["path"] for file in listed(tracker, f"{place(run)}/folder")] == ["b c.bin", "sub"]
    named = tracker.get("artifacts/list", run_id=run, path="folder")
    assert named["root_uri"] == f"mlflow-artifacts:{place(run)}"
    assert [file["path"] for file in named["files"]] == ["folder/b c.bin", "folder/sub"]
    assert len(tracker.get("artifacts/list", run_id=run)["files"]) == 2
    whole = tracker.get("artifacts/list", run_id=run)
    assert tracker.get("artifacts/list", run_id=run, path=".") == whole
    assert listed(tracker, f"{place(run)}/.") == listed(tracker, place(run))
    for path in ("../a", "folder/../..", "a//b"):
        refused = tracker.refused("artifacts/list", method="GET", run_id=run, path=path)
        assert refused == (400, "INVALID_PARAMETER_VALUE", "Invalid path")
    kinds = dict(Artifact.objects.values_list("name", "kind"))
    assert kinds == {"a.txt": "text", "folder/b c.bin": "file", "folder/sub/d.png": "image"}


def test_a_file_is_replaced_and_deleted(tracker: Tracker, run: str) -> None:
    for content in (b"one", b"two"):
        asked(tracker, "PUT", f"{place(run)}/x/a.bin", content)
    assert body_of(asked(tracker, "GET", f"{place(run)}/x/a.bin")) == b"two"
    assert asked(tracker, "DELETE", f"{place(run)}/x").status_code == 200
    assert asked(tracker, "GET", f"{place(run)}/x/a.bin").status_code == 404
    assert listed(tracker, place(run)) == []


def test_a_folder_holds_no_file_of_one_that_is_written_otherwise(
    tracker: Tracker, run: str
) -> None:
    for name in ("plots/a.png", "Plots/b.png", "Plots/sub/c.png"):
        asked(tracker, "PUT", f"{place(run)}/{name}", b"x")
    assert [file["path"] for file in listed(tracker, f"{place(run)}/plots")] == ["a.png"]


def test_a_token_that_moves_files_was_used(tracker: Tracker, run: str) -> None:
    other = Tracker(scopes=("read",))
    assert asked(other, "GET", f"?path={place(run)[1:]}").status_code == 200
    assert all(ApiToken.objects.values_list("last_used_at", flat=True))


def test_a_store_that_is_away_is_no_missing_file(
    tracker: Tracker, run: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked(tracker, "PUT", f"{place(run)}/a.bin", b"x")

    def away(store: LocalFolder, path: str) -> int:
        raise StorageAway(f"{path}: refused")

    monkeypatch.setattr(LocalFolder, "size_of", away)
    answer: Any = asked(tracker, "GET", f"{place(run)}/a.bin")
    assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert "refused" in caplog.text


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "%2e%2e/%2e%2e/etc/passwd", "a//b", "..%5cb", "%00", "x" * 301],
)
def test_a_name_that_leads_elsewhere_is_refused(tracker: Tracker, run: str, name: str) -> None:
    answer: Any = asked(tracker, "PUT", f"{place(run)}/{name}", b"x")
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert not Artifact.objects.exists()


@pytest.mark.parametrize("path", ["/1", "/1/x/y/z", "/../../etc/passwd", "/1/2/artifacts/../x"])
def test_an_address_of_another_form_is_refused(tracker: Tracker, path: str) -> None:
    assert asked(tracker, "GET", path).status_code in (400, 404)
    assert asked(tracker, "GET", f"?path={path[1:]}").status_code in (400, 404)


def test_files_are_open_to_whoever_may_see_the_run_alone(tracker: Tracker, run: str) -> None:
    asked(tracker, "PUT", f"{place(run)}/a.txt", b"x")
    dan, viewer, reader = Tracker("dan"), Tracker("ben"), Tracker(scopes=("read",))
    for method in ("GET", "PUT", "DELETE"):
        assert asked(dan, method, f"{place(run)}/a.txt", b"y").status_code == 404
    for other in (viewer, reader):
        assert asked(other, "GET", f"{place(run)}/a.txt").status_code == 200
        assert asked(other, "PUT", f"{place(run)}/a.txt", b"y").status_code == 403
        assert asked(other, "DELETE", f"{place(run)}/a.txt").status_code == 403
    assert body_of(asked(tracker, "GET", f"{place(run)}/a.txt")) == b"x"


def model(tracker: Tracker, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = tracker.post("logged-models", **fields)["model"]["info"]
    return found


def test_a_logged_model_is_announced_filled_completed_and_found(
    tracker: Tracker, run: str
) -> None:
    key = str(Trial.objects.get(run_id=run).study.experiment_id)
    params = [{"key": "depth", "value": "3"}]
    made = model(tracker, experiment_id=key, name="trees", source_run_id=run, params=params)
    assert made["status"] == "LOGGED_MODEL_PENDING" and made["source_run_id"] == run
    address = "/" + made["artifact_uri"].partition("mlflow-artifacts:/")[2]
    assert asked(tracker, "PUT", f"{address}/MLmodel", b"flavors: {}").status_code == 200
    assert asked(tracker, "PUT", f"{address}/code/a.py", b"").status_code == 200
    assert [file["path"] for file in listed(tracker, address)] == ["MLmodel", "code"]
    folders = f"logged-models/{made['model_id']}/artifacts/directories"
    assert tracker.get(folders)["root_uri"] == made["artifact_uri"]
    assert [file["path"] for file in tracker.get(folders)["files"]] == ["MLmodel", "code"]
    (code,) = tracker.get(folders, artifact_directory_path="code")["files"]
    assert code == {"path": "code/a.py", "is_dir": False, "file_size": 0}
    asking = {"method": "GET", "artifact_directory_path": "../.."}
    assert tracker.refused(folders, **asking)[2] == "Invalid path"
    assert Tracker("dan", "").refused(folders, method="GET")[0] == 404
    assert listed(tracker, place(run)) == []
    path = f"logged-models/{made['model_id']}"
    status, answer = patched(tracker, path, status="LOGGED_MODEL_READY")
    assert (status, answer["model"]["info"]["status"]) == (200, "LOGGED_MODEL_READY")
    tracker.post(f"{path}/params", params=[{"key": "leaves", "value": "9"}])
    assert patched(tracker, f"{path}/tags", tags=[{"key": "team", "value": "x"}])[0] == 200
    stored = tracker.get(path)["model"]
    assert {param["key"] for param in stored["data"]["params"]} == {"depth", "leaves"}
    tracker.post("runs/outputs", run_id=run, models=[{"model_id": made["model_id"], "step": 7}])
    assert tracker.read(run)["outputs"]["model_outputs"] == [
        {"model_id": made["model_id"], "step": 7}
    ]
    search = {"experiment_ids": [key], "filter": f"source_run_id = '{run}' and name = 'trees'"}
    found = tracker.post("logged-models/search", **search)["models"]
    assert [found_model["info"]["model_id"] for found_model in found] == [made["model_id"]]


def patched(tracker: Tracker, path: str, **fields: Any) -> tuple[int, Any]:
    answer: Any = tracker.client.patch(
        tracker.base + path, fields, "application/json",
        headers={"Authorization": f"Bearer {tracker.secret}"},
    )  # fmt: skip
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    "text",
    [
        "name = 'a' and (name = 'b' and name = 'c')", "(name = 'a' or name = 'b') and name = 'a'",
        "name = 'a' or name = 'b'", "tags.name = 'a'", "params.model_id = 'a'", "name != 'a'",
        "metrics.name = 'a'",
    ],
)  # fmt: skip
def test_a_filter_of_models_is_heeded_whole_or_refused(tracker: Tracker, text: str) -> None:
    key = tracker.experiment()
    model(tracker, experiment_id=key, name="a")
    for whole in ("name = 'a'", "attributes.name = 'a' and model_type = ''"):
        found = tracker.post("logged-models/search", experiment_ids=[key], filter=whole)
        assert len(found["models"]) == 1
    status, code, _ = tracker.refused("logged-models/search", experiment_ids=[key], filter=text)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")


def test_the_models_of_all_runs_are_read_however_many(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tracker.experiment()
    made = [model(tracker, experiment_id=key, name=name) for name in ("a", "b")]
    monkeypatch.setattr(mlflow_runs, "_PORTION", 1)
    runs = tracker.post("runs/search", experiment_ids=[key])["runs"]
    given = {output["model_id"] for run in runs for output in run["outputs"]["model_outputs"]}
    assert given == {found_model["model_id"] for found_model in made}


def test_a_model_without_a_run_gets_one_of_its_own(tracker: Tracker) -> None:
    key = tracker.experiment()
    made = model(tracker, experiment_id=key, name="alone")
    assert tracker.read(made["source_run_id"])["info"]["status"] == "FINISHED"


def test_models_of_another_project_are_not_found(tracker: Tracker, run: str) -> None:
    key = str(Trial.objects.get(run_id=run).study.experiment_id)
    made = model(tracker, experiment_id=key, source_run_id=run)
    path = f"logged-models/{made['model_id']}"
    dan = Tracker("dan", "")
    assert dan.refused(path, method="GET")[0] == 404
    assert patched(dan, path, status="LOGGED_MODEL_READY")[0] == 404
    assert dan.refused("logged-models", experiment_id=key, source_run_id=run)[0] == 404
    assert dan.post("logged-models/search", experiment_ids=[key])["models"] == []
    assert patched(Tracker("ben"), path, status="LOGGED_MODEL_READY")[0] == 403


def test_a_model_that_an_older_client_describes_is_in_the_tag_that_it_reads(
    tracker: Tracker, run: str
) -> None:
    for name in ("a", "b"):
        tracker.post("runs/log-model", run_id=run, model_json=f'{{"artifact_path": "{name}"}}')
    tags = {tag["key"]: tag["value"] for tag in tracker.read(run)["data"]["tags"]}
    assert tags["mlflow.log-model.history"] == '[{"artifact_path": "a"}, {"artifact_path": "b"}]'
    assert tracker.refused("runs/log-model", run_id=run, model_json="[1")[0] == 400
