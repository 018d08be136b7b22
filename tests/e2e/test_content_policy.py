"""Every page in a browser, with names that attack: nothing runs, nothing breaks the policy.

The `page` fixture fails at any message of the console; a breach of the content security policy
is one.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.test_pages import sign_in
from tests.experiments.site.expected_answers import PAGES
from tests.experiments.site.test_attacks import evil  # noqa: F401 - a fixture
from tests.experiments.site.test_every_address import path_of

pytestmark = pytest.mark.django_db(transaction=True)

FRAGMENTS = (
    "live/",
    "charts/",
    "curves/",
    "power/",
    "under-way/",
    "jump/",
    "logout/",
    "table/",
    "ids/",
    "edit/<str:field>/",
    "embedded/",
)
FILES = (".csv", ".md", ".jsonl", "series.<str:kind>", "<int:file>/", "<int:frozen>/file/")


def test_no_page_runs_what_a_name_brings_or_breaks_the_policy(
    page: Page,
    evil: dict[str, str],  # noqa: F811
) -> None:
    opened: list[str] = []
    page.on("dialog", lambda dialog: (opened.append(page.url), dialog.dismiss()))
    sign_in(page)
    seen = 0
    for route, row in PAGES.items():
        if not row.GET.endswith("200") or route.endswith(FRAGMENTS + FILES):
            continue
        answer = page.goto(path_of(route, evil).replace("#", "%23").replace("?", "%3F"))
        assert answer is not None and answer.status == 200, route
        assert "unsafe" not in answer.headers["content-security-policy"], route
        assert page.locator("img[src=x]").count() == 0, route
        seen += 1
    assert seen > 25 and not opened


def test_a_script_that_got_into_a_page_would_not_run(page: Page, page_problems: list[str]) -> None:
    """The defence behind the escaping: the policy itself."""
    page.goto("/login/")
    page.locator("body").evaluate(
        "body => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " body.append(s); body.setAttribute('style', 'color: red'); }"
    )
    assert page.evaluate("window.ran === undefined")
    refused = [problem for problem in page_problems if "Content Security Policy" in problem]
    assert len(refused) == 2 == len(page_problems)
    page_problems.clear()
