from __future__ import annotations

import numpy as np
import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.models import Trial
from experiments.models.trial import TrialState
from experiments.trials.table.queries.search_points import search_points
from tests import cast

pytestmark = pytest.mark.django_db

NAMES = {"learning_rate", "dropout", "hidden_units"}


def test_all_finished_trials_are_read_in_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    experiment = cast.running_search(done=4, trials_per_arm=6)
    with django_assert_num_queries(1):
        points = search_points(experiment.pk, 2, times=True)
    assert len(points) == 8
    assert {name[0] for name in points.names} == {"A", "B"}
    assert all(set(found) == NAMES for found in points.parameters)
    assert np.nanmin(points.started) == 0
    assert (points.finished - points.started).tolist() == [11.0] * 8


def test_states_keep_infeasible_and_pruned_trials_apart() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=12)
    pruned = Trial.objects.filter(study__experiment=experiment, state=TrialState.COMPLETE)[:2]
    Trial.objects.filter(pk__in=[trial.pk for trial in pruned]).update(state=TrialState.PRUNED)
    points = search_points(experiment.pk, 2, parameters=False)
    assert points.pruned.sum() == 2
    assert np.isnan(points.scores[points.pruned]).all(), "a pruned score is of a shorter run"
    assert points.failed.sum() == experiment.failed_count > 0
    assert points.complete.sum() == experiment.complete_count - 2
    assert points.parameters == []


def test_a_trial_of_which_no_times_are_known_is_nowhere_in_time() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    Trial.objects.filter(study__experiment=experiment).update(started_at=None)
    points = search_points(experiment.pk, 2, times=True)
    assert np.isnan(points.started).all() and np.isnan(points.finished).all()
