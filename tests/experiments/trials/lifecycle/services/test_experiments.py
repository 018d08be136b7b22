from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from experiments.errors import Conflict, InvalidExperiment, NotAllowed, NotFound
from experiments.models import Experiment, Project, Study, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import experiments, queue, trials
from tests import cast

pytestmark = pytest.mark.django_db

TEXT = """
project: digits
experiment: width
goal: Is a wider network better?
objective: workers.problems.digits:train
search: {sampler: halton, trials: 5}
tags: [architecture, quick]
hyperparameters:
  hidden_units: {role: scientific, choices: [64, 256]}
  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}
first: [{learning_rate: 0.01}]
"""


def _create(text: str = TEXT, who: str = "cleo") -> Experiment:
    if not Project.objects.exists():
        cast.project()
    return experiments.create(access=cast.access(cast.person(who)), text=text)


def test_an_experiment_file_becomes_a_study_for_each_arm() -> None:
    experiment = _create()
    assert (experiment.budget, experiment.state) == (12, "running")
    assert experiment.official_metric == "validation_accuracy" and experiment.margin == 0.001
    assert [study.arm for study in experiment.studies.order_by("arm_index")] == [
        '{"hidden_units": 64}',
        '{"hidden_units": 256}',
    ]
    assert Trial.objects.filter(state=TrialState.WAITING).count() == 2
    assert {tag.name for tag in experiment.tags.all()} == {"architecture", "quick"}


def test_the_file_is_kept_as_it_was_given() -> None:
    assert _create().source == TEXT


def test_a_name_is_taken_once_in_a_project() -> None:
    _create()
    with pytest.raises(Conflict, match="already"):
        _create()
    assert Study.objects.count() == 2


@pytest.mark.parametrize("who", ["ben", "dan"])
def test_viewers_and_strangers_create_nothing(who: str) -> None:
    with pytest.raises((NotAllowed, NotFound)):
        _create(who=who)
    assert not Experiment.objects.exists()


def test_an_objective_that_the_operator_did_not_allow_is_refused() -> None:
    with pytest.raises(InvalidExperiment) as raised:
        _create(TEXT.replace("workers.problems.digits:train", "os:system"))
    assert raised.value.problems[0].where == "objective"
    assert "workers.problems" in raised.value.problems[0].message


def test_another_official_metric_than_the_projects_is_refused() -> None:
    with pytest.raises(InvalidExperiment, match="does not fit"):
        _create(TEXT + "metrics: {validation_f1: {official: true}}\n")


def test_it_stops_after_the_minutes_its_file_gives_it() -> None:
    experiment = _create(TEXT + "stop: {minutes: 10}\n")
    experiments.advance(experiment.pk)
    assert Experiment.objects.get().state == "running"
    Experiment.objects.update(created_at=timezone.now() - dt.timedelta(minutes=11))
    experiments.advance(experiment.pk)
    stopped = Experiment.objects.get()
    assert (stopped.state, stopped.stop_reason) == ("stopped", "ran for 10 minutes")


def test_it_stops_when_nothing_got_better_for_as_many_trials_as_its_file_says() -> None:
    experiment = _create(TEXT + "stop: {no_improvement_for: 3}\n")
    for value in (0.9, 0.8, 0.7, 0.6):
        claim = queue.claim(queue="cpu", worker_id=None)
        assert claim is not None
        assert Experiment.objects.get().state == "running"
        trials.finish(
            trial_id=claim.trial_id,
            state=TrialState.COMPLETE,
            values=[value],
            attempt=claim.attempt,
        )
        experiments.advance(experiment.pk)
    assert Experiment.objects.get().stop_reason == "no improvement for 3 trials"


def test_stopping_twice_says_that_it_has_ended() -> None:
    experiment = _create()
    experiments.stop(access=cast.access("cleo", experiment), experiment=experiment)
    with pytest.raises(Conflict, match="ended already"):
        experiments.stop(access=cast.access("cleo", experiment), experiment=experiment)


def test_an_experiment_whose_worker_died_after_the_last_result_is_ended_by_another() -> None:
    cast.project()
    search = cast.search("queued", trials_per_arm=1)
    Experiment.objects.filter(pk=search.pk).update(parallel=2)
    while claim := queue.claim(queue="cpu", worker_id=None):
        trials.finish(trial_id=claim.trial_id, state=1, values=[0.5], attempt=claim.attempt)
    assert Experiment.objects.get().state == "running"
    experiments.stop_overdue()
    assert Experiment.objects.get().state == "finished"
