"""The chief things that people do with learning curves, in a real browser."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from experiments.models import Experiment, Trial
from tests import cast
from tests.e2e.test_pages import sign_in, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
LONG = 5000
CHART = "document.querySelector('[data-learning-curves]')"


def drawn(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        f"{CHART}.data.map((t) => ({{x: t.x, y: t.y, name: t.name, meta: t.meta}}))"
    )
    return found


def zoom(page: Page, low: float, high: float) -> None:
    """As a drag across the chart would."""
    page.evaluate(f"Plotly.relayout({CHART}, {{'xaxis.range': [{low}, {high}]}})")


@pytest.fixture
def search() -> Experiment:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    best = experiment.best_trial
    assert best is not None
    noise = np.random.default_rng(0).normal(size=LONG)
    cast.log(best.pk, {"validation_noise": noise}, first_batch=60)
    cpu = {"system/cpu_percent": np.full(60, 90.0)}
    cast.log(best.pk, cpu, first_batch=70)
    return experiment


def test_zooming_brings_every_point_and_the_address_keeps_the_view(
    page: Page, search: Experiment
) -> None:
    sign_in(page)
    best = search.best_trial
    assert best is not None
    page.goto(cast.address(search, f"?trials={best.pk}&metric=noise"))
    expect(page.locator("svg.main-svg").first).to_be_attached()
    assert len(drawn(page)[0]["x"]) < LONG
    words = page.locator("[data-curve-words]")
    expect(words).to_contain_text("of 5,000 points shown; zoom in for more")

    zoom(page, 1000, 1100)
    expect(words).to_contain_text("All 101 points shown between these steps")
    assert drawn(page)[0]["x"] == list(range(1000, 1101))
    assert "from=1000" in page.url and "to=1100" in page.url
    every, _, shown = (link.get_attribute("href") or "" for link in page.locator(
        "[data-export]").all())  # fmt: skip
    assert "from=1000&to=1100" in every and "from=1000&to=1100" in shown

    page.reload()
    expect(words).to_contain_text("All 101 points shown")
    ends = page.evaluate(f"{CHART}.layout.xaxis.range")
    assert ends == [1000, 1100]
    page.locator("[data-learning-curves] .nsewdrag").dblclick()
    expect(words).to_contain_text("of 5,000 points shown")
    assert "from=" not in page.url
    assert page.evaluate(f"{CHART}._fullLayout.xaxis.range[1]") > 4000


def test_heights_fit_what_a_zoom_leaves_to_see_until_somebody_frames_them(
    page: Page, search: Experiment
) -> None:
    best = search.best_trial
    assert best is not None
    falling = 100 * np.exp(-np.arange(LONG) / 200)
    cast.log(best.pk, {"validation_fall": falling}, first_batch=160)
    sign_in(page)
    page.goto(cast.address(search, f"?trials={best.pk}&metric=fall&logy=0"))
    expect(page.locator("svg.main-svg").first).to_be_attached()

    def heights() -> list[float]:
        found: list[float] = page.evaluate(f"{CHART}._fullLayout.yaxis.range")
        return found

    assert heights()[1] > 90
    zoom(page, 1000, 1400)
    top = float(falling[1000])
    wait_until(page, lambda: 0.9 * top < heights()[1] < 1.2 * top)
    assert heights()[0] < falling[1400] < 0.2 * top
    page.get_by_label("log y").check()
    wait_until(page, lambda: abs(heights()[1] - np.log10(top)) < 0.2)
    page.get_by_label("log y").uncheck()

    framed = "{'xaxis.range': [0, 400], 'yaxis.range': [20, 60]}"
    page.evaluate(f"Plotly.relayout({CHART}, {framed})")
    expect(page.locator("[data-curve-words]")).to_contain_text(
        re.compile("All 40[01] points shown")
    )
    assert heights() == [20, 60]
    page.locator("[data-learning-curves] .nsewdrag").dblclick()
    wait_until(page, lambda: heights()[1] > 90)
    assert "from=" not in page.url


def test_settings_are_kept_in_the_address_and_the_raw_line_stays(
    page: Page, search: Experiment
) -> None:
    sign_in(page)
    page.goto(cast.address(search, "?metric=loss"))
    expect(page.locator("svg.main-svg").first).to_be_attached()
    before = drawn(page)
    page.locator("[data-curve-setting=smooth]").fill("0.8")
    page.get_by_label("log x").check()
    page.locator("[data-curve-setting=x]").select_option("time")
    after = drawn(page)
    lines = [trace for trace in before if "mark" not in trace["meta"]]
    assert len(after) == len(before) + len(lines), "the raw lines and the smoothed ones"
    assert after[0]["y"] == before[0]["y"] and after[1]["y"] != before[0]["y"]
    page.locator("select[name=trials]").select_option("best-3")
    wait_until(page, lambda: "trials=best-3" in page.url)
    for part in ("smooth=0.8", "logx=1", "x=time"):
        assert part in page.url
    page.reload()
    expect(page.locator("[data-curve-setting=smooth]")).to_have_value("0.8")
    expect(page.locator("[data-curve-smooth]")).to_have_text("0.80")
    expect(page.locator("[data-curve-setting=x]")).to_have_value("time")
    assert page.evaluate(f"{CHART}.layout.xaxis.type") == "log"
    page.locator("[data-curve-setting=smooth]").fill("0.99")
    page.locator("[data-curve-setting=x]").select_option("clock")
    assert page.evaluate(f"{CHART}.layout.xaxis.type") == "date"
    began = Trial.objects.get(pk=drawn(page)[0]["meta"]["trial"]).started_at
    assert began is not None
    # The browser's clock is the tests' own zone, in which the axis counts.
    shift = page.evaluate("(at) => new Date(at).getTimezoneOffset()", began.timestamp() * 1000)
    first = drawn(page)[0]["x"][0] / 1000 + 60 * shift - began.timestamp()
    assert 0 <= first < 3600 and "smooth=0.99" in page.url and "x=clock" in page.url


def test_seeds_show_mean_and_band_by_a_choice_above_the_chart(
    page: Page, search: Experiment
) -> None:
    cast.repeated(search, looks=(3, 6), done=3)
    sign_in(page)
    page.goto(cast.address(search))
    page.locator("select[name=trials]").select_option("seeds")
    expect(page.get_by_text("candidate, mean", exact=True)).to_be_visible()
    band = page.evaluate(f"{CHART}.data.find((t) => t.fill === 'tonexty').fillcolor")
    assert band.startswith("rgba(") and band.endswith(", 0.2)")


def test_the_pointer_is_shared_with_the_charts_of_the_machine(
    page: Page, search: Experiment
) -> None:
    best = Trial.objects.select_related("study").get(pk=search.best_trial_id)
    sign_in(page)
    page.goto(cast.address(search, f"trials/{'AB'[best.study.arm_index]}{best.number}/"))
    machine = page.locator("[data-beside-curves]")
    machine.scroll_into_view_if_needed()
    expect(machine.locator("svg.main-svg").first).to_be_attached()
    chart = page.locator("[data-learning-curves] .nsewdrag").first
    chart.hover()
    expect(machine.locator(".hoverlayer .hovertext, .hoverlayer .legend").first).to_be_attached()


def test_trials_that_begin_while_the_page_is_open_have_colours_of_their_own(
    page: Page, search: Experiment
) -> None:
    sign_in(page)
    page.goto(cast.address(search))
    expect(page.locator("[data-learning-curves] svg.main-svg").first).to_be_attached()
    colours = page.evaluate(
        f"""() => {{
          const first = {CHART}.figure.data.find((trace) => trace.line);
          const traces = [-1, -2].map((trial) => {{
            const trace = {{ ...structuredClone(first), meta: {{ ...first.meta, trial }} }};
            return {{ trial, whole: false, figure: [trace] }};
          }});
          const detail = {{ gone: [], traces }};
          document.dispatchEvent(new CustomEvent("verdict:curves", {{ detail }}));
          const lines = {CHART}.figure.data.filter((trace) => trace.line);
          return Object.fromEntries(lines.map((trace) => [trace.meta.trial, trace.line.color]));
        }}"""
    )
    assert len(colours) > 3 and len(set(colours.values())) == len(colours)
