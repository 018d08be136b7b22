from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.models import Experiment, Finding, Trial
from experiments.trials.lifecycle.queries.change_marker import ChangeMarker, change_marker
from tests import cast

pytestmark = pytest.mark.django_db


def beat(experiment: Experiment) -> ChangeMarker:
    return change_marker(Experiment.objects.get(pk=experiment.pk))


def test_the_pulse_stands_still_when_nothing_happens(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    experiment = cast.running_search(done=3, trials_per_arm=6)
    with django_assert_num_queries(1):
        first = change_marker(experiment)
    assert first == beat(experiment)
    assert first.moving


def _finish(experiment: Experiment) -> None:
    study = experiment.studies.first()
    assert study is not None
    cast.finished_trial(study, 99, np.random.default_rng(1))


def _stop(experiment: Experiment) -> None:
    cast.end(experiment)


@pytest.mark.parametrize("happens", [_finish, _stop, cast.finding])
def test_it_changes_with_what_the_words_rest_on(
    happens: Callable[[Experiment], object],
) -> None:
    cast.project()
    experiment = cast.running_search(done=3, trials_per_arm=6)
    before = beat(experiment)
    happens(experiment)
    assert beat(experiment).words != before.words


def test_a_step_of_a_running_trial_changes_the_table_only() -> None:
    cast.project()
    experiment = cast.running_search(done=3, trials_per_arm=6)
    before = beat(experiment)
    Trial.objects.filter(state=0).update(latest_step=50)
    after = beat(experiment)
    assert after.words == before.words and after.table != before.table


def test_a_finished_experiment_moves_while_replicates_run() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    assert not beat(experiment).moving
    cast.repeated(experiment, looks=(3,), done=2)
    assert beat(experiment).moving


def test_setting_a_finding_aside_changes_both() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    cast.finding(experiment)
    before = beat(experiment)
    Finding.objects.update(dismissed_at=cast.START, dismiss_reason="known")
    after = beat(experiment)
    assert after.words != before.words and after.table != before.table
