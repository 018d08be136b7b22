from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody
from django.test import override_settings

from experiments.trials.artifacts import s3_storage, storage
from experiments.trials.artifacts.s3_storage import S3Artifacts
from tests import s3_server

PATH = "trials/7/weights.pt"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with s3_server.serving() as found:
        yield found


@pytest.fixture(autouse=True)
def place(address: str, tmp_path: Path) -> Iterator[Path]:
    with override_settings(ARTIFACTS_DIR=tmp_path, STORAGES=s3_server.storages(address)):
        storage.storage().remove(
            [key.removeprefix("of-this-team/") for key in s3_server.keys(address)]
        )
        yield tmp_path


def wrote(place: Path, content: bytes) -> Path:
    file = place / PATH
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_a_file_comes_back_from_the_bucket_byte_for_byte(place: Path, address: str) -> None:
    content = os.urandom(3 * storage.BLOCK + 5)
    storage.storage().put(PATH, wrote(place, content))
    assert s3_server.keys(address) == [f"of-this-team/{PATH}"]
    assert storage.storage().size_of(PATH) == len(content)
    assert b"".join(storage.storage().read(PATH)) == content
    assert b"".join(storage.storage().read(PATH, len(content) - 3)) == content[-3:]
    assert b"".join(storage.storage().read(PATH, len(content))) == b""


def test_what_lies_in_a_folder_is_listed_and_deleted(place: Path) -> None:
    held = storage.storage()
    for path in (PATH, "trials/7/a/deep.txt", "trials/70/other.txt"):
        held.put(path, wrote(place, b"x"))
    assert [(file.path, file.size) for file in held.files_in("trials/7")] == [(PATH, 1)]
    assert held.folders_in("trials") == ["7", "70"]
    held.remove([PATH, "trials/7/never-there.pt"])
    assert held.files_in("trials/7") == []


def test_a_missing_file_is_one_that_is_not_found_and_a_closed_port_one_that_is_away(
    place: Path,
) -> None:
    with pytest.raises(FileNotFoundError):
        b"".join(storage.storage().read(PATH))
    closed = s3_server.storages("http://127.0.0.1:1")
    with override_settings(STORAGES=closed), pytest.raises(storage.StorageAway):
        storage.storage().put(PATH, wrote(place, b"x"))


def test_an_upload_that_broke_off_sends_only_the_parts_that_are_missing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = 5 * 2**20  # the smallest that the protocol takes
    monkeypatch.setattr(s3_storage, "PART", part)
    content = os.urandom(3 * part + 1)
    file, held = wrote(place, content), storage.storage()
    assert isinstance(held, S3Artifacts)
    sent, send, breaks = [], held._client.upload_part, [3]

    def broken(**part: Any) -> Any:
        if part["PartNumber"] in breaks:
            raise ReadTimeoutError(endpoint_url=breaks.pop())
        sent.append(part["PartNumber"])
        return send(**part)

    with mock.patch.object(held._client, "upload_part", broken):
        with pytest.raises(storage.StorageAway):
            held.put(PATH, file)
        held.put(PATH, file)
    assert sent == [1, 2, 3, 4]
    assert b"".join(held.read(PATH)) == content


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3 * storage.BLOCK)
    storage.storage().put(PATH, wrote(place, content))
    whole, breaks = StreamingBody.iter_chunks, [1, 1]

    def broken(body: StreamingBody, size: int) -> Iterator[bytes]:
        for number, block in enumerate(whole(body, size)):
            if breaks and number == breaks[0]:
                breaks.pop()
                raise ReadTimeoutError(endpoint_url="")
            yield block

    monkeypatch.setattr(StreamingBody, "iter_chunks", broken)
    assert b"".join(storage.storage().read(PATH)) == content
    assert breaks == []


def test_a_working_copy_is_fetched_once_goes_on_after_a_break_and_is_checked(place: Path) -> None:
    content = os.urandom(storage.BLOCK + 9)
    digest = hashlib.sha256(content).hexdigest()
    file = wrote(place, content)
    storage.storage().put(PATH, file)
    file.unlink()
    file.with_suffix(".fetched").write_bytes(content[: storage.BLOCK])
    storage.fetch(PATH, size=len(content), sha256=digest)
    assert file.read_bytes() == content and list(file.parent.iterdir()) == [file]
    file.unlink()
    with pytest.raises(OSError, match="other bytes than were recorded"):
        storage.fetch(PATH, size=len(content), sha256="0" * 64)
    assert not list(file.parent.iterdir())
