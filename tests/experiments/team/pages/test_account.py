from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.test import Client

from experiments.team.pages import account
from tests import cast

pytestmark = pytest.mark.django_db

GOOD = {"username": "ada", "password": "correct horse"}
NEW = {"new_password1": "seven green herons", "new_password2": "seven green herons"}


def guess(client: Client, times: int, **more: str) -> int:
    """The status of the last of so many wrong logins."""
    for _ in range(times):
        answer = client.post("/login/", GOOD | {"password": "wrong"}, **more)  # type: ignore[arg-type]
    return answer.status_code


def test_guessing_is_stopped_and_says_for_how_long(client: Client, settings) -> None:  # type: ignore[no-untyped-def]
    cast.person("ada")
    assert guess(client, settings.LOGIN_FAILURES_PER_NAME) == 200
    answer = client.post("/login/", GOOD)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) <= 900
    assert "Too many attempts failed" in answer.content.decode()
    assert "_auth_user_id" not in client.session, "the right password is not even tried"


@pytest.mark.parametrize(
    "spelling",
    [" ada", "ada\t", "ADA", "\uff41\uff44\uff41", "\u3000ada", " " * 150 + "ada", "\u1d2cda"],
)
def test_no_other_spelling_of_a_name_goes_round_the_limit(client: Client, spelling: str) -> None:
    cast.person("ada")
    assert guess(client, 11) == 429
    answer = client.post("/login/", GOOD | {"username": spelling}, REMOTE_ADDR="192.0.2.9")
    assert answer.status_code == 429
    assert "_auth_user_id" not in client.session


def test_other_spellings_count_for_the_name_itself(client: Client) -> None:
    cast.person("ada")
    for number in range(10):
        wrong = {"username": " " * number + "ada", "password": "wrong"}
        assert client.post("/login/", wrong).status_code == 200
    assert client.post("/login/", GOOD).status_code == 429


def test_one_address_does_not_try_all_names(client: Client, settings) -> None:  # type: ignore[no-untyped-def]
    cast.person("ada")
    settings.LOGIN_FAILURES_PER_ADDRESS = 5
    for number in range(5):
        client.post("/login/", {"username": f"name{number}", "password": "wrong"})
    assert client.post("/login/", GOOD).status_code == 429
    assert client.post("/login/", GOOD, REMOTE_ADDR="192.0.2.9").status_code == 302


def test_strangers_do_not_lock_a_person_out_of_the_own_browser(client: Client) -> None:
    cast.person("ada")
    assert client.post("/login/", GOOD).status_code == 302
    client.post("/logout/")
    assert guess(Client(), 11, REMOTE_ADDR="192.0.2.9") == 429
    assert client.post("/login/", GOOD).status_code == 302


def test_the_mark_of_a_browser_is_of_no_use_for_another_name_or_when_forged() -> None:
    cast.person("ada")
    cast.person("ben")
    own = Client()
    own.post("/login/", {"username": "ben", "password": "correct horse"})
    assert own.cookies["device"]["httponly"]
    own.post("/logout/")
    assert guess(own, 11) == 429
    forged = Client()
    forged.cookies["device"] = own.cookies["device"].value[:-2] + "xx"
    assert guess(forged, 1) == 429


@pytest.fixture(autouse=True)
def mails_leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class AtOnce:
        def submit(self, send: Any, *arguments: Any, **named: Any) -> None:
            send(*arguments, **named)

    monkeypatch.setattr(account, "MAILS", AtOnce())


def test_the_answer_to_a_reset_waits_for_no_mail_server(
    client: Client, settings, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    settings.EMAIL_HOST = "mail.example.org"
    cast.person("ada", email="ada@example.org")
    answered, sent = threading.Event(), threading.Event()

    def slow(self: EmailMultiAlternatives) -> int:
        assert answered.wait(60)
        sent.set()
        return 1

    monkeypatch.setattr(EmailMultiAlternatives, "send", slow)
    with ThreadPoolExecutor() as mails:
        monkeypatch.setattr(account, "MAILS", mails)
        assert client.post("/password/", {"email": "ada@example.org"}).status_code == 302
        assert not sent.is_set()
        answered.set()
        assert sent.wait(60)


def test_a_password_reset_opens_a_name_that_strangers_locked(client: Client, settings) -> None:  # type: ignore[no-untyped-def]
    settings.EMAIL_HOST = "mail.example.org"
    settings.PUBLIC_URL = "https://verdict.example.org"
    cast.person("ada", email="ada@example.org")
    assert guess(Client(), 11, REMOTE_ADDR="192.0.2.9") == 429
    client.post("/password/", {"email": "ada@example.org"})
    [path] = re.findall(r"https://verdict\.example\.org(/password/\S+)", mail.outbox[0].body)
    form = client.get(path, follow=True)
    assert "New password" in form.content.decode()
    assert client.post(form.redirect_chain[-1][0], NEW).headers["Location"] == "/login/"
    answer = client.post("/login/", GOOD | {"password": NEW["new_password1"]})
    assert answer.status_code == 302
    assert "has ended" in Client().get(path, follow=True).content.decode(), "once"


def test_a_reset_says_the_same_whether_there_is_such_a_person_or_not(
    client: Client, settings
) -> None:  # type: ignore[no-untyped-def]
    settings.EMAIL_HOST = "mail.example.org"
    cast.person("ada", email="ada@example.org")
    known = client.post("/password/", {"email": "ada@example.org"}, follow=True)
    unknown = client.post("/password/", {"email": "eve@example.org"}, follow=True)
    assert known.content == unknown.content
    assert len(mail.outbox) == 1


def test_reset_mails_are_not_sent_without_end(client: Client, settings) -> None:  # type: ignore[no-untyped-def]
    settings.EMAIL_HOST = "mail.example.org"
    cast.person("ada", email="ada@example.org")
    statuses = [
        client.post("/password/", {"email": "ada@example.org"}).status_code for _ in range(7)
    ]
    assert statuses == [302] * 5 + [429] * 2 and len(mail.outbox) == 5


def test_without_a_mail_server_the_page_says_what_to_do(client: Client) -> None:
    cast.person("ada", email="ada@example.org")
    assert "verdict password" in client.get("/password/").content.decode()
    assert client.post("/password/", {"email": "ada@example.org"}).status_code == 200
    assert not mail.outbox


def test_a_new_password_logs_other_browsers_out() -> None:
    cast.person("ada")
    here, there = Client(), Client()
    for client in (here, there):
        client.post("/login/", GOOD)
    answer = here.post("/account/password/", NEW | {"old_password": GOOD["password"]})
    assert answer.status_code == 302
    assert here.get("/account/").status_code == 200
    assert there.get("/account/").status_code == 302


def test_a_stolen_session_does_not_guess_the_password(client: Client, settings) -> None:  # type: ignore[no-untyped-def]
    client.force_login(cast.person("ada"))
    for _ in range(settings.LOGIN_FAILURES_PER_NAME):
        client.post("/account/password/", NEW | {"old_password": "wrong"})
    right = NEW | {"old_password": GOOD["password"]}
    assert client.post("/account/password/", right).status_code == 429
    fields = {"email": "eve@example.org", "password": GOOD["password"]}
    answer = client.post("/account/", fields)
    assert answer.status_code == 400 and "Too many attempts" in answer.content.decode()


def test_the_mail_address_changes_with_the_password_only(client: Client) -> None:
    ada = cast.person("ada")
    client.force_login(ada)
    answer = client.post("/account/", {"email": "ada@example.org", "password": "wrong"})
    assert answer.status_code == 400 and "present password" in answer.content.decode()
    right = {"email": "ada@example.org", "password": GOOD["password"]}
    assert client.post("/account/", right).status_code == 302
    ada.refresh_from_db()
    assert ada.email == "ada@example.org"
