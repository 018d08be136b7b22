from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from experiments.models import Artifact, Trial
from experiments.models.trial import TrialState
from experiments.team.services import tokens
from experiments.trials.artifacts.queries import artifacts as queries
from tests import cast
from tests.client.fake_server import FakeServer
from tests.client.starting import FILE, start
from tests.services_under_test.web_server import WebServer
from workers.training import media


def test_media_become_files_as_they_do_in_training_functions() -> None:
    begin, end = "IMAGE_KINDS", "# --- End of"
    ours, theirs = (
        path.read_text().partition(begin)[2].partition(end)[0].strip()
        for path in (Path(media.__file__), FILE)
    )
    assert ours == theirs


@pytest.mark.django_db(transaction=True)
def test_files_and_media_of_a_run_reach_the_server(
    client: ModuleType, web_server: WebServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cast.project()
    token = tokens.create(user=cast.person("cleo"), project=None, name="t", scopes=("write",))[1]
    source, content = tmp_path / "model.bin", os.urandom(3 * 2**20)
    source.write_bytes(content)
    given = {"project": "digits", "experiment": "laptop", "url": web_server.url, "token": token}
    with client.run(**given) as run:
        run.log({"validation_accuracy": 0.5}, step=1)
        run.log_file(source)
        source.write_bytes(b"changed")
        run.log_image("sample", np.zeros((2, 2), np.uint8), step=1)
        run.log_table("table", {"a": [1]})
        run.log_histogram("weights", [1.0, 2.0], step=0.5)
        run.log_text("folder/notes", "Grüße")
        run.log_file(tmp_path / "missing")
        run.log_image("no image", b"<svg/>")
        run.log_text("../escape", "x")
    found = queries.logged_files(run.id)
    assert [(each.name, each.kind, each.step) for each in found] == [
        ("folder/notes.txt", "text", None), ("model.bin", "file", None),
        ("sample.png", "image", 1), ("table.csv", "table", None),
        ("weights.json", "histogram", 0.5),
    ]  # fmt: skip
    assert found[1].sha256 == hashlib.sha256(content).hexdigest()
    assert Trial.objects.get(pk=run.id).state == TrialState.COMPLETE
    said = capfd.readouterr().err
    for part in ("file 'missing'", "no PNG, JPEG", "is no name of a file"):
        assert said.count(part) == 1, said
    run.log_text("late", "x")
    assert Artifact.objects.count() == 5


def test_a_file_goes_on_where_the_connection_broke(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int, bytes]] = []

    def request(self: Any, method: str, address: str, body: Any, headers: Any = None) -> Any:
        if method == "GET":
            return {"received": 4}
        if headers is None:
            return {}
        sent.append(
            (headers.get("Content-Range", ""), int(headers["Content-Length"]), body.read())
        )
        if len(sent) == 1:
            raise client._Away("broke")
        return {}

    run = start(client, server)
    monkeypatch.setattr(client._Server, "request", request)
    run.log_text("notes", "0123456789")
    run._files.close(60)
    assert sent == [("", 10, b"0123456789"), ("bytes 4-9/10", 6, b"456789")]
    monkeypatch.undo()
    run._files = None
    run.finish()


def test_files_that_cannot_be_delivered_are_told_at_the_end(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise client._Away("nobody")

    monkeypatch.setattr(client._Server, "send_file", away)
    monkeypatch.setattr(client, "CLOSE_SECONDS", 0.05)
    run = start(client, server)
    run.log_text("a", "x")
    with pytest.raises(client.VerdictError, match="1 files were not delivered"):
        run.finish()
    assert server.bodies("/finish"), "the run has ended all the same"
