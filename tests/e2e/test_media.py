"""The gallery of a trial's page."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Page, expect

from tests import cast
from tests.e2e.test_pages import SIZES, draw_all, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_gallery_shows_each_kind_and_the_step_that_its_slider_is_at(page: Page) -> None:
    cast.project()
    search = cast.finished_search(trials_per_arm=2)
    cast.some_media(search.studies.get(arm_index=0).trials.get(number=0))
    sign_in(page)
    page.goto(cast.address(search, "trials/A0/"))
    draw_all(page)
    gallery = page.locator(".media")
    samples = gallery.locator("figure", has=page.get_by_role("heading", name="samples.png"))
    expect(samples.get_by_alt_text("samples.png, step 20")).to_be_visible()
    slider = samples.get_by_label("Step of samples.png")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    image = samples.get_by_alt_text("samples.png, step 10")
    expect(image).to_be_visible()
    expect(samples.locator("output")).to_have_text("10")
    assert image.evaluate("(each) => each.decode().then(() => each.naturalWidth)") == 64
    matrix = gallery.get_by_role("region", name="confusion.json")
    expect(matrix.get_by_role("columnheader", name="predicted")).to_be_visible()
    expect(matrix.get_by_role("rowheader", name="dog")).to_be_visible()
    expect(gallery.get_by_role("cell", name="8").first).to_be_visible()
    expect(gallery.locator(".js-plotly-plot")).to_have_count(2)
    expect(gallery.get_by_text("Class 3 is often taken for 8.")).to_be_visible()
    for size, theme in (("desk", "light"), ("phone", "dark")):
        if folder := os.environ.get("PICTURES"):
            page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            gallery.screenshot(path=f"{folder}/media-{size}.png")


def test_an_image_is_put_into_a_note_from_the_list_of_the_run(page: Page) -> None:
    cast.project()
    search = cast.finished_search(trials_per_arm=2)
    cast.some_media(search.studies.get(arm_index=0).trials.get(number=0))
    sign_in(page)
    page.goto(cast.address(search, "trials/A0/"))
    page.locator("#notes summary", has_text="Edit note").click()
    page.get_by_label("Insert image").select_option("samples.png")
    note = page.locator("#notes textarea").first
    expect(note).to_have_value("![samples.png](<file:samples.png>)")
    note.press("Control+Enter")
    expect(page.locator(".notes").get_by_alt_text("samples.png")).to_be_visible()
