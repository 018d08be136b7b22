from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from experiments.models import Trial
from tests import cast
from tests.experiments.tracking.api.test_runs import RUNS, Program

pytestmark = pytest.mark.django_db
CONTENT = b"\x89PNG and more"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    cast.project()
    with override_settings(ARTIFACTS_DIR=tmp_path):
        yield tmp_path


def send(
    program: Program, address: str, body: bytes = CONTENT, method: str = "put", **headers: str
) -> tuple[int, Any]:
    answer = getattr(program.client, method)(
        f"{RUNS}/{address}",
        body,
        content_type="application/octet-stream",
        headers={"Authorization": f"Bearer {program.secret}", **headers},
    )
    return answer.status_code, json.loads(answer.content or b"null")


def test_a_program_stores_reads_back_lists_and_deletes_files_of_its_run() -> None:
    program = Program(scopes=("read", "write"))
    run = program.create()
    digest = hashlib.sha256(CONTENT).hexdigest()
    for step in (1, 2):
        status, kept = send(
            program, f"{run}/files/plots/roc.png?kind=image&step={step}&sha256={digest}"
        )
        assert status == 201, kept
        assert {**kept, "id": 0} == {
            "id": 0, "kind": "image", "name": "plots/roc.png", "size": len(CONTENT),
            "sha256": digest, "step": step,
        }  # fmt: skip
    status, listed = program.get(f"{RUNS}/{run}/files")
    assert [(file["name"], file["step"]) for file in listed["files"]] == [
        ("plots/roc.png", 1), ("plots/roc.png", 2)
    ]  # fmt: skip
    answer = program.client.get(
        f"{RUNS}/{run}/files/plots/roc.png", headers={"Authorization": f"Bearer {program.secret}"}
    )
    assert b"".join(answer.streaming_content) == CONTENT  # type: ignore[attr-defined]
    assert answer["ETag"] == f'"{digest}"' and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("attachment")
    assert send(program, f"{run}/files/plots/roc.png?step=1", b"", "delete")[0] == 204
    assert [file["step"] for file in program.get(f"{RUNS}/{run}/files")[1]["files"]] == [2]
    assert send(program, f"{run}/files/plots/roc.png?step=1", b"", "delete")[0] == 404


def test_a_body_that_was_altered_on_its_way_is_refused_and_gone(folder: Path) -> None:
    program = Program()
    run = program.create()
    status, answer = send(program, f"{run}/files/a.bin?sha256={'0' * 64}")
    assert status == 422 and "send it again" in answer["error"]
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("b?kind=checkpoint", {}, 422),
        ("b?step=inf", {}, 422),
        ("b?upload=../x", {}, 422),
        ("b?sha256=1", {}, 422),
        ("../b", {}, 422),
        ("b", {"Content-Encoding": "gzip"}, 422),
        ("b", {"Content-Range": "bytes 1-"}, 422),
        ("b", {"Content-Range": "bytes 7-9/10"}, 409),
    ],
)
def test_what_is_wrong_with_an_upload_is_said(
    folder: Path, query: str, headers: dict[str, str], status: int
) -> None:
    program = Program()
    run = program.create()
    found, answer = send(program, f"{run}/files/{query}", **headers)
    assert found == status and answer["error"], answer
    assert [path.stat().st_size for path in folder.rglob("*") if path.is_file()] in ([], [0])


def test_others_can_neither_write_read_nor_delete(folder: Path) -> None:
    owner = Program()
    run = owner.create()
    assert send(owner, f"{run}/files/a.txt")[0] == 201
    cast.project("other")
    for who, more, write, read in (
        ("dan", {}, 404, 404),
        ("ben", {}, 403, 200),
        ("cleo", {"scopes": ("read",)}, 403, 200),
        ("cleo", {"project": cast.project("elsewhere")}, 404, 404),
    ):
        program = Program(who, **({"scopes": ("read", "write")} | more))
        assert send(program, f"{run}/files/b.txt")[0] == write
        assert send(program, f"{run}/files/a.txt", b"", "delete")[0] == write
        assert program.get(f"{RUNS}/{run}/uploads/key")[0] == read
        assert program.get(f"{RUNS}/{run}/files")[0] == read


def test_a_workers_trial_takes_no_file_from_outside() -> None:
    search = cast.finished_search(trials_per_arm=1)
    trial = Trial.objects.filter(study__experiment=search)[0]
    program = Program(scopes=("read", "write"))
    assert send(program, f"{trial.pk}/files/a.txt")[0] == 409
    assert program.get(f"{RUNS}/{trial.pk}/files") == (200, {"files": []})
