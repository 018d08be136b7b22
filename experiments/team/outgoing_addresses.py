"""Addresses that outgoing requests may reach: public ones, and the operator's networks.

Whoever may name an address could otherwise make the server speak to machines behind its own wall.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from experiments.errors import Problem, VerdictError

LONGEST = 2000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
# What is not reachable for everybody, from IANA's IPv4 and IPv6 Special-Purpose Address Registries
# (RFC 6890, RFC 8190) and its registries of multicast and reserved space. Kept here because the
# `is_global` of Python 3.11 lets 192.0.0.0/24 pass. The few addresses within these networks that
# are reachable (anycast for NAT and TURN, ORCHID) take no messages either.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier's NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; the metadata of a cloud's machines
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments; the metadata of another cloud's
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # IETF protocol assignments, Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any IPv4 address behind it
        "3fff::/20",  # documentation
    )
)
_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """An address in its parts; `path` with the query, never empty."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def default_port(self) -> int:
        return _PORTS[self.scheme]


def parse(text: str) -> Target:
    """The parts of an http or https address.

    Raises:
        VerdictError: for anything else, for one with a password in it, and for one with a space,
            a line break or a letter outside ASCII.
    """
    if not 1 <= len(text) <= LONGEST or any(not "!" <= letter <= "~" for letter in text):
        raise _wrong(f"expected 1 to {LONGEST} printable ASCII characters without spaces")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _wrong("is not an address such as https://hooks.example.org/verdict") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise _wrong("expected an address such as https://hooks.example.org/verdict")
    if parts.username is not None or parts.password is not None:
        raise _wrong("must not hold a user name or password")
    if port == 0:
        raise _wrong("has no port 0 to send to")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)


def refusal(address: str, networks: Sequence[str]) -> str:
    """Reason to send nothing to an IP address; "" if there is none. `networks` may be."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return f"{address} is no IP address"
    shown = {found, _inner(found)}
    if any(
        candidate in ipaddress.ip_network(network) for network in networks for candidate in shown
    ):
        return ""
    if _is_public(_inner(found)):
        return ""
    return f"{address} is not a public address, and the operator has not allowed its network"


def literal(host: str) -> str:
    """The host when it is an IP address itself, else ""."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    return not any(address in network for network in _SPECIAL)


def _wrong(message: str) -> VerdictError:
    return VerdictError("The address cannot be sent to.", [Problem("address", message)])
