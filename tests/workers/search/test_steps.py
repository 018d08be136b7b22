"""A range with a step draws .3, as a file says it, under every sampler."""

from __future__ import annotations

import json

import pytest

from experiments.design.catalogue import SAMPLERS
from experiments.models import Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.services import queue, trials
from tests import cast
from workers.search.asking import AskedTrial
from workers.search.storage import VerdictStorage

TENTHS = {round(0.1 * place, 1) for place in range(1, 11)}
OPTIONS = {
    "tpe": {"n_startup_trials": 2}, "bohb": {"n_startup_trials": 2},
    "gp": {"n_startup_trials": 2}, "genetic": {"population_size": 2},
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws_and_stores_tenths(name: str) -> None:
    document = {
        "project": "digits", "experiment": name, "goal": "Which tenth?",
        "objective": "workers.problems.digits:train",
        "search": {"sampler": {"name": name, **OPTIONS.get(name, {})}, "trials": 8},
        "hyperparameters": {
            "share": {"role": "nuisance", "low": 0.1, "high": 1.0, "step": 0.1},
            "rate": {"role": "nuisance", "choices": [1, 2]},
        },
    }  # fmt: skip
    cast.project()
    cast.search(source=json.dumps(document))
    storage = VerdictStorage()
    drawn = []
    for _ in range(8):
        claim = queue.claim(queue="cpu", worker_id=None)
        assert claim is not None
        asked = AskedTrial(storage, trial_spec.read(claim.trial_id))
        parameters = asked.parameters()
        drawn.append(parameters["share"])
        assert asked.drawn["share"][0] == parameters["share"]
        queue.begin(
            claim=claim, parameters=parameters, objective="", commit="", environment={},
            drawn=asked.drawn,
        )  # fmt: skip
        asked.begun(lambda: None)
        trials.finish(trial_id=claim.trial_id, state=TrialState.COMPLETE, values=[drawn[-1]])
    assert set(drawn) <= TENTHS and len(set(drawn)) > 1
    for column in ("parameters", "configuration__document"):
        texts = Trial.objects.order_by("number").values_list(column, flat=True)
        found = [json.loads(str(text)) for text in texts]
        assert [point.get("parameters", point)["share"] for point in found] == drawn
