from __future__ import annotations

import asyncio

from django.http import HttpRequest, HttpResponse
from django.test import Client

from experiments.web.middleware.security_headers import POLICY, SecurityHeaders


def test_every_page_forbids_inline_styles_and_scripts(client: Client) -> None:
    policy = client.get("/login/").headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'self'", "script-src 'self'", "style-src 'self'"):
        assert part in policy


def test_an_asynchronous_chain_stays_asynchronous() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    answer = SecurityHeaders(view)(HttpRequest())
    assert asyncio.iscoroutine(answer)
    assert asyncio.run(answer).headers["Content-Security-Policy"] == POLICY


def test_a_page_may_set_its_own_policy() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Content-Security-Policy": "default-src 'none'"})

    answer = SecurityHeaders(view)(HttpRequest())
    assert isinstance(answer, HttpResponse)
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
