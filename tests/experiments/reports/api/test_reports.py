"""Reports over the API: written, saved against a version, frozen, read back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from experiments.team.services import tokens
from tests import cast

pytestmark = pytest.mark.django_db
R = "/api/v1/projects/digits/reports"


def call(method: str, path: str, **body: Any) -> Any:
    _, secret = tokens.create(
        user=cast.person("cleo"), project=None, name="program", scopes=("read", "write")
    )
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    return client.generic(method, f"{R}{path}", json.dumps(body), "application/json")


def test_a_program_writes_saves_and_freezes_a_report() -> None:
    cast.project()
    cast.finished_search(trials_per_arm=2)
    text = "Words.\n\nexperiments/label-smoothing/?tab=history"
    made = call("POST", "", title="Nightly", text=text).json()
    path = f"/{made['id']}"
    assert made["version"] == 1 and made["author"] == "cleo"
    assert call("PUT", path, title="Nightly", text="Newer.", version=1).json()["version"] == 2
    refused = call("PUT", path, title="Nightly", text="Mine.", version=1)
    assert refused.status_code == 409 and "Nothing was overwritten" in refused.json()["error"]
    assert call("POST", f"{path}/restore", version=1).json()["text"] == text
    frozen = call("POST", f"{path}/frozen").json()
    prose, embedded = frozen["content"]["parts"]
    assert prose["text"] == "Words.\n" and embedded["drawings"][0]["figure"]["data"]
    assert embedded["drawings"][0]["words"].startswith("Across: ")
    assert call("GET", f"/frozen/{frozen['id']}").json() == frozen
    versions = call("GET", f"{path}/versions").json()["versions"]
    assert [version["number"] for version in versions] == [3, 2, 1]
    assert [row["title"] for row in call("GET", "?q=words").json()["reports"]] == ["Nightly"]
