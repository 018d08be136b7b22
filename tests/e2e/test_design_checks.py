"""The rules on designs beside the form: they answer while a file is written, without a reload."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests import cast
from tests.e2e.test_experiment_form import EXAMPLE
from tests.e2e.test_pages import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_rule_appears_and_goes_while_the_file_is_written(page: Page) -> None:
    cast.project()
    sign_in(page)
    page.goto("/projects/digits/experiments/new/")
    page.get_by_label("Experiment file (YAML)").fill(EXAMPLE)
    panel = page.locator("[data-check-checks]")
    expect(panel).to_contain_text("rules passed")
    page.evaluate("window.sameDocument = true")
    text = page.get_by_label("Experiment file (YAML)")
    sound = text.input_value()
    unsound = sound.replace("{role: fixed, value: 60}", "{role: nuisance, low: 5, high: 60}")
    assert unsound != sound
    text.fill(unsound)
    expect(panel).to_contain_text("epochs varies inside a study")
    fired = panel.locator("li.warning", has_text="epochs varies inside a study")
    fired.locator("summary").click()
    expect(fired).to_contain_text("Tuning Playbook, 'Choosing the number of steps")
    # What was opened stays open while other things are written.
    text.fill(unsound.replace("trials: 24", "trials: 4"))
    expect(panel).to_contain_text("4 trials are few for 4 dimensions")
    expect(fired.locator("details")).to_have_attribute("open", "")
    text.fill(sound)
    expect(panel).not_to_contain_text("varies inside a study")
    assert page.evaluate("window.sameDocument") is True
