from __future__ import annotations

import gzip
import http.client
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

from config import urls
from config.urls import handler400, handler403, handler404, handler500  # noqa: F401
from experiments.site.api import projects
from experiments.team.services import tokens
from tests import cast
from tests.services_under_test.web_server import WebServer

SHAPE = {"ok", "error", "errors", "status"}
SECRET = "host=db.internal password=hunter2"
RAISED = {
    "runtime": (RuntimeError(SECRET), 500),
    "value": (ValueError(SECRET), 500),
    "integrity": (IntegrityError(SECRET), 500),
    "data": (DataError(SECRET), 500),
    "operational": (OperationalError(SECRET), 503),
    "interface": (InterfaceError(SECRET), 503),
    "bad": (BadRequest(SECRET), 400),
    "suspicious": (SuspiciousOperation(SECRET), 400),
    "host": (DisallowedHost(SECRET), 400),
    "large": (RequestDataTooBig(SECRET), 413),
    "missing": (Http404(SECRET), 404),
    "forbidden": (PermissionDenied("Only an admin may do this."), 403),
}


def _broken(request: HttpRequest, what: str) -> HttpResponse:
    raise RAISED[what][0]


def breaking(get_response: Any) -> Any:
    """Middleware that breaks before any view is asked."""

    def middleware(request: HttpRequest) -> HttpResponse:
        raise RAISED[request.GET["raise"]][0]

    return middleware


urlpatterns = [
    path("api/broken/<str:what>", _broken),
    path("broken/<str:what>", _broken),
    *urls.urlpatterns,
]


def told(answer: Any, status: int) -> dict[str, Any]:
    """The error of an answer, which has the one shape and says nothing of the inside."""
    assert answer.status_code == status
    content = answer.content.decode()
    assert SECRET not in content and "Traceback" not in content and "hunter2" not in content
    found: dict[str, Any] = json.loads(content)
    assert set(found) == SHAPE and found["status"] == status and found["error"]
    return found


@pytest.mark.parametrize("what", RAISED)
@override_settings(ROOT_URLCONF=__name__, DEBUG=False)
def test_whatever_breaks_below_api_answers_in_the_one_shape(what: str) -> None:
    status = RAISED[what][1]
    address = f"/api/broken/{what}"
    asked = AsyncClient(raise_request_exception=False)
    for answer in (
        async_to_sync(asked.get)(address),
        Client(raise_request_exception=False).get(address),
    ):
        error = told(answer, status)["error"]
        assert (answer.headers["X-Request-ID"] in error) == (status >= 500)
        assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize("what", RAISED)
def test_what_middleware_raises_answers_in_the_one_shape(what: str, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.breaking"]
    answer = Client(raise_request_exception=False).get(f"/api/v1/projects?raise={what}")
    told(answer, RAISED[what][1])


@override_settings(ROOT_URLCONF=__name__)
def test_people_get_pages_instead() -> None:
    for what, (_, status) in RAISED.items():
        answer = Client(raise_request_exception=False).get(f"/broken/{what}")
        assert answer.status_code in (status, 400 if status == 413 else 500)
        text = answer.content.decode()
        assert text.startswith("<!doctype html>") and SECRET not in text


@pytest.mark.django_db
@pytest.mark.parametrize("error", [RuntimeError(SECRET), OperationalError(SECRET)])
def test_an_operation_of_the_api_that_breaks_says_so_in_the_one_shape(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(user: Any) -> None:
        raise error

    monkeypatch.setattr(projects.projects, "list_projects", broken)
    _, secret = tokens.create(user=cast.person("ada"), project=None, name="program")
    answer = Client(raise_request_exception=False).get(
        "/api/v1/projects", headers={"Authorization": f"Bearer {secret}"}
    )
    told(answer, 503 if isinstance(error, OperationalError) else 500)
    assert any(SECRET in str(record.exc_info) for record in caplog.records), "the log has it all"


@pytest.mark.django_db(transaction=True)
def test_the_real_server_refuses_in_the_one_shape(
    web_server: WebServer, transactional_db: None
) -> None:
    cast.project()
    _, secret = tokens.create(
        user=cast.person("ada"), project=None, name="program", scopes=tokens.SCOPES
    )
    mine = {"Authorization": f"Bearer {secret}"}
    here = "/api/v1/projects/digits"
    many = "&".join(["wait=1"] * 30)
    cases: list[tuple[str, str, bytes, dict[str, str], int]] = [
        ("GET", "/api/", b"", mine, 404),
        ("POST", "/api/v1/projects/", b"{}", mine, 404),
        ("POST", "/api/v1/", b"{}", {}, 404),
        ("POST", "/api/", b"{}", {}, 404),
        ("PUT", "/api/v1/workers", b"{}", {}, 405),
        ("GET", "/api/v1/projects", b"", {}, 401),
        ("GET", "/api/v1/projects", b"", {**mine, "Host": "elsewhere.example"}, 400),
        ("GET", "/api/v1/openapi.json", b"", {}, 401),
        ("POST", "/api/v1/openapi.json", b"{}", {}, 405),
        ("DELETE", f"{here}/champion", b"", mine, 405),
        ("GET", f"{here}/champion?{many}", b"", mine, 404),
        ("GET", f"{here}/champion?wait=1&target=%00", b"", mine, 400),
        ("GET", f"{here}/decisions?page=x", b"", mine, 422),
        ("GET", "/api/v1/projects/speech", b"", mine, 404),
        ("POST", f"{here}/members", b"[" * 3000, mine, 400),
        ("POST", f"{here}/members", b"x" * 3_000_000, mine, 413),
        ("POST", f"{here}/members", gzip.compress(b" " * 2**26), {**mine, **GZIP}, 413),
        ("POST", f"{here}/members", b"{}", {**mine, "Content-Encoding": "br"}, 415),
        ("GET", "/api/v1/projects/%FF%FE/champion?wait=1", b"", mine, 404),
    ]
    for method, address, body, headers, status in cases:
        answer, content = _asked(web_server, method, address, body, headers)
        assert answer.status == status, (method, address, answer.status, content[:300])
        error = json.loads(content)
        assert set(error) == SHAPE and error["status"] == status, (address, content[:300])
        assert answer.headers["X-Request-ID"]


GZIP = {"Content-Encoding": "gzip"}


def _asked(
    server: WebServer, method: str, address: str, body: bytes, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, address, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()
