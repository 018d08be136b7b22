"""A recorded file of a trial as a download; pages and API share it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.http import HttpResponseBase

from experiments.errors import NotFound
from experiments.trials.artifacts.queries.artifacts import KeptFile
from experiments.trials.artifacts.services.artifacts import whole_path
from experiments.web.streaming import download

_BLOCK = 2**20
CONTENT_TYPE = "application/octet-stream"


def sent(kept: KeptFile, *, filename: str) -> HttpResponseBase:
    """The bytes, always to be saved: a browser never shows what a program wrote.

    Raises:
        NotFound: when the file does not lie here any more.
    """
    try:
        path = whole_path(kept.path)
    except ValueError:
        raise NotFound("There is no such file.") from None
    if not path.is_file():
        raise NotFound(f"{kept.name} is not on this machine any more.")
    answer = download(_blocks(path), content_type=CONTENT_TYPE, filename=filename)
    answer["Content-Length"] = str(path.stat().st_size)
    answer["X-Content-Type-Options"] = "nosniff"
    answer["ETag"] = f'"{kept.sha256}"'
    return answer


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
