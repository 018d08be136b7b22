"""A CSV file is imported in a real browser, without the page being loaded again."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Trial
from tests import cast
from tests.e2e.test_pages import SIZES, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_csv_file_comes_in_and_a_bad_one_is_explained(
    page: Page, page_problems: list[str], tmp_path: Path
) -> None:
    cast.project()
    page.set_viewport_size(SIZES["phone"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto("/projects/digits/")
    page.get_by_role("link", name="Import runs").click()
    bad, good = tmp_path / "bad.csv", tmp_path / "<b>sweep.csv"
    bad.write_text("lr,val_loss\n0.1,good\n")
    rows = "".join(f"{number / 100},{number}\n" for number in range(60))
    good.write_text(f"lr,val_loss\n{rows}")
    page.get_by_label("File").set_input_files(bad)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("line 2, column val_loss: 'good' is no number")).to_be_visible()
    page_problems.clear()  # the browser notes the answer 422
    page.get_by_label("File").set_input_files(good)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("60 added, 0 brought up to date, 0 unchanged.")).to_be_visible()
    expect(page.get_by_text("'good' is no number")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"]["width"]
    assert Trial.objects.count() == 60
    page.get_by_role("main").get_by_role("link", name="sweep").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("sweep")
