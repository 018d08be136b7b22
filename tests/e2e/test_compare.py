"""Runs side by side in a browser."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Trial
from experiments.models.trial import TrialState
from tests import cast
from tests.e2e.test_pages import SIZES, draw_all, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_ticked_runs_stand_side_by_side_and_the_address_keeps_every_choice(page: Page) -> None:
    cast.project()
    search = cast.finished_search(trials_per_arm=3)
    for trial in Trial.objects.filter(study__experiment=search):
        cast.some_media(trial)
    page.set_viewport_size(SIZES["desk"])  # type: ignore[arg-type]
    sign_in(page)
    page.goto("/projects/digits/runs/?experiments=label-smoothing")
    for place in (0, 1):
        page.locator("[data-pick]").nth(place).check()
    page.get_by_role("button", name="Compare", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    first, second = asked(page)["run"][0].split(",")
    page.locator("[data-curve-setting=x]").select_option("time")
    page.get_by_role("link", name="Make").press("Enter")
    page.wait_for_url("**baseline=*")
    assert asked(page) == {"run": [f"{first},{second}"], "baseline": [second], "x": ["time"]}
    expect(page.locator("[data-curve-setting=x]")).to_have_value("time")
    page.get_by_role("button", name="Only differences").press("Enter")
    page.wait_for_url("**all=1*")
    expect(page.get_by_role("rowheader", name="optimizer")).to_be_visible()
    draw_all(page)
    row = page.get_by_role("group", name="samples.png")
    expect(row.get_by_alt_text("samples.png, step 20")).to_have_count(2)
    row.get_by_label("Step of samples.png").press("ArrowLeft")
    expect(row.get_by_alt_text("samples.png, step 10")).to_have_count(2)
    page.reload()
    draw_all(page)
    expect(row.get_by_alt_text("samples.png, step 10")).to_have_count(2)
    page.set_viewport_size(SIZES["phone"])  # type: ignore[arg-type]
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == SIZES["phone"]["width"]
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=f"{folder}/compare-phone.png", full_page=True)


def test_a_comparison_follows_a_running_run_and_keeps_its_slider(page: Page) -> None:
    cast.project()
    search = cast.running_search(done=1)
    trial = Trial.objects.filter(study__experiment=search, state=TrialState.RUNNING).earliest("pk")
    cast.some_media(trial)
    other = Trial.objects.filter(study__experiment=search, state=TrialState.COMPLETE).earliest(
        "pk"
    )
    sign_in(page)
    page.goto(f"/projects/digits/compare/?run={other.pk},{trial.pk}&at=1")
    draw_all(page)
    row = page.get_by_role("group", name="samples.png")
    row.scroll_into_view_if_needed()
    expect(row.get_by_alt_text("samples.png, step 1", exact=True)).to_be_visible()
    Trial.objects.filter(pk=trial.pk).update(latest_value=0.1234, latest_step=999)
    cast.log_image(trial, step=30)
    expect(page.locator("td", has_text="0.1234")).to_be_visible()
    expect(row.get_by_label("Step of samples.png")).to_have_attribute("max", "3")
    row.scroll_into_view_if_needed()  # what is far from the window is not asked for
    expect(row.get_by_alt_text("samples.png, step 1", exact=True)).to_be_visible()
