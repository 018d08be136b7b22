"""The runs table in a browser: menus can be used, ticks are those of the address."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests import cast
from tests.e2e.test_pages import SIZES, sign_in

EXPERIMENT = "/projects/digits/experiments/label-smoothing/"
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


def test_an_experiment_shows_its_table_beside_its_charts_in_few_words(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=24)
    cast.some_findings(experiment)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto(EXPERIMENT)
    expect(page.locator("svg.main-svg").first).to_be_attached()
    table, charts = page.locator("#trials").bounding_box(), page.locator(".charts").bounding_box()
    assert table and charts
    assert table["y"] == charts["y"] < 600, "both begin on the first screen"
    assert table["x"] + table["width"] <= charts["x"]
    assert len(page.locator("main").inner_text().split()) < 600
    assert page.evaluate("document.documentElement.scrollHeight") < 2.5 * 900
    best = page.locator("tr.best [data-swatch]").evaluate("each => each.style.background")
    assert best, "the colour of its curve"


def test_sorting_paging_and_filtering_keep_the_reader_s_place(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=12)
    sign_in(page)
    page.goto(f"{EXPERIMENT}?tab=axes")
    expect(page.locator("svg.main-svg").first).to_be_attached()
    page.locator("[data-pick]").nth(2).check()
    page.wait_for_url("**trials=*")
    page.evaluate("window.scrollTo(0, 300)")
    place = page.evaluate("window.scrollY")
    page.locator("th[data-col='params.dropout'] a").click()
    expect(page.locator("th[data-col='params.dropout']")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("page 2 of 3")).to_be_visible()
    page.fill("#runs-filter", "arm = 'A'")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_text("1 to 10 of 12")).to_be_visible()
    assert page.evaluate("window.scrollY") == place
    for part in ("sort=params.dropout", "filter=arm", "trials="):
        assert part in page.url
    assert "experiments=" not in page.url and "rows=" not in page.url
    page.go_back()
    expect(page.get_by_text("page 2 of 3")).to_be_visible()
    assert page.evaluate("window.scrollY") == place
    page.reload()
    expect(page.get_by_text("page 2 of 3")).to_be_visible()
