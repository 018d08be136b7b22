"""A recorded file of a trial as a download; pages and API share it."""

from __future__ import annotations

import logging

from django.http import HttpResponseBase, StreamingHttpResponse

from experiments.errors import NotFound, Unavailable
from experiments.trials.artifacts.storage import storage
from experiments.web.streaming import download

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/octet-stream"


def sent(path: str, sha256: str, *, filename: str) -> HttpResponseBase:
    """The bytes, always to be saved: a browser never shows what a program wrote.
    The ETag is the recorded SHA-256, with which whoever needs it checks them.

    Raises:
        NotFound: when the file does not lie here any more.
        Unavailable: when the store does not answer.
    """
    size = _size_of(path)
    answer = download(storage().read(path), content_type=CONTENT_TYPE, filename=filename)
    return _with_headers(answer, size, sha256)


def shown(path: str, sha256: str, *, content_type: str) -> HttpResponseBase:
    """The bytes of an image for a page of ours; opened by itself, it can do nothing.

    Raises:
        NotFound: when the file does not lie here any more.
        Unavailable: when the store does not answer.
    """
    size = _size_of(path)
    answer = StreamingHttpResponse(storage().read(path), content_type=content_type)
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["Cross-Origin-Resource-Policy"] = "same-origin"
    answer["Cache-Control"] = "private, max-age=3600"
    return _with_headers(answer, size, sha256)


def _size_of(path: str) -> int:
    try:
        return storage().size_of(path)
    except (FileNotFoundError, ValueError):
        raise NotFound("The file is recorded, but it does not lie on this server.") from None
    except OSError as error:
        logger.warning("the file storage does not answer: %s", error)
        raise Unavailable("The file storage does not answer; try again later.") from None


def _with_headers(answer: StreamingHttpResponse, size: int, sha256: str) -> HttpResponseBase:
    answer["Content-Length"] = str(size)
    answer["X-Content-Type-Options"] = "nosniff"
    answer["ETag"] = f'"{sha256}"'
    return answer
