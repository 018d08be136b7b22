"""The form that is the file, in a real browser: rows and YAML follow each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from experiments.design.document import experiment_file
from experiments.design.space.search_space import Range
from experiments.models import Experiment
from tests import cast
from tests.e2e.test_pages import SIZES, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "/projects/digits/experiments/new/"
EXAMPLE = """\
project: digits
experiment: label-smoothing
goal: Does label smoothing raise validation_accuracy once the learning rate is retuned?
objective: workers.problems.digits:train
metrics:
  validation_accuracy: {official: true, direction: maximize}
search: {sampler: halton, trials: 24, parallel: 2, seed: 0}   # trials: of each arm
hyperparameters:
  label_smoothing: {role: scientific, choices: [0.0, 0.1]}     # two arms
  learning_rate:   {role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}
  dropout:         {role: nuisance, low: 0.0, high: 0.5, natural: [low]}
  hidden_units:    {role: nuisance, choices: [32, 64, 128, 256, 512], ordered: true}
  optimizer:       {role: fixed, value: adam}
  epochs:          {role: fixed, value: 60}
"""


@pytest.fixture
def form(page: Page) -> Page:
    cast.project()
    sign_in(page)
    page.goto(NEW)
    page.get_by_label("Experiment file (YAML)").fill(EXAMPLE)
    expect(row(page, 5)).to_be_visible()
    return page


def row(page: Page, index: int) -> Locator:
    return page.locator(".space-row").nth(index)


def cell(page: Page, index: int, name: str) -> Locator:
    return row(page, index).locator(f"[data-cell={name}]")


def yaml_of(page: Page) -> Locator:
    return page.get_by_label("Experiment file (YAML)")


def names(page: Page) -> list[str]:
    return [box.input_value() for box in page.locator("[data-cell=name]").all()]


def test_rows_and_file_follow_each_other(form: Page) -> None:
    cell(form, 1, "low").fill("1e-6")
    expect(yaml_of(form)).to_have_value(
        re.compile(r"learning_rate:   {role: nuisance, low: 1e-6,")
    )
    text = yaml_of(form).input_value()
    assert "# two arms" in text and "# trials: of each arm" in text, "comments stay"
    yaml_of(form).fill(text.replace("low: 1e-6, high: 1.0e-1", "low: 2e-6, high: 3").replace(
        "experiment: label-smoothing", "experiment: again"))  # fmt: skip
    expect(cell(form, 1, "low")).to_have_value("2e-6")
    expect(cell(form, 1, "high")).to_have_value("3")
    expect(form.get_by_label("Name", exact=True)).to_have_value("again")
    form.get_by_role("button", name="Start the search").click()
    form.wait_for_url("**/experiments/again/")
    space = experiment_file.parse(Experiment.objects.get().source).space
    assert space["learning_rate"].domain == Range(2e-6, 3.0, log=True)


def test_a_role_changes_what_a_row_asks_for(form: Page) -> None:
    cell(form, 4, "role").select_option("scientific")
    expect(cell(form, 4, "choices")).to_have_value("adam")
    expect(row(form, 4)).to_contain_text("must be a list of 2")
    cell(form, 4, "choices").fill("adam, sgd")
    expect(row(form, 4).locator("[data-errors] li")).to_have_count(0)
    cell(form, 5, "value").fill("by: optimizer, adam: 60, sgd: 90")
    expect(form.locator("#check")).to_contain_text("4 arms of 24 trials")


def test_errors_stand_at_their_cells_and_a_taken_name_is_said(form: Page) -> None:
    cast.search("smooth")
    form.get_by_label("Name", exact=True).fill("smooth")
    expect(form.locator("#head-experiment-error")).to_contain_text("is taken")
    expect(form.locator("#check")).to_contain_text("smooth is taken in this project")
    form.get_by_label("Name", exact=True).fill("smoother")
    expect(form.locator("#head-experiment-error")).to_be_empty()
    cell(form, 1, "low").fill("1e-")
    expect(cell(form, 1, "low")).to_have_attribute("aria-invalid", "true")
    expect(row(form, 1)).to_contain_text("from: must be a finite number (found '1e-')")
    expect(cell(form, 1, "low")).to_be_focused()
    cell(form, 1, "name").fill("dropout")
    expect(form.get_by_role("status").filter(has_text="exists already")).to_be_visible()


def test_the_keyboard_adds_moves_and_removes(form: Page) -> None:
    form.get_by_role("button", name="Add a hyperparameter").press("Enter")
    expect(cell(form, 6, "name")).to_be_focused()
    form.keyboard.type("width")
    expect(yaml_of(form)).to_have_value(re.compile(r"\n  width: "))
    form.keyboard.press("Alt+ArrowUp")
    expect(cell(form, 5, "name")).to_have_value("width")
    expect(cell(form, 5, "name")).to_be_focused()
    form.keyboard.press("Alt+ArrowDown")
    expect(cell(form, 6, "name")).to_be_focused()
    row(form, 0).get_by_role("button", name="Remove").press("Enter")
    expect(form.locator(".space-row")).to_have_count(6)
    assert names(form)[0] == "learning_rate"
    form.get_by_role("button", name="Undo").press("Enter")
    expect(form.locator(".space-row")).to_have_count(7)
    assert "label_smoothing: {role: scientific" in yaml_of(form).input_value()


def test_a_broken_file_holds_the_rows_until_it_is_mended(form: Page) -> None:
    good = yaml_of(form).input_value()
    yaml_of(form).fill(good + "a: [\n")
    expect(form.get_by_text("The rows wait until the YAML can be read again")).to_be_visible()
    expect(cell(form, 0, "name")).to_be_disabled()
    long = good + "#" * 200_000
    yaml_of(form).fill(long)
    expect(form.get_by_text("characters, expected 200000 at most").first).to_be_visible()
    assert yaml_of(form).input_value() == long, "nothing that was written is cut off"
    yaml_of(form).fill(good)
    expect(cell(form, 0, "name")).to_be_enabled()
    expect(form.get_by_text("The rows wait until")).to_be_hidden()


@pytest.mark.parametrize(("size", "theme"), [("desk", "dark"), ("phone", "light")])
def test_presets_fill_rows_that_fit_the_window(page: Page, size: str, theme: str) -> None:
    cast.project()
    page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    sign_in(page)
    page.goto(f"{NEW}?example=label-smoothing")
    page.get_by_text("Use a preset").click()
    expect(page.get_by_text("How should Adam's hyperparameters be tuned?")).to_be_visible()
    page.get_by_role("button", name="Use Text classification").click()
    expect(cell(page, 1, "value")).to_have_value("{by: optimizer, adam: 100, bert_adam: 3}")
    for more in page.locator(".space-row summary").all():
        more.click()
    wide = int(page.evaluate("document.documentElement.scrollWidth"))
    assert wide <= SIZES[size]["width"]
    page.get_by_role("button", name="Undo").click()
    expect(cell(page, 0, "name")).to_have_value("label_smoothing")


def test_coming_back_to_the_page_shows_the_rows_of_its_text(form: Page) -> None:
    form.goto(f"{NEW}?example=label-smoothing")
    expect(row(form, 5)).to_be_visible()
    yaml_of(form).fill(yaml_of(form).input_value().replace("dropout:", "drop:"))
    expect(cell(form, 2, "name")).to_have_value("drop")
    form.goto("/projects/digits/")
    form.go_back()
    expect(row(form, 5)).to_be_visible()
    written = "drop:" in yaml_of(form).input_value()
    expect(cell(form, 2, "name")).to_have_value("drop" if written else "dropout")


def test_a_viewer_sees_the_form_and_cannot_start(page: Page) -> None:
    cast.project()
    sign_in(page, "ben")
    page.goto(f"{NEW}?example=label-smoothing")
    expect(cell(page, 0, "name")).to_have_value("label_smoothing")
    expect(page.get_by_role("button", name="Start the search")).to_be_disabled()


def test_a_new_experiment_is_empty_and_a_fresh_row_is_not_red_before_it_is_typed_into(
    page: Page,
) -> None:
    cast.project()
    sign_in(page)
    page.goto(NEW)
    expect(page.get_by_role("heading", name="Still to fill in")).to_be_visible()
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    page.get_by_role("button", name="Add a hyperparameter").click()
    expect(row(page, 0).locator("[data-errors].unfinished")).to_contain_text("Enter a range")
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    cell(page, 0, "low").fill("1e-")
    expect(cell(page, 0, "low")).to_have_attribute("aria-invalid", "true")


def test_a_file_that_is_dropped_into_the_form_fills_it(page: Page) -> None:
    cast.project()
    sign_in(page)
    page.goto(NEW)
    dropped = page.evaluate_handle(
        """text => {
            const dropped = new DataTransfer();
            dropped.items.add(new File([text], "mine.yaml"));
            return dropped;
        }""",
        EXAMPLE.replace("experiment: label-smoothing", "experiment: mine").replace("\n", "\r\n"),
    )
    # Without a prevented dragover a browser shows the file in place of the page.
    assert yaml_of(page).evaluate(
        """(field, dataTransfer) => !field.dispatchEvent(
            new DragEvent("dragover", {dataTransfer, cancelable: true, bubbles: true}))""",
        dropped,
    )
    yaml_of(page).dispatch_event("drop", {"dataTransfer": dropped})
    expect(row(page, 5)).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("mine")
    expect(yaml_of(page)).to_have_value(re.compile("^project: digits\nexperiment: mine\n"))


def test_a_file_that_is_opened_fills_the_form_and_an_objective_that_workers_offer_is_picked(
    page: Page, tmp_path: Path
) -> None:
    cast.project()
    cast.offering_worker()
    sign_in(page)
    page.goto(NEW)
    file = tmp_path / "mine.yaml"
    file.write_text(EXAMPLE.replace("experiment: label-smoothing", "experiment: mine"))
    page.get_by_label("A file").set_input_files(file)
    expect(row(page, 5)).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("mine")
    expect(page.locator("#check")).to_contain_text("its objective is being checked")
    page.locator("[data-declared]").select_option("weight_decay")
    expect(cell(page, 6, "value")).to_have_value("0.0")
