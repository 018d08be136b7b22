"""The way from the log-in to a recorded decision without a mouse."""

from __future__ import annotations

import re
from typing import TypedDict

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Decision
from tests import cast
from tests.e2e.test_pages import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

MOST_STOPS = 150  # of one page
# Where the keyboard is: its words, whether that is drawn, and whether it lies under something.
PLACE = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at);
  const box = at.getBoundingClientRect();
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const seen = box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight;
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const top = seen ? document.elementFromPoint(x, y) : null;
  const labels = [...(at.labels || [])].map((each) => each.innerText);
  const words = [at.getAttribute("aria-label"), ...labels, at.innerText, at.title];
  return {
    words: words.filter(Boolean).join(" ").trim(),
    html: at.outerHTML.slice(0, 120),
    wrong: !outlined ? "has no outline" : !seen ? "is out of sight" : "",
    covered: Boolean(top) && !at.contains(top) && !top.contains(at),
  };
}"""


class Place(TypedDict):
    words: str
    html: str
    wrong: str
    covered: bool


def tab(page: Page, key: str = "Tab") -> Place | None:
    """The place that the next Tab leads to, which has to be seen; None: past the last one."""
    page.keyboard.press(key)
    place: Place | None = page.evaluate(PLACE)
    if place:
        assert not place["wrong"], f"{page.url}: {place['html']} {place['wrong']}"
        assert not place["covered"], f"{page.url}: {place['html']} lies under something"
    return place


def tab_to(page: Page, words: str) -> None:
    for _ in range(MOST_STOPS):
        place = tab(page)
        if place and place["words"].startswith(words):
            return
    pytest.fail(f"{page.url}: no Tab leads to {words!r}")


def walk_round(page: Page) -> int:
    """Stops of the page; each is left by the next Tab, until the first comes again."""
    first = tab(page)
    while first is None:
        first = tab(page)
    before = first
    for stops in range(1, MOST_STOPS):
        place = tab(page)
        if place and place["html"] == first["html"]:
            return stops
        assert place != before, f"{page.url}: Tab does not leave {before['html']}"
        before = place or before
    pytest.fail(f"{page.url}: the first stop does not come again")


def test_the_keyboard_alone_leads_from_the_login_to_a_decision(page: Page) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    cast.some_findings(experiment)
    cast.repeated(experiment, looks=(6,), done=6, gain=0.02, spread=0.0005)
    keys = page.keyboard

    page.goto("/login/")
    tab_to(page, "User name")
    keys.type("ada")
    tab_to(page, "Password")
    keys.type("correct horse")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Projects")).to_be_attached()

    tab_to(page, "Digits")
    keys.press("Enter")
    page.wait_for_url("**/projects/digits/")
    tab_to(page, experiment.name)
    keys.press("Enter")
    page.wait_for_url(f"**{cast.address(experiment)}")

    # Charts, selects and ticks are reached, used and left.
    tab_to(page, "Axes")
    keys.press("Enter")
    page.wait_for_url("**?tab=axes")
    expect(page.get_by_role("heading", name="learning_rate (log)")).to_be_visible()
    tab_to(page, "Learning curves")
    keys.press("Enter")
    page.wait_for_url("**?tab=curves")
    expect(page.locator("[data-learning-curves] svg.main-svg").first).to_be_attached()
    tab_to(page, "smooth")
    keys.press("ArrowRight")
    expect(page).to_have_url(re.compile("smooth="))
    assert walk_round(page) > 30

    tab_to(page, "Adopt or reject")
    keys.press("Enter")
    page.wait_for_url("**/decide/")
    assert walk_round(page) > 15
    tab_to(page, "Reason")
    keys.type("It pays.")
    tab_to(page, "Adopt candidate")
    keys.press("Enter")
    expect(page.get_by_text("Recorded as decision 1")).to_be_visible()
    decision = Decision.objects.get()
    assert (decision.choice, decision.reason) == ("adopt", "It pays.")


def test_no_page_with_an_editor_a_menu_or_a_splitter_keeps_the_keyboard(page: Page) -> None:
    cast.project()
    cast.finished_search(trials_per_arm=3)
    sign_in(page)
    page.goto("/projects/digits/runs/")
    tab_to(page, "Width of the table")
    before = page.locator(".split-left").bounding_box()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".split-left").bounding_box() != before
    tab_to(page, "Columns")
    page.keyboard.press("Enter")
    tab(page)
    expect(page.locator("details.menu[open] :focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("details.menu[open]")).to_have_count(0)
    walk_round(page)
    page.goto("/projects/digits/experiments/new/?example=label-smoothing")
    walk_round(page)
