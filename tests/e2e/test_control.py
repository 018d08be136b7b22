"""Control of an experiment under way, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import queue
from tests import cast
from tests.e2e.test_pages import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_limits_change_and_a_trial_is_cancelled_by_keyboard(page: Page) -> None:
    cast.project()
    experiment = cast.running_search(done=6, trials_per_arm=8)
    Experiment.objects.filter(pk=experiment.pk).update(gpus=2, queue="gpu", parallel=9)
    claim = queue.claim(queue="gpu", worker_id=None, device="cuda:0,cuda:1")
    assert claim is not None
    sign_in(page)
    page.goto(cast.address(experiment))
    page.locator("summary", has_text="More").click()
    page.get_by_role("link", name="Worker settings").click()
    page.get_by_label("Trials at a time").fill("3")
    page.get_by_label("At most GPU hours").fill("2.5")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved. Running trials continue.")).to_be_visible()
    expect(page.get_by_text("2 GPUs a trial")).to_be_visible()
    experiment.refresh_from_db()
    assert (experiment.parallel, experiment.gpu_hours_cap) == (3, 2.5)
    arm = "AB"[Trial.objects.get(pk=claim.trial_id).study.arm_index]
    page.goto(cast.address(experiment, f"trials/{arm}{claim.number}/"))
    page.get_by_text("Cancel…").press("Enter")
    page.get_by_role("button", name="Cancel the trial").press("Enter")
    expect(page.get_by_text("The trial ends within seconds.")).to_be_visible()
    cancelled = Trial.objects.get(state=TrialState.RUNNING, control="cancel")
    assert cancelled.pk == claim.trial_id
