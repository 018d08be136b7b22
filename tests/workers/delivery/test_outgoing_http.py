"""Against a real receiver in a thread, which is good, bad and worse."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import pytest

from experiments.team.services.deliveries import Answer
from tests.services_under_test.receiver import Receiver
from workers.delivery.outgoing_http import post

LOCAL = ("127.0.0.0/8",)


def test_a_body_arrives_with_its_headers_and_path(receiver: Receiver) -> None:
    answer = post(receiver.url, b"{}", {"Verdict-Event": "decided"}, networks=LOCAL)
    assert (answer.sent, answer.status, answer.text) == (True, 200, "thanks")
    headers, body = receiver.got[0]
    assert body == b"{}" and headers["Verdict-Event"] == "decided"
    assert headers[":path"] == "/hook?team=digits"
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"


def test_without_leave_of_the_operator_this_machine_is_not_reached(receiver: Receiver) -> None:
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"):
        answer = post(f"http://{host}:{receiver.port}/", b"{}", {})
        assert not answer.sent and answer.final, host
        assert "Refused" in answer.text and "not a public address" in answer.text
    assert receiver.got == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(receiver: Receiver) -> None:
    answer = post(
        f"http://hooks.example.org:{receiver.port}/",
        b"{}",
        {},
        lookup=lambda host, port: ["93.184.216.34", "127.0.0.1"],
    )
    assert answer.final and "127.0.0.1 is not a public address" in answer.text
    assert receiver.got == []


def test_a_name_is_resolved_once_and_the_checked_address_is_called(receiver: Receiver) -> None:
    """A name that answers differently a second time (DNS rebinding) is never asked again."""
    asked = []

    def lookup(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    url = f"http://hooks.example.org:{receiver.port}/hook"
    answer = post(url, b"{}", {}, networks=["127.0.0.1/32"], lookup=lookup)
    assert answer.sent and asked == ["hooks.example.org"]
    assert receiver.got[0][0]["Host"] == f"hooks.example.org:{receiver.port}"


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = ["redirect", 200]
    answer = post(receiver.url, b"{}", {}, networks=LOCAL)
    assert (answer.sent, answer.status) == (False, 302)
    assert "Redirects are not followed" in answer.text and len(receiver.got) == 1


def test_an_error_of_the_receiver_is_told_with_what_it_said(receiver: Receiver) -> None:
    receiver.answers = [500]
    answer = post(receiver.url, b"{}", {}, networks=LOCAL)
    assert (answer.sent, answer.status, answer.final) == (False, 500, False)
    assert answer.text.startswith("it is broken")


@pytest.mark.parametrize("manner", ["hang", "drip"])
def test_a_receiver_that_takes_for_ever_is_left_in_time(receiver: Receiver, manner: str) -> None:
    receiver.answers = [manner]
    answer = post(receiver.url, b"{}", {}, networks=LOCAL, seconds=0.4)
    assert not answer.sent and not answer.final and answer.text == "No answer in time."


def test_of_a_giant_answer_only_a_little_is_read(receiver: Receiver) -> None:
    receiver.answers = ["giant"]
    answer = post(receiver.url, b"{}", {}, networks=LOCAL)
    assert answer.sent and len(answer.text) <= 4000
    assert receiver.sent_bytes < 2**27


def test_nobody_there_and_no_such_name_are_said(receiver: Receiver) -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    answer = post("http://no.example.org/", b"{}", {}, lookup=unknown)
    assert "cannot be resolved" in answer.text and not answer.final
    closed = post("http://127.0.0.1:1/", b"{}", {}, networks=LOCAL)
    assert "Connection refused" in closed.text and not closed.final


def test_over_https_the_name_is_asked_for_and_its_certificate_checked(
    tls_receiver: tuple[Receiver, ssl.SSLContext],
) -> None:
    """The connection goes to the checked address, the name stands in SNI and Host."""
    receiver, trusting = tls_receiver

    def ask(name: str, context: ssl.SSLContext | None) -> Answer:
        address = f"https://{name}:{receiver.port}/hook"
        lookup = lambda host, port: ["127.0.0.1"]  # noqa: E731
        return post(address, b"{}", {}, networks=LOCAL, lookup=lookup, context=context)

    assert ask("hooks.example.org", trusting).sent
    assert receiver.asked_for == ["hooks.example.org"]
    assert receiver.got[0][0]["Host"] == f"hooks.example.org:{receiver.port}"
    for answer in (ask("other.example.org", trusting), ask("hooks.example.org", None)):
        assert not answer.sent and "CERTIFICATE_VERIFY_FAILED" in answer.text
    assert len(receiver.got) == 1


def test_a_receiver_without_tls_is_none_over_https(receiver: Receiver) -> None:
    answer = post(f"https://127.0.0.1:{receiver.port}/", b"{}", {}, networks=LOCAL)
    assert not answer.sent and "SSL" in answer.text and receiver.got == []
