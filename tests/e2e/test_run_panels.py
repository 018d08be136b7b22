"""The grid of panels beside a runs table in a browser."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from experiments.models import RunsView, Trial
from experiments.models.trial_encoding import decode
from tests import cast
from tests.e2e.test_pages import SIZES, draw_all, sign_in, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
# A point of the best run's curve, as the chart has placed it: x, y and the run.
ON_A_CURVE = """each => {
  const { xaxis, yaxis } = each._fullLayout, box = each.getBoundingClientRect();
  const trace = each.data.find((one) => one.meta.series && !one.meta.train), i = 30;
  return [box.x + xaxis._offset + xaxis.d2p(trace.x[i]),
          box.y + yaxis._offset + yaxis.d2p(trace.y[i]), trace.meta.trial];
}"""
RUNS = "/projects/digits/runs/?experiments=label-smoothing&split=25"


def layout(page: Page) -> list[str]:
    return parse_qs(urlsplit(page.url).query).get("panel", [])


def opened(page: Page, *panels: str, size: str = "desk") -> None:
    page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    sign_in(page)
    page.goto(RUNS + "".join(f"&panel={name}" for name in panels))
    expect(page.locator("svg.main-svg").first).to_be_attached()


def heading(page: Page) -> list[str]:
    return page.locator("[data-panels] h3").all_inner_texts()


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_panels_are_laid_out_by_pointer_and_by_keys_and_a_view_keeps_them(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=4)
    opened(page, "curves:loss", "curves:accuracy", "curves:gradient_norm")
    says = page.locator("[data-panel-says]")
    page.get_by_role("button", name="Move loss", exact=True).press("ArrowRight")
    assert heading(page) == ["accuracy", "loss", "gradient norm"]
    expect(says).to_have_text("loss: place 2 of 3")
    expect(page.get_by_role("button", name="Move loss", exact=True)).to_be_focused()
    grip = page.get_by_role("button", name="Move gradient norm", exact=True)
    grip.hover()
    start, first = grip.bounding_box(), page.locator(".run-panel").first.bounding_box()
    assert start and first
    page.mouse.move(start["x"] + 8, start["y"] + 8)
    page.mouse.down()
    page.mouse.move(first["x"] + 20, first["y"] + first["height"] / 4, steps=3)
    page.mouse.up()
    assert heading(page) == ["gradient norm", "accuracy", "loss"]
    page.get_by_role("button", name="Size of loss").press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(says).to_have_text("loss: 2 wide, 2 high")
    assert layout(page) == ["curves:gradient_norm", "curves:accuracy", "curves:loss@2x2"]
    page.get_by_role("button", name="Remove accuracy").press("Enter")
    expect(says).to_have_text("accuracy removed")
    expect(page.get_by_role("button", name="Remove loss")).to_be_focused()
    page.locator("summary", has_text="Add panel").click()
    page.locator("[data-of-kind=curves]").get_by_text("accuracy").click()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("[data-panels] h3")).to_have_text(["gradient norm", "loss", "accuracy"])
    picture(page, "panels")
    page.locator("summary", has_text="Views").click()
    page.fill("#view-name", "Mine")
    page.get_by_role("button", name="Save view").click()
    page.wait_for_url("**view=*")
    kept = ["curves:gradient_norm", "curves:loss@2x2", "curves:accuracy"]
    assert parse_qs(RunsView.objects.get().query)["panel"] == layout(page) == kept
    assert heading(page) == ["gradient norm", "loss", "accuracy"]


def test_a_panel_fills_the_window_and_goes_back_to_its_place(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=4)
    opened(page, "curves:loss", "curves:accuracy", size="phone")
    draw_all(page)
    boxes = [frame.bounding_box() for frame in page.locator(".run-panel").all()]
    assert boxes[0] and boxes[1] and boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES["phone"]["width"]
    button = page.get_by_role("button", name="Show accuracy in the whole window")
    button.click()
    panel = page.locator(".run-panel", has_text="accuracy")
    whole = panel.bounding_box()
    assert whole and (whole["x"], whole["y"]) == (0, 0)
    assert (whole["width"], whole["height"]) == tuple(SIZES["phone"].values())
    chart = panel.locator(".main-svg").first
    wait_until(page, lambda: chart.bounding_box()["height"] > 600)  # type: ignore[index]
    expect(button).to_have_attribute("aria-pressed", "true")
    picture(page, "panel-whole-phone")
    page.keyboard.press("Escape")
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(button).to_be_focused()
    assert panel.bounding_box()["height"] < 400  # type: ignore[index]
    assert page.locator("[inert]").count() == 0


def test_the_pointer_marks_its_run_and_step_in_all_panels_and_its_row(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=2)
    opened(page, "curves:accuracy", "curves:loss")
    draw_all(page)
    chart = page.locator("[data-learning-curves]").first
    x, y, trial = chart.evaluate(ON_A_CURVE)
    page.mouse.move(x, y - 3)
    page.mouse.move(x, y)
    first, second = page.locator("[data-readout]").all()
    expect(first).to_contain_text("dropout")
    step = first.locator(".at").inner_text().split(":")[0]
    assert step.startswith("step ")
    expect(second).to_contain_text(step)
    expect(page.locator(".hover-line:not([hidden])")).to_have_count(2)
    expect(page.locator(f"tr[data-run='{trial}']")).to_have_class(re.compile("hovered"))
    expect(page.locator("tr.hovered")).to_have_count(1)
    assert page.locator(".hoverlayer .hovertext").count() == 0, "no label covers a curve"
    picture(page, "panels-hover")
    page.mouse.move(5, 5)
    expect(page.locator("tr.hovered")).to_have_count(0)
    expect(first).to_be_empty()


def test_the_pointer_on_an_experiments_curve_marks_its_row(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=2)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto("/projects/digits/experiments/label-smoothing/")
    chart = page.locator("[data-learning-curves].js-plotly-plot")
    chart.scroll_into_view_if_needed()
    x, y, trial = chart.evaluate(ON_A_CURVE)
    page.mouse.move(x, y - 3)
    page.mouse.move(x, y)
    expect(page.locator("[data-readout]")).to_contain_text("dropout")
    expect(page.locator(f"tr[data-run='{trial}']")).to_have_class(re.compile("hovered"))
    assert page.locator(".hoverlayer .hovertext").count() == 0, "no label covers a curve"
    picture(page, "experiment-hover")


def test_a_chart_that_cannot_be_drawn_holds_up_no_other(
    page: Page, page_problems: list[str]
) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=2)
    page.add_init_script(
        """document.addEventListener("DOMContentLoaded", () => {
          const first = document.querySelector("[data-figure]");
          if (first) document.getElementById(first.dataset.figure).textContent = "{";
        })"""
    )
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto(f"{RUNS}&panel=curves:accuracy&panel=curves:loss&panel=curves:gradient_norm")
    expect(page.locator("[data-learning-curves].js-plotly-plot")).to_have_count(2)
    assert len(page_problems) == 1 and "JSON" in page_problems.pop()


def test_brushing_an_axis_filters_the_table_until_its_chip_is_taken_off(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=6)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto("/projects/digits/experiments/label-smoothing/?tab=parallel")
    axis = page.locator("[data-axis='params.learning_rate']")
    box = axis.bounding_box()
    assert box
    page.mouse.move(box["x"] + 14, box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 14, box["y"] + box["height"], steps=3)
    page.mouse.up()
    chip = page.get_by_role("link", name="Remove params.learning_rate")
    expect(chip).to_have_count(1)
    wanted = [decode(trial.parameters)["learning_rate"] < 0.0032 for trial in Trial.objects.all()]
    assert 0 < sum(wanted) < 12
    expect(page.get_by_text(f"1 to {min(sum(wanted), 10)} of {sum(wanted)} runs")).to_be_visible()
    assert "filter=params.learning_rate" in page.url and "between" not in page.url
    expect(axis.locator("span")).to_be_visible()
    expect(page.get_by_text("outside the filter")).to_be_visible()
    picture(page, "brushed")
    page.reload()
    expect(axis.locator("span")).to_be_visible()
    chip.click()
    expect(page.get_by_text("of 12 runs")).to_be_visible()
    expect(axis.locator("span")).to_be_hidden()
    assert "filter=" not in page.url


def test_points_bars_and_lines_are_added_name_their_run_and_open_it(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=6)
    opened(page, "curves:accuracy")
    for kind, fields in (
        ("Scatter plot", {"Across": "params.learning_rate", "Upwards": "score"}),
        ("Bar chart", {"Column": "score"}),
        ("Parallel coordinates", {}),
    ):
        page.locator("summary", has_text="Add panel").click()
        page.get_by_label("Chart", exact=True).select_option(label=kind)
        for label, text in fields.items():
            page.get_by_label(label, exact=True).fill(text)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("[data-panels] h3")).to_have_count(len(layout(page)))
    assert layout(page) == ["curves:accuracy", "scatter:params.learning_rate,score", "bars:score",
                            "parallel:@2x1"]  # fmt: skip
    draw_all(page)
    picture(page, "points")
    scatter, bars, lines = page.locator("[data-run-points]").all()
    bars.scroll_into_view_if_needed()
    x, y, trial = bars.evaluate(
        """each => {
          const { xaxis, yaxis } = each._fullLayout, box = each.getBoundingClientRect();
          return [box.x + xaxis._offset + 20, box.y + yaxis._offset + yaxis.d2p(1),
                  each.data[0].meta.trials[1]];
        }"""
    )
    page.mouse.move(x, y - 2)
    page.mouse.move(x, y)
    expect(page.locator(f"tr[data-run='{trial}']")).to_have_class(re.compile("hovered"))
    for chart in (scatter, bars):
        expect(chart.locator(".hover-dot")).to_be_visible()
    expect(lines.locator(".hover-path polyline")).to_have_count(1)
    said = page.locator("figure", has=page.locator("[data-run-points]")).nth(1)
    expect(said.locator("[data-readout]")).to_contain_text("learning_rate")
    expect(page.locator("[data-learning-curves] .trace.same")).not_to_have_count(0)
    picture(page, "points-hover")
    page.mouse.click(x, y)
    page.wait_for_url("**/trials/**")


def test_brushing_lines_beside_the_runs_filters_them_and_keeps_the_rest_faint(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=6)
    opened(page, "parallel:params.learning_rate,params.dropout,score", size="desk")
    axis = page.locator("[data-axis='params.learning_rate']")
    box = axis.bounding_box()
    assert box
    page.mouse.move(box["x"] + 14, box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 14, box["y"] + box["height"], steps=3)
    page.mouse.up()
    expect(page.get_by_role("link", name="Remove params.learning_rate")).to_have_count(1)
    expect(page.get_by_text("outside the filter")).to_be_visible()
    expect(axis.locator("span")).to_be_visible()
    assert 0 < page.locator("tr[data-run]").count() < 12
    picture(page, "points-brushed")


def test_points_move_while_runs_go_on_and_their_axes_stay(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=2)
    opened(page, "scatter:params.dropout,score")
    worst = Trial.objects.earliest("value")
    chart = page.locator("[data-run-points]")
    drawn = f"""each => {{
      const found = each.data.flatMap(({{ meta, y }}) => meta.trials.map((id, i) => [id, y[i]]));
      return [found.find(([id]) => id === {worst.pk})[1], ...each._fullLayout.yaxis.range];
    }}"""
    before = chart.evaluate(drawn)
    assert before[0] == pytest.approx(worst.value)
    Trial.objects.filter(pk=worst.pk).update(value=0.965)
    page.evaluate("document.dispatchEvent(new CustomEvent('verdict:grown'))")
    wait_until(page, lambda: chart.evaluate(drawn)[0] == 0.965)
    assert chart.evaluate(drawn)[1:] == before[1:]
