"""The three variances measured for real, and the Decide page on paper."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Experiment, Replication, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import experiments
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = """
project: digits
experiment: small
goal: Does a wider hidden layer raise validation accuracy?
objective: workers.problems.digits:train
search: {sampler: halton, trials: 2, parallel: 2, seed: 1}
hyperparameters:
  hidden_units:  {role: scientific, choices: [2, 32]}
  learning_rate: {role: nuisance, low: 1.0e-3, high: 1.0e-2, log: true}
  batch_size:    {role: fixed, value: 64}
  epochs:        {role: fixed, value: 1}
"""
BUTTONS = ("Run 5 seeds", "Run 5 splits", "Repeat the search 3 times")
SOURCES = ("training seed alone", "data split alone", "search seed alone")


def sign_in(page: Page) -> None:
    page.goto("/login/")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")


def replicates_done(purpose: str) -> bool:
    runs = Trial.objects.filter(study__replication__purpose=purpose)
    waiting = runs.filter(state__in=(TrialState.WAITING, TrialState.RUNNING))
    return runs.exists() and not waiting.exists()


def test_the_three_variances_are_measured_by_their_buttons_and_stand_side_by_side(
    page: Page, start_worker: Callable[..., WorkerProcess]
) -> None:
    cast.project(margin=0.001)
    worker = start_worker(objectives="workers.problems")
    experiments.create(access=cast.access("ada"), text=SMALL)
    wait_until(lambda: Experiment.objects.get().state == "finished", worker=worker)

    sign_in(page)
    page.goto("/projects/digits/experiments/small/seeds/")
    page.get_by_label("Analyse after (number of seed pairs)").fill("3")
    expect(page.locator("[data-power-shown] td").first).to_have_text("3")
    page.get_by_role("button", name="Run the first pairs").click()
    wait_until(lambda: replicates_done("verdict"), worker=worker)

    page.goto("/projects/digits/experiments/small/seeds/")
    for name in BUTTONS:
        page.get_by_role("button", name=name).click()
        expect(page.get_by_text("The runs that measure this source are queued.")).to_be_visible()
    wait_until(lambda: replicates_done("training_seed"), worker=worker)
    wait_until(lambda: replicates_done("split_seed"), worker=worker)
    winners = Trial.objects.filter(study__replication__purpose="search_seed")
    wait_until(lambda: winners.filter(state=TrialState.COMPLETE).count() == 9, worker=worker)

    page.goto("/projects/digits/experiments/small/decide/")
    for source in SOURCES:
        row = page.locator("tr", has_text=source)
        deviation = float(row.locator("td").first.inner_text())
        assert deviation >= 0
    expect(page.get_by_text("3 searches, each winner re-run over 3 fresh seeds")).to_be_visible()
    expect(page.get_by_text("not measured", exact=True)).to_have_count(0)


def test_a_typical_decision_prints_on_one_sheet(page: Page, tmp_path: Path) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    cast.some_findings(experiment)
    repeated = cast.repeated(experiment, done=10)
    limits = [
        {"metric": "seconds", "bound": "at most", "limit": 12.0},
        {"metric": "validation_loss", "bound": "at most", "limit": 0.5},
    ]
    Replication.objects.filter(pk=repeated.pk).update(guards=json.dumps(limits))
    sign_in(page)
    page.goto(cast.address(experiment, "decide/"))
    expect(page.locator("svg.main-svg").first).to_be_attached()
    sheet = page.pdf(path=tmp_path / "decide.pdf", prefer_css_page_size=True)
    assert [int(count) for count in re.findall(rb"/Count (\d+)", sheet)] == [1]

    # Just before it is printed the page takes the measures of paper, and its charts with it.
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    for chart in page.locator("[data-figure]").all():
        card = chart.evaluate("(each) => each.clientWidth")
        drawn = chart.locator("svg.main-svg").first.evaluate("(each) => each.clientWidth")
        assert 200 < drawn <= card + 1
