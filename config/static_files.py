"""Static files: hashed and compressed when collected, answered before Django sees the request.

WhiteNoise knows the files, their encodings, ranges and cache headers; its Django middleware is
synchronous, though, and one such middleware makes every asynchronous page hold a thread. Hence
this thin ASGI layer over the same file table.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CHUNK_BYTES = 256 * 1024


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # untyped
    """Hashed names, also inside JavaScript's import statements."""

    support_js_module_import_aggregation = True


class StaticFiles:
    """ASGI: a file under STATIC_URL if there is one, else the application's answer. Paths come
    without the prefix (`config.proxied`)."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.table = WhiteNoiseMiddleware(get_response=None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = None
        if scope["type"] == "http" and scope["path"].startswith(self.table.static_prefix):
            file = self._find(scope["path"])
        if file is None:
            await self.application(scope, receive, send)
            return
        headers = {_wsgi_name(name): value.decode("latin-1") for name, value in scope["headers"]}
        response = await asyncio.to_thread(file.get_response, scope["method"], headers)
        await send(
            {
                "type": "http.response.start",
                "status": int(response.status),
                "headers": [
                    (name.lower().encode("latin-1"), value.encode("latin-1"))
                    for name, value in response.headers
                ],
            }
        )
        await _send_body(response.file, send)

    def _find(self, path: str) -> Any:
        # While debugging, files are looked up in their source folders at every request.
        return self.table.find_file(path) if self.table.autorefresh else self.table.files.get(path)


async def _send_body(file: BinaryIO | None, send: Send) -> None:
    if file is None:
        await send({"type": "http.response.body", "body": b""})
        return
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        file.close()


def _wsgi_name(name: bytes) -> str:
    return "HTTP_" + name.decode("latin-1").upper().replace("-", "_")


def collect_if_changed() -> bool:
    """Collect static files unless the collected ones already match the sources.

    Returns:
        Whether they were collected. Processes that come together wait for the first.
    """
    root = Path(settings.STATIC_ROOT)
    stamp = root / ".sources"
    digest = _digest_of_sources()
    if _text_of(stamp) == digest:
        return False
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _text_of(stamp) == digest:
            return False
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(digest, encoding="ascii")
    return True


def _digest_of_sources() -> str:
    """Changes when a source file comes, goes, or is written."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _text_of(file: Path) -> str | None:
    return file.read_text(encoding="ascii") if file.exists() else None
