"""Files sent to the real web server, which reads none of them before it knows who sends what."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from config.uploads import AT_ONCE
from experiments.models import Artifact, Project, Trial
from experiments.team.services import tokens
from experiments.trials.lifecycle.services import runs
from tests import cast
from tests.services_under_test.web_server import WebServer
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 2**20


class Sender:
    """A program with a token and a run."""

    def __init__(self, server: WebServer, who: str = "cleo") -> None:
        if not Project.objects.exists():
            cast.project()
        parts = urlsplit(server.url)
        self.place = parts.hostname or "", parts.port or 0
        self.token = tokens.create(
            user=cast.person(who), project=None, name="t", scopes=("read", "write")
        )[1]
        new = runs.NewRun(experiment="from a laptop", params={"a": 1})
        self.run = runs.create(access=cast.access("cleo"), new=new).run_id
        self.path = f"/api/v1/runs/{self.run}/files/model.bin"

    def headers(self, **more: Any) -> dict[str, str]:
        return {"Host": "localhost", "Authorization": f"Bearer {self.token}", **more}

    def put(self, body: Any, query: str = "", **headers: str) -> tuple[int, Any]:
        with closing(http.client.HTTPConnection(*self.place, timeout=PATIENCE)) as client:
            client.request("PUT", self.path + query, body, self.headers(**headers))
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())

    def begin(self, announced: int, sent: bytes, query: str = "", **headers: str) -> socket.socket:
        """A request whose body is not complete yet."""
        client = socket.create_connection(self.place, timeout=PATIENCE)
        lines = self.headers(**{"Content-Length": str(announced)}, **headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        client.sendall(f"PUT {self.path}{query} HTTP/1.1\r\n{head}\r\n".encode() + sent)
        return client

    def received(self, key: str) -> int:
        with closing(http.client.HTTPConnection(*self.place, timeout=PATIENCE)) as client:
            address = f"/api/v1/runs/{self.run}/uploads/{key}"
            client.request("GET", address, headers=self.headers())
            return int(json.loads(client.getresponse().read())["received"])


@pytest.fixture
def sender(web_server: WebServer) -> Sender:
    return Sender(web_server)


def answer_of(client: socket.socket) -> bytes:
    """All that the server says before it closes the connection."""
    answer = b""
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            answer += part
    return answer


def drafts() -> list[int]:
    folder = Path(settings.ARTIFACTS_DIR) / "incoming"
    sizes = []
    for path in folder.rglob("*.part"):
        with suppress(FileNotFoundError):  # it has just ended
            sizes.append(path.stat().st_size)
    return sizes


def pieces(size: int) -> Iterator[bytes]:
    for start in range(0, size, 65536):
        yield os.urandom(min(65536, size - start))


def test_a_file_larger_than_any_other_body_arrives_byte_for_byte(sender: Sender) -> None:
    content = os.urandom(20 * MEGABYTE + 3)
    status, kept = sender.put(content)
    assert status == 201 and kept["size"] == len(content), kept
    assert kept["sha256"] == hashlib.sha256(content).hexdigest()
    row = Artifact.objects.get()
    assert (Path(settings.ARTIFACTS_DIR) / row.path).read_bytes() == content
    status, kept = sender.put(pieces(3 * MEGABYTE), "?step=2")  # chunked, its size unknown
    assert status == 201 and kept["size"] == 3 * MEGABYTE
    assert drafts() == []


def test_who_may_not_write_is_told_before_anything_is_read(web_server: WebServer) -> None:
    viewer = Sender(web_server, "ben")
    with closing(viewer.begin(10**12, b"a")) as client:
        answer = answer_of(client)
        assert answer.startswith(b"HTTP/1.1 403") and b"connection: close" in answer
    stranger = Sender(web_server)
    stranger.token = "none"
    with closing(stranger.begin(10**12, b"", Expect="100-continue")) as client:
        answer = answer_of(client)
        assert answer.startswith(b"HTTP/1.1 401"), "no 100 Continue"
    assert drafts() == []


def test_too_large_a_file_is_refused_before_it_comes_and_while_it_comes(sender: Sender) -> None:
    largest = settings.FILE_MEGABYTES * MEGABYTE
    with closing(sender.begin(largest + 1, b"a")) as client:
        answer = answer_of(client)
        assert answer.startswith(b"HTTP/1.1 413") and b"connection: close" in answer
        assert b"FILE_MEGABYTES" in answer
    run = cast.finished_search(trials_per_arm=1).studies.all()[0].trials.all()[0]
    room = settings.PROJECT_FILES_GIGABYTES * 2**30 - 2 * MEGABYTE
    Artifact.objects.create(
        trial=run, kind="file", name="big", path="x", size=room, sha256="0" * 64
    )
    with closing(http.client.HTTPConnection(*sender.place, timeout=PATIENCE)) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.request("PUT", sender.path, pieces(64 * MEGABYTE), sender.headers())
        answer = client.getresponse()
        assert answer.status == 413
        assert "PROJECT_FILES_GIGABYTES" in json.loads(answer.read())["error"]
    assert drafts() == [] and Artifact.objects.count() == 1


def test_an_upload_that_broke_off_goes_on_where_it_stopped(sender: Sender) -> None:
    content = os.urandom(4 * MEGABYTE)
    digest = hashlib.sha256(content).hexdigest()
    query = f"?upload=mine&sha256={digest}"
    with closing(sender.begin(len(content), content[: 3 * MEGABYTE], query)):
        wait_until(lambda: sender.received("mine") >= 2 * MEGABYTE)
        status, answer = sender.put(b"a", query)  # refused before it is read
        assert status == 409 and "being received already" in answer["error"]

    def goes_on() -> bool:
        start = sender.received("mine")
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        try:
            status, answer = sender.put(content[start:], query, **{"Content-Range": span})
        except ConnectionError:  # refused while it was still being sent
            return False
        assert status in (201, 409), answer
        return status == 201

    wait_until(goes_on)  # once the server has noticed that the first connection is gone
    assert Artifact.objects.get().sha256 == digest
    assert sender.received("mine") == 0 and drafts() == []


def test_an_upload_that_nobody_can_go_on_with_leaves_nothing(sender: Sender) -> None:
    with closing(sender.begin(4 * MEGABYTE, os.urandom(2 * MEGABYTE))):
        wait_until(lambda: sum(drafts()) >= MEGABYTE)
    wait_until(lambda: drafts() == [])
    assert not Artifact.objects.exists()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak")
def test_a_large_file_goes_through_mlflow_s_address_both_ways_in_little_memory(
    sender: Sender, web_server: WebServer
) -> None:
    key = uuid.uuid4()
    Trial.objects.filter(pk=sender.run).update(run_id=key)
    experiment = Trial.objects.get(pk=sender.run).study.experiment_id
    sender.path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{key.hex}/artifacts/model.bin"
    block = os.urandom(MEGABYTE)
    sent = hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        for _ in range(64):
            sent.update(block)
            yield block

    assert sender.put(block)[0] == 200  # and all that a first upload brings into the memory
    before = peak(web_server.pid, anew=True)
    assert sender.put(blocks(), **{"Content-Length": str(64 * MEGABYTE)})[0] == 200
    came = hashlib.sha256()
    with closing(http.client.HTTPConnection(*sender.place, timeout=PATIENCE)) as client:
        client.request("GET", sender.path, headers=sender.headers())
        answer = client.getresponse()
        while some := answer.read(MEGABYTE):
            came.update(some)
    assert came.digest() == sent.digest()
    assert peak(web_server.pid) - before < 16 * MEGABYTE


def peak(pid: int, *, anew: bool = False) -> int:
    """The most bytes that a process has held at once, or, `anew`, holds now."""
    if anew:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def test_slow_uploads_hold_no_thread_and_the_pages_answer(sender: Sender) -> None:
    clients = [sender.begin(MEGABYTE, b"a", f"?step={number}") for number in range(20)]
    try:
        wait_until(lambda: len(drafts()) >= AT_ONCE)
        with closing(http.client.HTTPConnection(*sender.place, timeout=PATIENCE)) as client:
            client.request("GET", f"/api/v1/runs/{sender.run}", headers=sender.headers())
            assert client.getresponse().status == 200
    finally:
        for opened in clients:
            opened.close()
    wait_until(lambda: drafts() == [])
