"""Answers that are sent while they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

AT_ONCE = 8  # each holds a thread and a database connection while its client reads


def download(
    request: HttpRequest, parts: Iterator[bytes], *, content_type: str, filename: str
) -> StreamingHttpResponse:
    """A file in parts; under ASGI each is made only when the one before has been sent.

    `parts` must not have begun: what it asks of the database it asks when it is sent. At most
    `AT_ONCE` are sent at a time, the others wait.
    """
    # Django would gather a synchronous iterator in memory before it sends the first byte.
    content = _one_by_one(parts) if isinstance(request, ASGIRequest) else parts
    response = StreamingHttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(filename)}"
    return response


async def _one_by_one(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    def following() -> bytes | None:
        return next(parts, None)

    async with _turns():
        while (part := await sync_to_async(following)()) is not None:
            yield part


@lru_cache(maxsize=1)
def _turns() -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_ONCE)
