from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import VerdictError
from experiments.team.outgoing_addresses import Target, literal, parse, refusal


def test_an_address_falls_into_its_parts() -> None:
    found = parse("https://Hooks.example.org/a/b?c=d#e")
    assert found == Target("https", "hooks.example.org", 443, "/a/b?c=d")
    assert parse("http://[2606:4700::1]:8080") == Target("http", "2606:4700::1", 8080, "/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hooks.example.org/x",
        "ftp://hooks.example.org/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "https://",
        "https://user:word@hooks.example.org/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/\r\nHost: other",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org:0/",
        "https://[::1/",
        "https://höst.example.org/",
        "https://hooks.example.org/" + "x" * 2000,
    ],
)
def test_what_is_no_plain_web_address_is_refused(text: str) -> None:
    with pytest.raises(VerdictError) as raised:
        parse(text)
    assert raised.value.problems[0].where == "address"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # where clouds keep the keys of a machine
        "100.64.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "192.0.0.192",  # where one cloud keeps them, public to Python 3.11's `is_global`
        "192.0.0.9",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.7",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:101:101::",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "no address",
    ],
)
def test_addresses_behind_the_wall_are_refused(address: str) -> None:
    assert refusal(address, ())


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"]
)
def test_public_addresses_are_sent_to(address: str) -> None:
    assert refusal(address, ()) == ""


def test_the_operator_may_allow_a_network_and_no_more_than_that() -> None:
    assert refusal("10.1.2.3", ["10.1.0.0/16"]) == ""
    assert refusal("::ffff:10.1.2.3", ["10.1.0.0/16"]) == ""
    assert "operator has not allowed" in refusal("10.2.0.1", ["10.1.0.0/16"])
    assert refusal("fd12::1", ["10.0.0.0/8", "fd12::/16"]) == ""


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_an_address_wrapped_in_ipv6_fares_as_it_does_bare(number: int) -> None:
    bare = ipaddress.IPv4Address(number)
    for wrapped in (f"::ffff:{bare}", str(ipaddress.IPv6Address((0x64FF9B << 96) + number))):
        assert bool(refusal(wrapped, ())) == bool(refusal(str(bare), ()))


def test_only_a_host_that_is_a_number_is_taken_for_one() -> None:
    assert literal("127.0.0.1") == "127.0.0.1"
    assert literal("::1") == "::1"
    assert literal("2130706433") == literal("localhost") == ""
