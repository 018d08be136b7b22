"""The runs table in a browser: menus can be used, ticks are those of the address."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from experiments.models import Trial
from tests import cast
from tests.e2e.test_pages import SIZES, append, curve_lengths, running, sign_in, wait_until

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


def test_a_column_is_resized_by_its_edge_and_by_keys(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=4)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto(EXPERIMENT)
    head = page.locator("th[data-col='params.dropout']")

    def width() -> int:
        return int(head.evaluate("each => each.offsetWidth"))

    before = width()
    edge = head.locator(".resize").bounding_box()
    assert edge
    page.mouse.move(edge["x"] + 3, edge["y"] + 10)
    page.mouse.down()
    page.mouse.move(edge["x"] + 63, edge["y"] + 10, steps=3)
    page.mouse.up()
    assert width() == before + 60
    assert f"col=params.dropout%40{before + 60}" in page.url
    head.get_by_role("link").focus()
    page.keyboard.press("Alt+ArrowLeft")
    assert width() == before + 40
    head.get_by_role("link").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert width() == before + 40, "sorting keeps it"
    page.reload()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert width() == before + 40


# The page asks at once when it comes into view, as a reader's would.
ASK = "document.dispatchEvent(new Event('visibilitychange'))"


def test_rows_and_charts_move_under_scroll_ticks_and_zoom(page: Page) -> None:
    cast.project()
    experiment = cast.running_search(done=12, trials_per_arm=16)
    trial = running(experiment)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    other = Trial.objects.exclude(pk=trial.pk).earliest("pk")
    page.goto(f"/projects/digits/runs/?sort=number&trials={trial.pk},{other.pk}&metric=loss")
    expect(page.locator("svg.main-svg").first).to_be_attached()
    table = page.locator("[data-scroll=runs]")
    table.evaluate("each => each.scrollTo(40, 90)")
    chart = "document.querySelector('[data-learning-curves]')"
    page.evaluate(
        f"Plotly.relayout({chart}, {{'xaxis.range': [2, 6], 'yaxis.range': [0.5, 1.5]}})"
    )
    before = sum(curve_lengths(page))
    append(trial, batch=30, step=60)
    Trial.objects.filter(pk=trial.pk).update(latest_step=99, latest_value=0.5)
    cast.finished_trial(trial.study, 70, np.random.default_rng(4))
    page.evaluate(ASK)
    expect(page.get_by_text("of 27 runs")).to_be_visible()
    wait_until(page, lambda: sum(curve_lengths(page)) > before)
    assert table.evaluate("each => [each.scrollLeft, each.scrollTop]") == [40, 90]
    expect(page.locator("[data-pick]:checked")).to_have_count(2)
    assert page.evaluate(f"{chart}._fullLayout.xaxis.range") == [2, 6]
    assert page.evaluate(f"{chart}._fullLayout.yaxis.range") == [0.5, 1.5]


def test_groups_count_and_draw_what_ends_meanwhile(page: Page) -> None:
    cast.project()
    experiment = cast.running_search(done=4, trials_per_arm=8)
    trial = running(experiment)
    sign_in(page)
    page.goto("/projects/digits/runs/?experiments=weight-decay&group=arm&metric=loss")
    counts = page.locator("[data-groups] tbody tr td:nth-child(2)")
    expect(counts).to_have_text(["5", "5"])
    expect(page.locator("svg.main-svg").first).to_be_attached()
    cast.finished_trial(trial.study, 70, np.random.default_rng(4))
    page.evaluate(ASK)
    expect(counts.filter(has_text="6")).to_have_count(1)


def test_names_and_notes_are_edited_in_their_rows_while_the_table_lives(
    page: Page, page_problems: list[str]
) -> None:
    cast.project()
    experiment = cast.running_search(done=2, trials_per_arm=8)
    trial = running(experiment)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto(f"/projects/digits/runs/?sort=number&col=state&col=note&trials={trial.pk}")
    row = page.locator(f"tr[data-run='{trial.pk}']")
    row.locator("[data-edit=name]").focus()
    page.keyboard.press("F2")
    field = row.locator("[name=text]")
    expect(field).to_be_focused()
    field.fill("n" * 400 + " the wide one")
    cast.finished_trial(trial.study, 70, np.random.default_rng(4))
    with page.expect_response("**/live/**"):
        page.evaluate(ASK)
    expect(field).to_have_value("n" * 400 + " the wide one")
    field.evaluate("each => { each.maxLength = 999; each.value += 'n'.repeat(200) }")
    page.keyboard.press("Enter")
    expect(row.get_by_role("alert")).to_contain_text("expected at most 500 characters")
    assert [
        problem for problem in page_problems if "400 (Bad Request)" in problem
    ] == page_problems
    page_problems.clear()
    field.fill("the wide one")
    page.keyboard.press("Enter")
    expect(page.get_by_text("of 7 runs"), "news that waited for the edit").to_be_visible()
    expect(row.locator("[data-edit=name]")).to_contain_text("the wide one")
    expect(row.locator("[data-pick]")).to_be_checked()
    row.locator("[data-edit=note]").click()
    field.fill("never mind")
    page.keyboard.press("Escape")
    expect(row.locator("[data-edit=note]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(field).to_have_value("")
    field.fill("odd")
    page.locator("th[data-col=number] a").click()  # leaving a cell saves it
    expect(row.locator("[data-edit=note]")).to_contain_text("odd")
    trial.refresh_from_db()
    assert trial.run_name == "the wide one" and "odd" in trial.user_attributes
