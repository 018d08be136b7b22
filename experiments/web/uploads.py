"""Bodies of any size: written to disk while they arrive, and handed to a view once they are whole.

`config.uploads` calls a view twice. At first no body is there: the view checks who asks for what,
says by `body_of` how much it would take, and answers `GO_ON`. Only then is anything read. When all
has arrived, the view is called again and gets the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from experiments.errors import Conflict, VerdictError

EXCHANGE = "verdict.upload"  # the key of `Exchange` in the scope of a request
ADDRESSES = re.compile(
    r"/api/v1/runs/\d+/files/|.*/mlflow-artifacts/artifacts/|/projects/[^/]+/import/file/"
)
FOLDER = "incoming"  # in the folder of artifacts, so that a draft is moved and not copied
KEPT_SECONDS = 24 * 3600  # a draft that broke off waits so long to be gone on with
_BLOCK = 2**20
_RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/(?:[0-9]{1,15}|\*)")


class UploadTooLarge(VerdictError):
    """The body is larger than the view takes."""

    status = 413


class BadUpload(VerdictError):
    """The body is not the one that was announced."""

    status = 422


@dataclass(frozen=True, slots=True)
class Place:
    """Limits of a project whose drafts lie together.

    `most`: bytes of one file; `left`: of all that are being received. `message` says the limit.
    """

    project_id: int
    most: int
    left: int
    message: str


class Draft:
    """A body on its way to disk. One with a `key` outlives a broken connection.

    Raises:
        Conflict: when it does not go on at `start`, or is being received already.
    """

    def __init__(self, place: Place, *, key: str = "", start: int = 0) -> None:
        self.place = place
        self.key = key
        self._folder = Path(settings.ARTIFACTS_DIR) / FOLDER / str(place.project_id)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_old(self._folder)
        self.path = _path(place.project_id, key or uuid.uuid4().hex)
        self._file = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise Conflict("This upload is being received already.") from None
        if start == 0:
            self._file.truncate(0)
        self.size = self._file.seek(0, os.SEEK_END)
        if self.size != start:
            self._file.close()
            raise Conflict(f"The upload goes on at byte {self.size}, not {start}.")
        self._digest = hashlib.sha256()
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            self._digest.update(block)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, block: bytes) -> None:
        """Append a block.

        Raises:
            UploadTooLarge: instead, beyond what may be taken.
            OSError: when the disk does not take it.
        """
        together = 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another upload has just ended
                    together += entry.stat().st_size
        if self.size + len(block) > self.place.most or together + len(block) > self.place.left:
            raise UploadTooLarge(self.place.message)
        self._file.write(block)
        self._file.flush()
        self._digest.update(block)
        self.size += len(block)

    def finish(self) -> None:
        """Bring all of it to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self, *, keep: bool = False) -> None:
        """Free what was not taken; with `keep` what has arrived waits to be gone on with.

        Nothing the second time: the path may be another upload's by then.
        """
        if self._file.closed:
            return
        if not (keep and self.key):
            self.path.unlink(missing_ok=True)
        self._file.close()


@dataclass(slots=True)
class Exchange:
    """State of one upload, shared by view and server."""

    draft: Draft | None = None
    is_whole: bool = False


def go_on() -> HttpResponse:
    """The answer of a view that would take the body."""
    return HttpResponse(status=204)


def body_of(
    request: HttpRequest, place: Place, *, key: str = "", sha256: str = ""
) -> Draft | None:
    """The whole body as a file, which the view moves away; None while it has not been read, and
    the view is to answer `go_on()`.

    `key` names an upload that may go on after a break, at the start that Content-Range tells.

    Raises:
        UploadTooLarge, Conflict: as `Draft` does.
        BadUpload: when the checksum is not `sha256`, where that is given.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadUpload("Send the file as it is, without Content-Encoding.")
    exchange: Exchange | None = getattr(request, "scope", {}).get(EXCHANGE)
    if exchange is None:  # not behind `config.uploads`: the body was read, within its small limit
        exchange = Exchange(_in_one_go(request, place, key), is_whole=True)
    elif exchange.draft is None:
        exchange.draft = Draft(place, key=key, start=_start(request))
    draft = exchange.draft
    if draft is None or not exchange.is_whole:
        return None
    if sha256 and draft.sha256 != sha256.lower():
        draft.close()
        raise BadUpload(f"The body's SHA-256 is {draft.sha256}, not {sha256:.64}; send it again.")
    return draft


def _in_one_go(request: HttpRequest, place: Place, key: str) -> Draft:
    draft = Draft(place, key=key, start=_start(request))
    try:
        draft.write(request.body)
        draft.finish()
    except BaseException:
        draft.close()
        raise
    return draft


def received(project_id: int, key: str) -> int:
    """Bytes of a broken upload that have arrived."""
    with suppress(FileNotFoundError):
        return _path(project_id, key).stat().st_size
    return 0


def _path(project_id: int, key: str) -> Path:
    name = hashlib.sha256(key.encode()).hexdigest()
    return Path(settings.ARTIFACTS_DIR) / FOLDER / str(project_id) / f"{name}.part"


def _start(request: HttpRequest) -> int:
    span = request.headers.get("Content-Range", "")
    found = _RANGE.fullmatch(span)
    if span and not found:
        raise BadUpload(f"Content-Range: found {span!r:.60}; expected bytes 1000-4999/5000")
    return int(found.group(1)) if found else 0


def _forget_old(folder: Path) -> None:
    before = time.time() - KEPT_SECONDS
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.stat().st_mtime < before:
                    Path(entry.path).unlink()
