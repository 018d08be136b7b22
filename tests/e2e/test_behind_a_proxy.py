"""Verdict under a path prefix, behind a reverse proxy, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests import cast
from tests.services_under_test import proxy as proxies
from tests.services_under_test import web_server as servers
from tests.services_under_test.chromium import MILLISECONDS
from tests.services_under_test.proxy import Proxy

pytestmark = pytest.mark.django_db(transaction=True)
PREFIX = "/tools/verdict"


@pytest.fixture(scope="module")
def proxy(service_environment: dict[str, str], collected_files: None) -> Iterator[Proxy]:
    """The production server behind a proxy that takes the prefix away."""
    with proxies.started(PREFIX) as proxy:
        environment = {**service_environment, "PUBLIC_URL": proxy.url}
        with servers.started(environment) as server:
            proxy.upstream = server.url
            yield proxy


@pytest.fixture
def answers() -> list[Response]:
    """Every answer that the window was given."""
    return []


@pytest.fixture
def window(
    browser: Browser, proxy: Proxy, transactional_db: None, answers: list[Response]
) -> Iterator[Page]:
    """A fresh window; a script error, a failed request or one beside the prefix fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("response", lambda answer: answers.append(answer))
    proxy.outside.clear()
    yield page
    cookies = {cookie["name"]: cookie["path"] for cookie in context.cookies()}
    context.close()
    assert broken == [] and proxy.outside == []
    assert [f"{answer.status} {answer.url}" for answer in answers if answer.status >= 400] == []
    paths = [urlsplit(answer.url).path for answer in answers]
    assert [path for path in paths if not path.startswith(f"{PREFIX}/")] == []
    assert {path.rstrip("/") for path in cookies.values()} == {PREFIX}, cookies


@pytest.mark.parametrize("strips", [True, False], ids=["taken away", "left"])
def test_a_person_walks_from_the_login_to_a_chart_and_out_again(
    window: Page, proxy: Proxy, answers: list[Response], strips: bool
) -> None:
    proxy.strips = strips
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    running = cast.search("under-way")
    window.goto(f"{proxy.url}/")
    window.get_by_label("User name").fill("ada")
    window.get_by_label("Password").fill("correct horse")
    window.get_by_role("button", name="Log in").click()
    window.get_by_role("link", name="Digits").first.click()
    window.get_by_role("link", name=experiment.name, exact=True).first.click()
    expect(window.locator("svg.main-svg").first).to_be_attached()
    window.get_by_role("link", name="Axes").first.click()
    expect(window.locator("[data-figure] svg.main-svg").first).to_be_attached()
    window.locator("table tr.best a").first.click()
    expect(window.locator(".js-plotly-plot .trace").first).to_be_attached()
    window.locator("[data-theme-switch]").click()

    window.keyboard.press("Control+K")
    window.keyboard.type("under")
    window.get_by_role("option", name=running.name).first.click()
    expect(window.get_by_role("heading", name=running.name).first).to_be_visible()
    with window.expect_response("**/live/**"):
        window.reload()

    window.get_by_role("button", name="Pause").first.click()
    expect(window.get_by_text("paused").first).to_be_visible()
    window.locator("header.bar details.menu summary").click()
    window.get_by_role("button", name="Log out").click()
    expect(window.get_by_role("button", name="Log in")).to_be_visible()
    assert any(f"{PREFIX}/static/" in answer.url for answer in answers)
