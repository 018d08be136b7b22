"""A report in a browser: written beside its preview, saved, frozen, opened from disk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests import cast
from tests.e2e.test_pages import draw_all, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_report_is_written_with_live_charts_frozen_and_read_without_the_server(
    page: Page, tmp_path: Path
) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=3)
    sign_in(page)
    page.goto("/projects/digits/reports/")
    page.get_by_role("link", name="Write the first report").press("Enter")
    page.get_by_label("Title").fill("Does it pay?")
    text = page.get_by_label("Text")
    text.fill("## Answer\n\nIt **does**.\n\nexperiments/label-smoothing/?tab=history\n")
    preview = page.get_by_label("Preview")
    expect(preview.get_by_role("heading", name="Answer")).to_be_visible()
    expect(preview.locator("[data-figure]").first).to_be_attached()
    expect(page.get_by_text("Not saved yet")).to_be_visible()

    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.once("dialog", stay)
    page.get_by_role("link", name="Cancel").press("Enter")
    expect(text).to_be_visible()
    assert asked == ["beforeunload"], "unsaved text is not left without a question"

    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    text.press("Control+s")
    page.wait_for_url("**/login/**")
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.goto("/projects/digits/reports/new/")
    expect(page.get_by_text("Your unsaved text is back")).to_be_visible()
    expect(text).to_have_value(re.compile("does"))
    text.press("Control+s")
    expect(page.get_by_role("heading", name="Does it pay?")).to_be_visible()
    draw_all(page)
    page.get_by_role("button", name="Freeze a copy").press("Enter")
    expect(page.get_by_text("stays as it was at this moment")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download HTML").press("Enter")
    file = tmp_path / "report.html"
    download.value.save_as(file)

    requests: list[str] = []
    page.context.set_offline(True)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    draw_all(page)
    expect(page.get_by_text("It does.")).to_be_visible()
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
