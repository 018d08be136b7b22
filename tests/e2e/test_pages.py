"""Pages in a real browser: they move by themselves, take keys, print, open quickly.

The `page` fixture fails a test at any message of the console, so that a breach of the content
security policy is a failure, too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, Response, expect

from experiments.models import Decision, Experiment, Trial
from experiments.models.trial import TrialState
from tests import cast
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


def sign_in(page: Page, name: str = "ada") -> None:
    page.goto("/login/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")


def curve_lengths(page: Page) -> list[int]:
    found = page.evaluate(
        "document.querySelector('[data-learning-curves]').data.map((trace) => trace.x.length)"
    )
    return [int(length) for length in found]


def wait_until(page: Page, holds: Callable[[], object]) -> None:
    """Playwright's own waiting evaluates text as code, which the policy forbids."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s"
        page.wait_for_timeout(20)


def asked_for_news(page: Page) -> list[str]:
    """Addresses that the page asks for news from now on."""
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if "/live/" in request.url else None
    )
    return asked


def running(experiment: Experiment) -> Trial:
    trial = Trial.objects.filter(study__experiment=experiment, state=TrialState.RUNNING).first()
    assert trial is not None
    return trial


def append(trial: Trial, *, batch: int, step: int) -> None:
    point = {"validation_loss": np.array([0.2]), "train_loss": np.array([0.1])}
    cast.log(trial.pk, point, first_batch=batch, first_step=step, batches=1)
    Trial.objects.filter(pk=trial.pk).update(latest_step=step, latest_value=0.9)


def draw_all(page: Page) -> None:
    """Scroll down step by step, so that charts further down are drawn as well."""
    height = int(page.evaluate("document.documentElement.scrollHeight"))
    for place in range(0, height, 700):
        page.evaluate(f"window.scrollTo(0, {place})")
        page.wait_for_timeout(60)
    for chart in page.locator("[data-figure]").all():
        chart.scroll_into_view_if_needed()  # one that came late may lie above by now
        expect(chart.locator("svg.main-svg").first).to_be_attached()


def test_an_open_page_gains_points_and_rows_without_a_reload(page: Page) -> None:
    cast.project()
    experiment = cast.running_search(done=4, trials_per_arm=8)
    trial = running(experiment)
    sign_in(page)
    page.goto(cast.address(experiment, "?metric=loss"))
    expect(page.locator("svg.main-svg").first).to_be_attached()
    page.evaluate("window.marker = 'not reloaded'")
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if "/live/" in answer.url else None)
    wait_until(page, lambda: len(answers) > 1)
    assert {answer.status for answer in answers} == {204}, "idle: nothing is sent"

    before = sum(curve_lengths(page))
    append(trial, batch=30, step=60)
    wait_until(page, lambda: sum(curve_lengths(page)) == before + 2)
    cast.finished_trial(trial.study, 70, np.random.default_rng(4))
    expect(page.get_by_text("9 of 16").first).to_be_visible()
    assert page.evaluate("window.marker") == "not reloaded"


def test_a_hidden_page_asks_nothing(page: Page) -> None:
    cast.project()
    experiment = cast.running_search(done=2, trials_per_arm=8)
    sign_in(page)
    page.goto(cast.address(experiment))
    asked = asked_for_news(page)
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    wait_until(page, lambda: asked)
    page.evaluate(hide, True)
    page.wait_for_timeout(300)
    asked.clear()
    page.wait_for_timeout(2500)
    assert asked == []
    page.evaluate(hide, False)
    wait_until(page, lambda: asked)


def test_a_finished_search_stops_asking(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    sign_in(page)
    page.goto(cast.address(experiment))
    asked = asked_for_news(page)
    wait_until(page, lambda: asked)
    page.wait_for_timeout(2500)
    assert len(asked) == 1, "once, to hear that it is over"


def test_a_server_that_does_not_answer_is_said_and_asked_again(page: Page) -> None:
    cast.project()
    experiment = cast.running_search(done=2, trials_per_arm=8)
    sign_in(page)
    page.goto(cast.address(experiment))
    broken = True

    def answer(route) -> None:  # type: ignore[no-untyped-def]
        if broken:
            route.fulfill(status=200, content_type="application/json", body="{not json")
        else:
            route.continue_()

    page.route("**/live/**", answer)
    expect(page.get_by_text("Connection lost")).to_be_visible()
    broken = False
    expect(page.get_by_text("Connection lost")).to_be_hidden()


def test_charts_take_their_colours_from_the_page(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    sign_in(page)
    page.goto(cast.address(experiment))
    line = page.locator(".scatterlayer .js-line").first
    light = line.evaluate("(each) => getComputedStyle(each).stroke")
    page.get_by_role("button", name="Switch between light and dark").click()
    wait_until(page, lambda: line.evaluate("(each) => getComputedStyle(each).stroke") != light)
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark", "kept for the next page"


def test_tabs_and_picked_trials_live_in_the_address(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    sign_in(page)
    page.goto(cast.address(experiment))
    page.get_by_role("link", name="Axes").click()
    expect(page.get_by_role("heading", name="learning_rate (log)")).to_be_visible()
    assert page.url.endswith("?tab=axes")
    page.go_back()
    expect(page.locator("[data-learning-curves] svg.main-svg").first).to_be_attached()
    tick = page.locator("[data-pick]").nth(4)
    tick.check()
    page.wait_for_url("**trials=*")
    expect(page.get_by_text("Back to the best trials")).to_be_visible()
    trials = page.evaluate(
        "[...new Set(document.querySelector('[data-learning-curves]').data"
        ".map((trace) => trace.meta.trial))]"
    )
    assert trials == [int(tick.get_attribute("value") or 0)]
    page.reload()
    expect(page.locator("[data-pick]").nth(4)).to_be_checked()
    page.goto(f"{page.url}#trials")
    for place in (0, 1, 2, 3, 5, 6, 7):
        page.locator("[data-pick]").nth(place).check()
    assert page.url.endswith("#trials"), "the address keeps its place on the page"
    page.locator("[data-pick]").nth(8).check()
    expect(page.locator("[data-pick]:checked")).to_have_count(9)


def test_keys_walk_through_the_rows(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    sign_in(page)
    page.goto(cast.address(experiment))
    for key in "jjk":
        page.keyboard.press(key)
    expect(page.locator("tr.at")).to_have_count(1)
    first = page.locator("[data-rows] tbody tr").first
    expect(first).to_have_class(re.compile("at"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/**")


def test_a_file_is_checked_while_it_is_written(page: Page) -> None:
    cast.project()
    sign_in(page)
    page.goto("/projects/digits/experiments/new/?example=label-smoothing")
    expect(page.get_by_text("The file is valid; its objective is not checked")).to_be_visible()
    field = page.get_by_label("Experiment file (YAML)")
    field.fill(field.input_value().replace("low: 1.0e-4", "low: 1").replace("goal:", "aim:"))
    expect(page.locator("[data-check-problems] li")).to_have_count(3)
    expect(page.locator("[data-check-problems]")).to_contain_text("aim")


def test_the_reproduce_line_is_copied(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page)
    page.goto(cast.address(experiment, "#reproduce"))
    expect(page.locator("details[data-drawer]")).to_have_attribute("open", "")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "workers.reproduce" in page.evaluate("navigator.clipboard.readText()")


def test_a_double_click_decides_once(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    cast.repeated(experiment, looks=(6,), done=6, gain=0.02, spread=0.0005)
    sign_in(page)
    page.goto(cast.address(experiment, "decide/"))
    page.get_by_label("Reason").fill("It pays.")
    page.get_by_role("button", name="Adopt").dblclick()
    expect(page.get_by_text("Recorded as decision 1")).to_be_visible()
    assert Decision.objects.count() == 1


def test_a_decision_prints_on_one_page(page: Page) -> None:
    cast.project()
    cast.decided("wider", "adopt", "Twice the width pays; training takes as long. " * 4)
    sign_in(page)
    page.goto("/projects/digits/decisions/1/")
    draw_all(page)
    paper = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", paper)) == 1


def test_ten_thousand_trials_open(page: Page) -> None:
    """How quickly is measured by `benchmarks/pages.py`."""
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.many_trials(experiment, 10_000)
    sign_in(page)
    page.goto(cast.address(experiment, "?tab=history"))
    expect(page.locator("svg.main-svg").first).to_be_attached()
    assert "10,008" in page.content()


def test_a_page_that_is_not_there_says_so(page: Page) -> None:
    cast.project()
    sign_in(page, "dan")
    # Read without the page's own console: a browser reports every 404 there.
    answer = page.context.request.get("/projects/digits/")
    assert answer.status == 404
    assert "There is no such page" in answer.text()
