"""Pages in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.services_under_test.web_server import WebServer

MILLISECONDS = 60_000  # until an expectation fails; none that holds comes near it
QUIET_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """The browser that CHROMIUM names, or an installed one."""
    return (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        missing = "no Chromium found; install one or name it with CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    # Playwright's synchronous interface keeps an event loop on this thread, in which Django
    # refuses to touch the database although nothing else runs there.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        with sync_playwright() as playwright:
            expect.set_options(timeout=MILLISECONDS)
            chromium = playwright.chromium.launch(
                executable_path=executable, args=list(QUIET_FLAGS)
            )
            yield chromium
            chromium.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page_problems() -> list[str]:
    """Script errors and failed requests so far; a test that provokes one clears it."""
    return []


@pytest.fixture
def page(
    browser: Browser, web_server: WebServer, transactional_db: None, page_problems: list[str]
) -> Iterator[Page]:
    """A fresh window on the server; a script error or a failed request fails the test.

    What the test writes is committed, so that the server sees it.
    """
    context = browser.new_context(
        base_url=web_server.url, viewport={"width": 1440, "height": 900}, locale="en-GB"
    )
    context.set_default_timeout(MILLISECONDS)
    window = context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            page_problems.append(f"{message.text} ({message.location.get('url', '')})")

    window.on("pageerror", lambda error: page_problems.append(f"script error: {error}"))
    window.on("console", note)
    yield window
    context.close()
    assert not page_problems, "\n".join(page_problems)
