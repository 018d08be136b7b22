"""The runs table in a browser: menus can be used, ticks are those of the address."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests import cast
from tests.e2e.test_pages import SIZES, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_columns_are_chosen_and_ticks_outlive_a_reload(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=4)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto("/projects/digits/runs/?experiments=label-smoothing")
    page.locator("summary", has_text="Columns").click()
    page.locator("[data-columns] fieldset label", has_text="train_loss last").click()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("th[data-col='metrics.train_loss']")).to_be_visible()
    page.locator("[data-pick]").nth(1).check()
    page.wait_for_url("**trials=*")
    page.reload()
    expect(page.locator("[data-pick]:checked")).to_have_count(1)


def test_an_action_after_the_table_was_swapped_comes_back_to_the_page(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=4)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto("/projects/digits/runs/?experiments=label-smoothing")
    page.locator("th[data-col='params.dropout'] a").click()
    expect(page.locator("th[data-col='params.dropout']")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.locator("[data-pick]").first.check()
    page.locator("summary", has_text="Tag").click()
    page.locator("input[name='tag']").fill("seen")
    page.locator("input[name='tag']").press("Enter")
    page.wait_for_url("**/projects/digits/runs/?*sort*")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def test_a_filter_is_completed_with_numbers_where_sizes_are_compared(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=4)
    sign_in(page)
    page.goto("/projects/digits/runs/?experiments=label-smoothing")
    field = page.locator("#runs-filter")
    field.press_sequentially("params.hid")
    expect(page.get_by_role("option", name="params.hidden_units")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    field.press_sequentially("<= ")
    page.get_by_role("option", name="128", exact=True).click()
    expect(field).to_have_value("params.hidden_units <= 128")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Remove params.hidden_units <= 128")).to_be_visible()
    expect(page.locator("[data-runs-table]")).to_be_visible()
