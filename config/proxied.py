"""Requests as a proxy passes them on: under a path prefix, with a request id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from experiments.web.log_context import begin
from experiments.web.middleware import REQUEST_ID as HEADER
from experiments.web.middleware import accepted_or_new

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADER = HEADER.lower().encode("ascii")


class Proxied:
    """ASGI application in front of another one, which sees paths without the prefix.

    Whether the proxy has taken the prefix away (nginx with a URI in `proxy_pass`, Traefik's
    `stripPrefix`) or left it makes no difference. Every answer carries the request's id, also
    those that no middleware of Django's sees: refusals and static files.

    Args:
        prefix: path of PUBLIC_URL, such as /verdict; "" for none.
    """

    def __init__(self, application: Application, prefix: str) -> None:
        self.application = application
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != _HEADER]
        given = [value for name, value in scope["headers"] if name == _HEADER]
        request_id = accepted_or_new(given[0].decode("latin-1") if len(given) == 1 else "")
        begin(request=request_id)
        headers.append((_HEADER, request_id.encode("ascii")))

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = [
                    header for header in message.get("headers", ()) if header[0].lower() != _HEADER
                ]
                message = {**message, "headers": [*sent, headers[-1]]}
            await send(message)

        within = {**scope, "path": without_prefix(scope["path"], self._prefix)}
        await self.application({**within, "headers": headers}, receive, named)


def without_prefix(path: str, prefix: str) -> str:
    """The path below the prefix, if it lies there."""
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :] or "/"
    return path
