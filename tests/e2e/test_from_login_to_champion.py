"""The whole way in a real browser, on real training: from the log-in to a champion."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Experiment
from experiments.trials.lifecycle.services import experiments
from tests import cast
from tests.services_under_test.web_server import WebServer
from tests.services_under_test.worker import WorkerProcess, wait_until
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = """
project: digits
experiment: wider
goal: Does a wider hidden layer raise validation accuracy?
objective: workers.problems.digits:train
search: {sampler: halton, trials: 3, parallel: 2, seed: 1}
hyperparameters:
  hidden_units:  {role: scientific, choices: [2, 64]}
  learning_rate: {role: nuisance, low: 1.0e-3, high: 1.0e-2, log: true}
  batch_size:    {role: fixed, value: 16}
  epochs:        {role: fixed, value: 10}
"""


def _sign_in(page: Page, name: str) -> None:
    page.goto("/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()


def _champion(server: WebServer, token: str) -> dict[str, object]:
    request = urllib.request.Request(
        f"{server.url}/api/v1/projects/digits/champion",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        document: dict[str, object] = json.load(answer)
        return document


def test_a_running_study_becomes_a_champion_that_deployments_read(
    page: Page, web_server: WebServer, start_worker: Callable[..., WorkerProcess]
) -> None:
    cast.project(margin=0.001)
    worker = start_worker(objectives="workers.problems")
    experiments.create(access=cast.access("ada"), text=SHORT)

    _sign_in(page, "ada")
    page.get_by_role("link", name="Digits").first.click()
    page.get_by_role("link", name="wider").first.click()

    # The page moves by itself while trials end.
    expect(page.get_by_text(re.compile(r"[1-6] of 6")).first).to_be_visible()
    expect(page.get_by_text("finished").first).to_be_visible()
    expect(page.locator("table tr", has_text="complete")).to_have_count(6)

    # The best trial and its curves.
    page.locator("table tr.best a").first.click()
    expect(page.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_visible()
    expect(page.get_by_text("workers.reproduce")).to_be_visible()
    page.go_back()

    # Fresh seeds for the candidate and the narrow baseline.
    page.get_by_role("link", name="Repeat over seeds").first.click()
    page.get_by_label("Analyse after (number of seed pairs)").fill("3")
    page.get_by_role("button", name="Run the first pairs").click()
    wait_until(lambda: "none" not in _replicate_states(), worker=worker)
    page.goto("/projects/digits/experiments/wider/decide/")
    expect(page.get_by_text("The evidence says adopt")).to_be_visible()
    assert "test_accuracy" not in page.content()

    # Adopt, with a reason.
    page.get_by_label("Reason").fill("Two units cannot tell ten digits apart.")
    page.get_by_role("button", name="Adopt").click()
    expect(page.get_by_text("Two units cannot tell ten digits apart.").first).to_be_visible()

    # In the log, and as the project's champion.
    page.goto("/projects/digits/decisions/")
    expect(page.get_by_text("Two units cannot tell ten digits apart.").first).to_be_visible()

    # A token, and what a deployment reads with it.
    page.goto("/account/tokens/")
    page.get_by_label("Name").fill("deploy")
    page.get_by_role("button", name="Create token").first.click()
    secret = page.get_by_text(re.compile(r"^vd_[\w-]{40,}$")).first.inner_text()
    champion = _champion(web_server, secret)
    configuration = champion["configuration"]
    assert isinstance(configuration, dict)
    assert configuration["parameters"]["hidden_units"] == 64


def _replicate_states() -> set[str]:
    """ "none" while a replicate of the replication waits or runs."""
    experiment = Experiment.objects.get(name="wider")
    replication = experiment.replications.first()
    if replication is None:
        return {"none"}
    states = {trial.state for study in replication.studies.all() for trial in study.trials.all()}
    return {"none"} if states & {0, 4} else {"done"}
