"""Adding trials to a search in a real browser: at a desk in the dark and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Trial
from experiments.models.trial import FailureKind, Origin, TrialState
from tests import cast
from tests.e2e.test_pages import SIZES, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("size", "theme"), [("desk", "dark"), ("phone", "light")])
def test_a_configuration_is_tried_and_a_failed_trial_retried(
    page: Page, page_problems: list[str], size: str, theme: str
) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=12)
    trial = Trial.objects.get(study__experiment=experiment, study__arm_index=1, number=3)
    Trial.objects.filter(pk=trial.pk).update(
        state=TrialState.FAILED, failure_kind=FailureKind.EXCEPTION, failure_reason="disk full"
    )
    page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    sign_in(page)
    page.goto(cast.address(experiment, "trials/B3/"))
    page.get_by_role("link", name="Try one like it").click()
    rate = page.get_by_label("learning_rate")
    expect(rate).to_have_attribute("aria-describedby", "id_value-learning_rate_helptext")
    rate.fill("7")
    page.get_by_role("button", name="Queue it").click()
    expect(page.get_by_text("learning_rate 7.0 lies outside its range")).to_be_visible()
    page_problems.clear()  # the browser notes the answer 400
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    rate.fill("2e-3")
    page.get_by_role("button", name="Queue it").click()
    expect(page.get_by_text("The configuration is queued.")).to_be_visible()
    assert Trial.objects.get(origin=Origin.MANUAL).study.arm_index == 1
    page.goto(cast.address(experiment, "trials/B3/"))
    page.get_by_role("button", name="Retry with the same seeds").click()
    expect(page.get_by_text("Queued again with the same parameters and seeds.")).to_be_visible()
    assert Trial.objects.get(origin=Origin.RETRY).retry_of_id == trial.pk
