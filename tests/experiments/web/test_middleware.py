from __future__ import annotations

import logging

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client

from experiments.web.log_context import WithContext
from experiments.web.middleware import security_headers


def test_every_answer_names_its_request(client: Client) -> None:
    first, second = (client.get("/healthz").headers["X-Request-ID"] for _ in range(2))
    assert len(first) == 32 and first != second


def test_an_id_given_by_a_proxy_is_kept(client: Client) -> None:
    answer = client.get("/healthz", headers={"x-request-id": "lb-4.17"})
    assert answer.headers["X-Request-ID"] == "lb-4.17"


@pytest.mark.parametrize("given", ["a b", "x" * 65, 'x","level":"INFO', "é"])
def test_an_id_that_could_forge_a_log_line_is_replaced(client: Client, given: str) -> None:
    answer = client.get("/healthz", headers={"x-request-id": given})
    assert answer.headers["X-Request-ID"] != given


@pytest.mark.django_db
def test_log_lines_of_a_request_carry_its_id(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(WithContext())
    with caplog.at_level(logging.WARNING, logger="django.request"):
        client.get("/no-such-page", headers={"x-request-id": "r-1"})
    assert [record.context for record in caplog.records] == [{"request": "r-1"}]  # type: ignore[attr-defined]


def test_every_page_forbids_inline_styles_and_scripts(client: Client) -> None:
    policy = client.get("/login/").headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'self'", "script-src 'self'", "style-src 'self'"):
        assert part in policy


def test_a_page_may_set_its_own_policy() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Content-Security-Policy": "default-src 'none'"})

    answer = security_headers(view)(HttpRequest())
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
