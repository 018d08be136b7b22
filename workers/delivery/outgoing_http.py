"""HTTP POST to a user-supplied address, guarded against SSRF.

The name is resolved once, every address that it has is checked, and the connection goes to a
checked one: a name that changes its mind between check and connection leads nowhere. Redirects
are not followed, an answer is read no further than it is kept, and all of it ends in time.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from experiments.errors import VerdictError
from experiments.team import outgoing_addresses
from experiments.team.outgoing_addresses import Target
from experiments.team.services.deliveries import Answer

SECONDS = 10.0  # for the whole of it, whatever the receiver does
MOST_READ = 4000  # bytes of an answer
Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def post(
    address: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    networks: Sequence[str] = (),
    seconds: float = SECONDS,
    lookup: Resolve = resolve,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """Send a body; errors are part of the answer.

    Args:
        networks: allowed besides public addresses.
        seconds: for the whole of it.
        context: for https; by default the receiver's certificate is verified for its name.
    """
    try:
        target = outgoing_addresses.parse(address)
    except VerdictError as error:
        return Answer(False, f"The address {error.problems[0].message}.", final=True)
    try:
        found = lookup(target.host, target.port)
    except (OSError, UnicodeError) as error:
        return Answer(False, f"The name {target.host} cannot be resolved: {error}")
    refused = [
        why for resolved in found if (why := outgoing_addresses.refusal(resolved, networks))
    ]
    if refused or not found:
        return Answer(
            False, f"Refused: {(refused or ['the name has no address'])[0]}.", final=True
        )
    deadline = time.monotonic() + seconds
    answer = Answer(False, "Nothing was tried.")
    for resolved in found[:2]:
        answer = _exchange(target, resolved, body, headers, deadline, context)
        if answer.status is not None or time.monotonic() > deadline:
            break
    return answer


def _exchange(
    target: Target,
    checked: str,
    body: bytes,
    headers: Mapping[str, str],
    deadline: float,
    context: ssl.SSLContext | None,
) -> Answer:
    connection = _Checked(target, checked, max(0.1, deadline - time.monotonic()), context)
    overdue = threading.Event()
    try:
        with _cut_off(connection, deadline, overdue):
            connection.request("POST", target.path, body, dict(headers))
            response = connection.getresponse()
            text = response.read(MOST_READ).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if overdue.is_set() or isinstance(error, TimeoutError):
            return Answer(False, "No answer in time.")
        return Answer(False, f"{type(error).__name__}: {error}")
    finally:
        connection.close()
    if overdue.is_set():  # what was cut off may read like a whole answer
        return Answer(False, "No answer in time.")
    if 300 <= response.status < 400:
        where = response.getheader("Location", "")
        text = f"Redirects are not followed: {where} {text}"
    return Answer(200 <= response.status < 300, text, status=response.status)


@contextmanager
def _cut_off(
    connection: http.client.HTTPConnection, deadline: float, overdue: threading.Event
) -> Iterator[None]:
    """Break the connection at the deadline: a receiver may send a byte at a time for ever."""

    def cut() -> None:
        overdue.set()
        opened = connection.sock
        if opened is not None:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Checked(http.client.HTTPConnection):
    """Connects to a checked address; the host's name stands in Host, SNI and certificate."""

    def __init__(
        self, target: Target, checked: str, seconds: float, context: ssl.SSLContext | None
    ) -> None:
        self.default_port = target.default_port
        super().__init__(target.host, target.port, timeout=seconds)
        self._address = checked
        self._context: ssl.SSLContext | None = None
        if target.scheme == "https":
            self._context = context or ssl.create_default_context()

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock: Any = plain  # where the deadline can find it, also during the handshake
        if self._context is not None:
            self.sock = self._context.wrap_socket(plain, server_hostname=self.host)
