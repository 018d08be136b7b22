"""The web server: `python -m config.web_server [--host HOST] [--port PORT]`."""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from contextlib import suppress

import uvicorn
from django.conf import settings

from config.connections import HEAD_BYTES, BoundedProtocol, Connections, most_connections

# A thread that computes lets the others on after so many seconds. With Python's own 0.005 a dozen
# busy threads keep the loop that answers a probe waiting for longer than the probe waits.
SWITCH_SECONDS = 0.0005
IDLE_SECONDS = 30
GRACE_SECONDS = 2
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of malloc.h


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m config.web_server", description=__doc__)
    parser.add_argument("--host", default=settings.HOST)
    parser.add_argument("--port", type=int, default=settings.PORT, help="0: any free one")
    parser.add_argument("--lifespan", choices=("on", "off"), default="on", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.setswitchinterval(SWITCH_SECONDS)
    _give_memory_back()
    BoundedProtocol.bounds = Connections(
        seconds=settings.WEB_CLIENT_SECONDS,
        idle_seconds=IDLE_SECONDS,
        per_address=settings.WEB_CONNECTIONS_PER_ADDRESS,
        most=most_connections(),
    )
    uvicorn.run(
        "config.asgi:application",
        host=asked.host,
        port=asked.port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan=asked.lifespan,
        h11_max_incomplete_event_size=HEAD_BYTES,
        log_level=settings.LOG_LEVEL.lower(),
        access_log=False,
        server_header=False,
        proxy_headers=settings.BEHIND_TLS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _give_memory_back() -> None:
    """Have glibc return what large bodies took; by itself it keeps tens of MB for each thread."""
    with suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 256 * 1024)  # larger pieces are the kernel's again at once
        libc.mallopt(M_ARENA_MAX, 2)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
