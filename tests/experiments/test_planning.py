from __future__ import annotations

import pytest

from experiments import planning
from experiments.analysis.looks import DEFAULT, plan
from tests import cast

pytestmark = pytest.mark.django_db


def test_before_any_repetition_what_can_be_shown_is_unknown() -> None:
    cast.project()
    told = planning.plan_ahead(cast.finished_search(), DEFAULT, margin=0.001)
    assert told.spread.sd is None and all(each.gain is None for each in told.detectable)
    assert told.prospect is None and told.prospect_words == ""


def test_earlier_pairs_say_what_the_next_ones_can_show() -> None:
    cast.project()
    experiment = cast.repeated(cast.finished_search(), done=10).experiment
    told = planning.plan_ahead(experiment, DEFAULT, margin=0.001)
    gains = [each.gain for each in told.detectable if each.gain is not None]
    assert len(gains) == 3 and gains == sorted(gains, reverse=True) and gains[-1] > 0.001
    assert told.needed is not None and told.needed.pairs is not None
    assert "over all 3 looks" in told.prospect_words


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
