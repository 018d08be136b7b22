from __future__ import annotations

import gc
import hashlib
import os
import threading
import weakref
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
from tests.waiting import PATIENCE, wait_until
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
    assert [(file.name, file.kind, file.step) for file in found] == [
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
    run._files.close()
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


def test_what_cannot_be_kept_is_told_and_raises_nothing(
    client: ModuleType, server: FakeServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sent: list[str] = []
    run = start(client, server)
    run._files = client._Files(run, run._sender.server_for_files())
    run._files._send = lambda address, *_: sent.append(address) or True
    (tmp_path / "model").write_bytes(b"x")
    for path in (None, "a\0b", 5, tmp_path):
        run.log_file(path)
    run.log_file(tmp_path / "model", name=5)
    run.log_text(5, "x")
    run.log_text("a\ud800\0", "x")
    run.finish()
    assert [address.partition("?")[0] for address in sent] == [
        f"/runs/7/files/{name}" for name in ("5", "5.txt", "a%EF%BF%BD%EF%BF%BD.txt")
    ]
    assert capfd.readouterr().err.count("verdict: ") == 3, "TypeErrors are one thing"


def test_media_are_made_only_where_they_are_sent(client: ModuleType, server: FakeServer) -> None:
    class Image:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("it is rendered")

    ended = start(client, server)
    ended.finish()
    for run in (ended, start(client, server, rank=1)):
        run.log_image("sample", Image())
        run.log_figure("figure", Image())


def test_a_forked_child_leaves_what_waits_to_be_sent(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client._Files, "_keep_sending", lambda _: None)
    run = start(client, server)
    run.log_text("notes", "x")
    (_, copy, _) = run._files._waiting[0]
    child = os.fork()
    if child == 0:
        gc.collect()
        weakref.finalize._exitfunc()  # as at the end of a program
        os._exit(0)
    os.waitpid(child, 0)
    assert copy.read_text() == "x"
    with pytest.raises(client.VerdictError, match="1 files were not delivered"):
        run.finish()
    assert not copy.parent.exists()


def test_a_file_under_way_delays_the_end_by_sigterm_no_longer_than_the_rest(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(client._Files, "_send", lambda *_: released.wait(PATIENCE))
    monkeypatch.setattr(client, "TERMINATE_SECONDS", client.ENDING_SECONDS + 0.05)
    monkeypatch.setattr(client, "_die", lambda: None)
    monkeypatch.setattr(client, "_open", [])
    monkeypatch.setattr(client, "SEND_SECONDS", PATIENCE)
    runs = [start(client, server), start(client, server)]
    for run in runs:
        run.log({"loss": 1.0})
        run.log_file(FILE)
    client._terminate(15, None)
    released.set()
    assert [body["state"] for body in server.bodies("/finish")] == ["terminated"] * 2
    assert len(server.bodies("/points")) == 2


def test_sigterm_while_files_are_awaited_by_finish_hurries_it(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, asked = threading.Event(), threading.Event()
    monkeypatch.setattr(client._Files, "_send", lambda *_: asked.set() or released.wait(PATIENCE))
    monkeypatch.setattr(client, "TERMINATE_SECONDS", client.ENDING_SECONDS + 0.05)
    monkeypatch.setattr(client, "_open", [])
    died: list[bool] = []
    monkeypatch.setattr(client, "_die", lambda: died.append(True))
    run = start(client, server)
    run.log_file(FILE)
    assert asked.wait(PATIENCE)
    finishing = threading.Thread(target=lambda: run._fail("complete", ""))
    finishing.start()
    wait_until(lambda: run._ended)
    client._terminate(15, None)
    finishing.join(PATIENCE)
    released.set()
    assert [body["state"] for body in server.bodies("/finish")] == ["complete"] and died
