"""Answers that are sent while they are made."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from django.http import StreamingHttpResponse


def download(parts: Iterator[bytes], *, content_type: str, filename: str) -> StreamingHttpResponse:
    """A file in parts, each made when the one before has been sent (`config.threads`).

    `parts` may be asked in another thread each time: it must hold nothing of the database
    between two parts, no open cursor above all, or a client that does not read would hold it.
    """
    response = StreamingHttpResponse(parts, content_type=content_type)
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(filename)}"
    return response
