"""Imports in the browser: a file goes up, its runs come in, and attacks do not."""

from __future__ import annotations

import json
import math
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import optuna
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from experiments.models import Experiment, Study, Trial
from experiments.models.trial_encoding import decode
from experiments.tracking.imports import optuna_files as optuna_files_reader
from experiments.tracking.pages import imports
from experiments.web.uploads import FOLDER
from tests import cast
from workers.search.exchange import open_storage

pytestmark = pytest.mark.django_db

CSV = b"name,lr,val_loss\na,0.1,0.5\nb,0.2,nan\n"


def put(content: bytes, who: str = "cleo", slug: str = "digits", **more: str) -> Any:
    client = Client()
    client.force_login(cast.person(who))
    address = f"/projects/{slug}/import/file/?{urlencode({'name': 'sweep.csv', **more})}"
    return client.put(address, content, content_type="text/csv")


def lines(content: bytes, **more: str) -> list[Any]:
    answer = put(content, **more)
    assert answer.status_code == 200, answer.content
    return [json.loads(line) for line in answer.getvalue().splitlines()]


def waiting_files() -> list[Path]:
    folder = Path(settings.ARTIFACTS_DIR) / FOLDER
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_uploaded_file_is_counted_while_it_comes_in_and_adds_nothing_twice() -> None:
    cast.project()
    first, *between, last = lines(CSV)
    assert (first["done"], first["total"]) == (0, 2)
    assert between == [{"done": 2, "total": 2}]
    assert last["report"]["experiments"] == [
        {"name": "sweep", "url": "/projects/digits/experiments/sweep/"}
    ]
    assert last["report"]["added"] == 2
    assert lines(CSV)[-1]["report"]["unchanged"] == 2
    assert Trial.objects.count() == 2
    assert waiting_files() == []


@pytest.fixture(scope="module")
def optuna_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One study, with a constraint and what is not finite, as a journal and as a database."""
    folder = tmp_path_factory.mktemp("optuna")
    found = {}
    for name in ("journal.log", "sqlite:///optuna.db"):
        path = folder / name.removeprefix("sqlite:///")
        storage = open_storage(name.replace(path.name, str(path)), must_exist=False)
        study = optuna.create_study(
            storage=storage, study_name="lab", sampler=optuna.samplers.RandomSampler(seed=0)
        )
        study.set_user_attr("owner", ["eve", math.inf])
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
        study.enqueue_trial({"x": 0.5})
        found[path.name] = path.read_bytes()
    return found


@pytest.mark.parametrize("name", ["journal.log", "optuna.db"])
def test_studies_of_an_uploaded_file_come_in_once_as_the_command_brings_them(
    name: str, optuna_files: dict[str, bytes], tmp_path: Path
) -> None:
    cast.project()
    first, *between, last = lines(optuna_files[name], name=name)
    assert (first["total"], between) == (4, [{"done": 4, "total": 4}])
    study = Study.objects.get()
    assert last["report"]["experiments"] == [
        {"name": "lab", "url": f"/projects/digits/studies/{study.pk}/"}
    ]
    assert (last["report"]["added"], study.project.slug) == (4, "digits")
    assert waiting_files() == []
    # The command takes what came by the page for the study itself, trial by trial.
    (tmp_path / name).write_bytes(optuna_files[name])
    said = StringIO()
    call_command("import", "optuna", str(tmp_path / name), "--project", "digits", stdout=said)
    assert "0 trials added, 0 brought up to date, 4 unchanged" in said.getvalue()
    assert decode(study.user_attributes) == {"owner": ["eve", math.inf]}


def test_a_file_that_holds_no_studies_is_refused_without_a_path(
    optuna_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.project()
    for content, problem in (
        (b"SQLite format 3\0" + b"x" * 100, "file is not a database"),
        (b'{"op_code": 0}\n', "journal of Optuna's"),
    ):
        answer = put(content, name="lab.db")
        assert answer.status_code == 422
        said = answer.json()
        assert problem in " ".join(said["problems"])
        assert said["error"] == "lab.db cannot be imported."
        assert str(settings.ARTIFACTS_DIR) not in answer.content.decode()
    monkeypatch.setattr(optuna_files_reader, "SECONDS", 0.01)
    assert "within 0.01 s" in put(optuna_files["optuna.db"]).json()["problems"][0]
    assert not Study.objects.exists()
    assert waiting_files() == []


def test_a_connection_that_breaks_leaves_what_came_in_and_the_next_upload_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cast.project()
    monkeypatch.setattr("experiments.tracking.services.imports._AT_ONCE", 1)
    parts = iter(put(CSV).streaming_content)
    next(parts), next(parts)
    del parts
    assert Trial.objects.count() == Experiment.objects.get().trial_count == 1
    assert lines(CSV)[-1]["report"] | {"experiments": []} == {
        "added": 1, "updated": 0, "unchanged": 1, "experiments": [], "left_out": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "line 1: the file is empty"),
        (b"lr,val_loss\n1,x\n", "line 2, column val_loss: 'x' is no number"),
        (b"PK\x03\x04\xff\xfe", "no UTF-8 text"),
        (b"lr,val_loss\n" + b"1,2\n" * 4, "line 5: more than 3 runs"),
        (b"step,val_loss\n" + b"1,2\n" * 11, "line 12: more than 20 cells"),
        (",".join(f"c{i}" for i in range(2001)).encode(), "at most 2,000 are read"),
    ],
)
def test_a_bad_or_too_large_file_is_refused_with_its_line(
    content: bytes, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.project()
    monkeypatch.setattr(imports, "MOST_RUNS", 3)
    monkeypatch.setattr(imports, "MOST_CELLS", 20)
    answer = put(content)
    assert answer.status_code == 422
    assert problem in " ".join(answer.json()["problems"])
    assert not Experiment.objects.exists()
    assert waiting_files() == []


def test_a_file_beyond_the_limit_and_a_packed_one_are_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cast.project()
    monkeypatch.setattr(imports, "MEGABYTES", 0)
    assert put(CSV).status_code == 413
    monkeypatch.undo()
    client = Client()
    client.force_login(cast.person("cleo"))
    packed = client.put(
        "/projects/digits/import/file/", CSV, content_type="text/csv",
        headers={"Content-Encoding": "gzip"},
    )  # fmt: skip
    assert packed.status_code == 422
    assert waiting_files() == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\x.csv", "/", "", "..."])
def test_a_name_of_a_file_is_no_path(name: str) -> None:
    cast.project()
    report = lines(CSV, name=name)[-1]["report"]
    assert report["added"] == 2
    (experiment,) = report["experiments"]
    assert "/" not in experiment["name"]
    client = Client()
    client.force_login(cast.person("ben"))
    assert client.get(experiment["url"]).status_code == 200


def test_an_experiment_that_workers_run_is_not_added_to() -> None:
    cast.project()
    cast.search("mine")
    last = lines(CSV, experiment="mine")[-1]
    assert "is run by workers" in last["error"]


def test_only_editors_of_the_project_import_and_only_with_the_forms_token() -> None:
    cast.project()
    assert put(CSV, who="ben").status_code == 403
    assert put(CSV, who="dan").status_code == 404
    assert Client().put("/projects/digits/import/file/", CSV).status_code == 302
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.person("cleo"))
    assert client.put("/projects/digits/import/file/", CSV).status_code == 403
    assert not Experiment.objects.exists()
