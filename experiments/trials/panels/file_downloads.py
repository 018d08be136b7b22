"""A recorded file of a trial as a download; pages and API share it."""

from __future__ import annotations

from django.http import HttpResponseBase

from experiments.errors import NotFound
from experiments.trials.artifacts.storage import storage
from experiments.web.streaming import download

CONTENT_TYPE = "application/octet-stream"


def sent(path: str, sha256: str, *, filename: str) -> HttpResponseBase:
    """The bytes, always to be saved: a browser never shows what a program wrote.
    The ETag is the recorded SHA-256, with which whoever needs it checks them.

    Raises:
        NotFound: when the file does not lie here any more.
    """
    try:
        size = storage().size_of(path)
    except (OSError, ValueError):
        raise NotFound("The file is recorded, but it does not lie on this server.") from None
    answer = download(storage().read(path), content_type=CONTENT_TYPE, filename=filename)
    answer["Content-Length"] = str(size)
    answer["X-Content-Type-Options"] = "nosniff"
    answer["ETag"] = f'"{sha256}"'
    return answer
