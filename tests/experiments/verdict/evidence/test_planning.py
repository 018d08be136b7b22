from __future__ import annotations

import json

import pytest

from experiments.analysis.seeds.looks import DEFAULT, plan
from experiments.decisions.services import baselines
from experiments.models import Trial
from experiments.models.trial import TrialState
from experiments.verdict.evidence import planning
from tests import cast

pytestmark = pytest.mark.django_db

SINGLE = """\
project: {project}
experiment: baseline
goal: Where do we begin?
objective: workers.problems.digits:train
search: {{trials: 1}}
hyperparameters:
  learning_rate: {{role: fixed, value: 0.001}}
"""


def test_before_any_replication_what_can_be_shown_is_unknown() -> None:
    cast.project()
    told = planning.plan_ahead(cast.finished_search(), DEFAULT, margin=0.001)
    assert told.spread.sd is None and all(
        detectable.gain is None for detectable in told.detectable
    )
    assert told.prospect is None and told.words == ""


def test_earlier_pairs_say_what_the_next_ones_can_show() -> None:
    cast.project()
    experiment = cast.repeated(cast.finished_search(), done=10).experiment
    told = planning.plan_ahead(experiment, DEFAULT, margin=0.001)
    gains = [detectable.gain for detectable in told.detectable if detectable.gain is not None]
    assert len(gains) == 3 and gains == sorted(gains, reverse=True) and gains[-1] > 0.001
    assert told.needed is not None and told.needed.pairs is not None
    assert "over all 3 looks" in told.words


def test_candidates_that_share_the_level_can_each_show_less() -> None:
    cast.project()
    experiment = cast.repeated(cast.finished_search(), done=10).experiment
    alone, shared = (
        planning.plan_ahead(experiment, plan([5]), margin=0.0, candidates=count).detectable[0].gain
        for count in (1, 4)
    )
    assert alone is not None and shared is not None and alone < shared


def test_the_seeds_still_needed_go_by_the_smallest_gain_that_matters() -> None:
    cast.project()
    experiment = cast.repeated(cast.finished_search(), done=10).experiment
    spread = planning.earlier_spread(experiment)
    told = planning.seeds_still_needed(experiment, DEFAULT, spread, margin=0.001, have=10)
    assert told is not None and told.pairs is not None and "0.003" in told.text
    experiment.smallest_gain = None
    assert planning.seeds_still_needed(experiment, DEFAULT, spread, margin=0.0) is None


def test_without_earlier_pairs_the_projects_baseline_over_seeds_gives_an_assumption() -> None:
    held = cast.project()
    replication = baselines.start(
        access=cast.access("cleo", held), text=SINGLE.format(project=held.slug), seeds=3
    )
    runs = Trial.objects.filter(study__replication=replication).order_by("pair")
    for trial, score in zip(runs, (0.95, 0.952, 0.954), strict=True):
        Trial.objects.filter(pk=trial.pk).update(
            state=TrialState.COMPLETE, value=score, values=json.dumps([score])
        )
    spread = planning.earlier_spread(cast.finished_search(trials_per_arm=4))
    assert spread.sd == pytest.approx(0.002 * 2**0.5)
    assert "an assumption, without earlier pairs" in spread.text
