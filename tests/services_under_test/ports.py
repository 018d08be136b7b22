from __future__ import annotations

import random
import socket
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_240
_anywhere = random.SystemRandom()  # pytest-randomly gives all processes the same seed


def free_port() -> int:
    """A port that nothing listens on now, for a program that cannot be told to take any.

    It lies below those that the kernel hands out: any connection of another test could get one of
    these in the seconds until the program binds it.
    """
    last = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32_768
    while True:
        port = _anywhere.randrange(_FIRST, max(last, _FIRST + 1000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
