"""The real web server behind proxies, as they are set right and wrong."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.urls import reverse, set_script_prefix
from hypothesis import given
from hypothesis import strategies as st

from config.proxied import without_prefix
from experiments.team.pages import account, members
from experiments.team.services import tokens
from tests import cast
from tests.services_under_test import web_server as servers
from tests.services_under_test.web_server import WebServer

HOST = "tools.example.org"


@pytest.fixture(scope="module")
def server(service_environment: dict[str, str], collected_files: None) -> Iterator[WebServer]:
    """As behind a proxy that ends TLS, below /verdict."""
    public = {"PUBLIC_URL": f"https://{HOST}/verdict", "BEHIND_TLS": "1"}
    with servers.started({**service_environment, **public}) as server:
        yield server


def ask(
    server: WebServer, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, str]:
    """Answer and its text; header names are written with _ for -."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    with closing(connection):
        connection.request(method, path, body, {"Host": HOST, **sent})
        answer = connection.getresponse()
        return answer, answer.read().decode()


@pytest.mark.django_db(transaction=True)
def test_every_address_of_an_answer_lies_below_the_prefix_and_cookies_are_secure(
    server: WebServer,
) -> None:
    for path in ("/verdict/login/", "/login/"):  # left by the proxy, or taken away
        answer, text = ask(server, path, X_Forwarded_Proto="https")
        addresses = re.findall(r'(?:href|src|action)="(/[^"]*)"', text)
        assert addresses and all(address.startswith("/verdict/") for address in addresses)
        cookie = answer.headers["Set-Cookie"]
        assert "; Path=/verdict" in cookie and "; Secure" in cookie
    redirect, _ = ask(server, "/verdict/account/", X_Forwarded_Proto="https")
    assert redirect.headers["Location"] == "/verdict/login/?next=/verdict/account/"
    style = next(address for address in addresses if address.endswith(".css"))
    answer, _ = ask(server, style, X_Forwarded_Proto="https")
    assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_programs_are_answered_below_the_prefix(server: WebServer) -> None:
    cast.project()
    _, secret = tokens.create(user=cast.person("ada"), project=None, name="t", scopes=("read",))
    known = {"Authorization": f"Bearer {secret}", "X_Forwarded_Proto": "https"}
    answer, text = ask(server, "/verdict/api/v1/openapi.json", **known)
    assert answer.status == 200
    paths = json.loads(text)["paths"]
    assert paths and [path for path in paths if not path.startswith("/verdict/api/v1/")] == []
    answer, text = ask(server, "/verdict/api/v1/projects/digits/decisions?wait=1", **known)
    assert answer.status == 200, text


@pytest.mark.parametrize("path", ["/verdict/login/", "/login/", "/api/v1/projects", "/static/x"])
def test_a_proxy_that_does_not_say_how_it_was_asked_is_told_so(
    server: WebServer, path: str
) -> None:
    answer, text = ask(server, path)
    assert answer.status == 400
    assert "BEHIND_TLS=1" in text and "X-Forwarded-Proto" in text
    redirect, _ = ask(server, path, X_Forwarded_Proto="http")
    assert path.startswith("/static") or redirect.status == 301
    probe, _ = ask(server, "/healthz")
    assert probe.status == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("https://localhost", "set BEHIND_TLS=1"),
        ("https://elsewhere.example.org", "PUBLIC_URL"),
    ],
)
def test_a_form_through_a_proxy_that_was_not_named_names_the_setting(
    web_server: WebServer, origin: str, said: str
) -> None:
    answer, text = ask(
        web_server, "/login/", "POST", "username=a", Host="localhost", Origin=origin
    )
    assert answer.status == 403 and said in text and "Nothing was recorded" in text


@pytest.mark.django_db(transaction=True)
def test_a_name_that_is_not_ours_names_the_setting(web_server: WebServer) -> None:
    answer, text = ask(web_server, "/login/", Host="verdict.example.org")
    assert answer.status == 400 and "ALLOWED_HOSTS" in text and "PUBLIC_URL" in text


@pytest.mark.parametrize(
    "path", ["/login/", "/api/v1/none", "/healthz", "/verdict/static/icon.svg"]
)
def test_a_request_id_is_passed_through_whoever_answers(server: WebServer, path: str) -> None:
    for headers in ({"X_Forwarded_Proto": "https"}, {}):  # answered, and refused before Django
        answer, _ = ask(server, path, X_Request_ID="lb-4.17", **headers)
        assert answer.headers.get_all("X-Request-ID") == ["lb-4.17"]
    answer, _ = ask(server, path, X_Request_ID="a b\tc", X_Forwarded_Proto="https")
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


@pytest.mark.django_db(transaction=True)
def test_a_request_id_stands_in_the_log(web_server: WebServer) -> None:
    ask(web_server, "/no-such-page-of-ours", X_Request_ID="r-17.4", Host="localhost")
    lines = [line for line in web_server.child.last_lines(200) if "no-such-page-of-ours" in line]
    assert lines and all("request=r-17.4" in line for line in lines)


@given(st.text("/verdict.", max_size=20))
def test_without_a_prefix_no_path_changes_and_with_one_only_those_below_it(path: str) -> None:
    assert without_prefix(path, "") == path
    below = without_prefix(path, "/verdict")
    assert below == path or f"/verdict{below}" in (path, f"{path}/")


def test_a_prefix_that_is_no_plain_path_is_one_line(tmp_path: object) -> None:
    from tests.config.test_settings import read_settings

    done: subprocess.CompletedProcess[str] = read_settings(
        tmp_path,  # type: ignore[arg-type]
        PUBLIC_URL="https://tools.example.org/a b/",
    )
    assert done.stderr.startswith("PUBLIC_URL: ") and done.stderr.count("\n") == 1


def test_links_in_mails_have_the_prefix_once(settings: Any) -> None:
    settings.PUBLIC_URL = f"https://{HOST}/verdict"
    set_script_prefix("/verdict/")
    try:
        origin = account.PasswordResetView().extra_email_context["public_url"]
        links = [members._link(1), f"{origin}{reverse('login')}"]
    finally:
        set_script_prefix("/")
    for link in links:
        assert link.startswith(f"https://{HOST}/verdict/") and link.count("/verdict/") == 1
