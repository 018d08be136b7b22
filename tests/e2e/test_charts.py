"""The charts of a search, the comparison, the jump box and the keys in a real browser."""

from __future__ import annotations

import csv
import io

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Experiment
from tests import cast
from tests.e2e.test_pages import SIZES, draw_all, sign_in
from workers.node import importance

pytestmark = pytest.mark.django_db(transaction=True)
TABS = ("axes", "isolation", "importance", "parallel", "contour", "history")


@pytest.fixture
def experiment(transactional_db: None) -> Experiment:
    cast.project()
    made = cast.finished_search(trials_per_arm=12)
    cast.finding(made)
    importance.compute(made.pk)
    return made


@pytest.mark.parametrize(("size", "theme"), [("desk", "dark"), ("phone", "light")])
def test_every_chart_draws_without_complaint_and_fits(
    page: Page, experiment: Experiment, size: str, theme: str
) -> None:
    cast.finished_search("another", trials_per_arm=6)
    page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    sign_in(page)
    addresses = [cast.address(experiment, f"?tab={tab}") for tab in TABS]
    addresses.append(f"/projects/digits/compare/?a={experiment.name}&b=another")
    for address in addresses:
        page.goto(address)
        draw_all(page)
        assert page.locator("[data-figure]").count() > 0, address
        wide = int(page.evaluate("document.documentElement.scrollWidth"))
        assert wide <= SIZES[size]["width"], f"{address} is {wide} pixels wide"
    assert page.locator("canvas").count() == 0, "drawn without WebGL"


def test_a_boundary_finding_stands_by_its_axis_plot(page: Page, experiment: Experiment) -> None:
    sign_in(page)
    page.goto(cast.address(experiment, "?tab=axes"))
    figure = page.locator("figure", has=page.get_by_role("heading", name="learning_rate"))
    expect(figure.locator(".chart-finding")).to_contain_text("crowd the lower edge")
    other = page.locator("figure", has=page.get_by_role("heading", name="dropout"))
    expect(other.locator(".chart-finding")).to_have_count(0)


def test_the_axes_of_a_contour_are_chosen_and_kept_in_the_address(
    page: Page, experiment: Experiment
) -> None:
    sign_in(page)
    page.goto(cast.address(experiment, "?tab=contour"))
    expect(page.get_by_label("across")).to_have_value("learning_rate")
    page.get_by_label("up").select_option("dropout")
    chart = page.locator("[data-figure=figure-contour]")
    expect(chart).to_have_attribute("aria-label", "Mean score over learning_rate and dropout")
    expect(chart.locator(".contourlayer path").first).to_be_attached()
    assert "up=dropout" in page.url
    page.reload()
    expect(page.get_by_label("up")).to_have_value("dropout")


def test_charts_further_down_are_drawn_when_one_gets_there(
    page: Page, experiment: Experiment
) -> None:
    page.set_viewport_size({"width": 390, "height": 600})
    sign_in(page)
    page.goto(cast.address(experiment, "?tab=history"))
    expect(page.locator("[data-figure=figure-history]")).to_be_attached()
    last = page.locator("[data-figure=figure-timeline]")
    assert last.locator("svg").count() == 0
    last.scroll_into_view_if_needed()
    expect(last.locator("svg.main-svg").first).to_be_attached()


def test_the_jump_box_goes_anywhere_by_keyboard(page: Page, experiment: Experiment) -> None:
    sign_in(page)
    page.goto(cast.address(experiment))
    page.keyboard.press("Control+k")
    box = page.get_by_role(
        "combobox", name="Experiment, trial, decision, tag, parameter, person or page"
    )
    expect(box).to_be_focused()
    listed = page.get_by_role("listbox", name="Places").get_by_role("option")
    expect(listed.first).to_contain_text(experiment.name)
    box.fill("b7")
    expect(listed).to_have_count(1)
    expect(listed.first).to_contain_text("Trial B7")
    expect(listed.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/B7/")
    page.keyboard.press("Control+k")
    box.fill("no such thing")
    expect(page.get_by_text("No results")).to_be_visible()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


def test_a_question_mark_lists_the_keys_but_not_while_typing(
    page: Page, experiment: Experiment
) -> None:
    sign_in(page)
    page.goto("/projects/digits/")
    page.get_by_placeholder("Name, goal or tag").press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_hidden()
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Keys")).to_be_hidden()


def test_the_table_as_shown_is_downloaded(page: Page, experiment: Experiment) -> None:
    sign_in(page)
    page.goto(cast.address(experiment, "?state=complete&tab=axes"))
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(rows) == experiment.complete_count
    assert {row["state"] for row in rows} == {"complete"}


# What the browser tells of the first drawing, before any script of the page runs.
WATCH = """
window.seen = { early: false, idle: 0, shift: 0 };
addEventListener("DOMContentLoaded", () => (window.seen.early = "Plotly" in window));
const idle = window.requestIdleCallback;
window.requestIdleCallback = (...all) => (window.seen.idle += 1, idle.apply(window, all));
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput } of list.getEntries()) {
    if (!hadRecentInput) window.seen.shift += value;
  }
}).observe({ type: "layout-shift", buffered: true });
"""


def test_charts_are_drawn_after_the_page_in_idle_moments_and_move_nothing(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    sign_in(page)
    page.add_init_script(WATCH)
    page.goto(cast.address(experiment, "?tab=history"))
    draw_all(page)
    seen = page.evaluate("window.seen")
    assert not seen["early"], "the page is there before Plotly is evaluated"
    assert seen["idle"] >= 1, "a chart is drawn in an idle moment"
    assert seen["shift"] < 0.001, "nothing moves when a chart is drawn"
