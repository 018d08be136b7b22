from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, replace

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.design.queries.experiments import get_experiment
from experiments.models import Experiment, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.team.queries.access import Access, find_project
from experiments.verdict.queries.replication_state import (
    best_of_each_arm,
    best_trials,
    find_choosable,
    find_replication,
    get_replication,
    guard_metrics,
    replication_state,
)
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_experiment(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=6)


@pytest.fixture
def experiment(made_experiment: Experiment) -> Experiment:
    return copy.deepcopy(made_experiment)


def access(slug: str = "digits") -> Access:
    found = find_project(cast.person("ada"), slug)
    assert found is not None
    return found


def test_without_seeds_there_is_no_state(experiment: Experiment) -> None:
    assert replication_state(experiment.pk) is None


def test_replicates_are_counted_by_what_became_of_them(
    experiment: Experiment, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    replication = cast.repeated(experiment, looks=(5, 10), done=3)
    replicates = Trial.objects.filter(study__replication=replication).order_by("pk")
    first, second = list(replicates.filter(state=TrialState.COMPLETE)[:2])
    Trial.objects.filter(pk=first.pk).update(
        state=TrialState.FAILED, failure_kind=FailureKind.LOST
    )
    Trial.objects.filter(pk=second.pk).update(
        state=TrialState.FAILED, failure_kind=FailureKind.INFEASIBLE
    )
    with django_assert_num_queries(4):
        state = replication_state(experiment.pk)
    assert state is not None
    assert (state.replicates_done, state.replicates_open, state.accidents) == (5, 4, 1)
    assert not state.complete
    assert (state.look, state.schedule) == (1, "5, 10 pairs")


def test_a_decided_replication_names_its_decision() -> None:
    cast.project()
    experiment = cast.decided("wider", "adopt", "It pays.")
    state = replication_state(experiment.pk)
    assert state is not None and state.complete
    assert (state.decision, state.choice) == (1, "adopt")


def test_a_replication_is_found_in_its_own_project_and_experiment_only(
    experiment: Experiment,
) -> None:
    cast.project("other")
    replication = cast.repeated(experiment, looks=(3,), done=1)
    own = get_experiment(access(), experiment.name)
    found = find_replication(access(), own, replication.pk)
    assert found is not None and (found.pk, found.experiment) == (replication.pk, own)
    assert find_replication(access("other"), own, replication.pk) is None
    assert find_replication(access(), replace(own, pk=own.pk + 1), replication.pk) is None


def test_a_replication_is_handed_out_as_a_record_that_cannot_query(
    experiment: Experiment, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    replication = cast.repeated(experiment, looks=(3,), done=1)
    mine = access()
    own = get_experiment(mine, experiment.name)
    with django_assert_num_queries(1):
        found = get_replication(mine, own, replication.pk)
    with django_assert_num_queries(0):
        assert found.candidate.digest == replication.candidate.digest
        assert found.candidate_trial is not None and found.declared_looks == (3,)
    with pytest.raises(FrozenInstanceError):
        found.margin = 1.0  # type: ignore[misc]


def test_candidates_stand_the_best_first(experiment: Experiment) -> None:
    found = best_trials(experiment, 2, count=4)
    scores = [trial.score or 0 for trial in found]
    assert len(found) == 4 and scores == sorted(scores, reverse=True)
    assert found[0].id == experiment.best_trial_id
    assert "label_smoothing" in found[0].parameters and "dropout" in found[0].parameters


def test_each_arm_offers_its_best_as_a_baseline(experiment: Experiment) -> None:
    found = best_of_each_arm(experiment, 2)
    assert {trial.name[0] for trial in found} == {"A", "B"}
    assert len(found) == 2


def test_only_trials_of_this_search_can_be_chosen(experiment: Experiment) -> None:
    replication = cast.repeated(experiment, looks=(3,), done=1)
    replicate = Trial.objects.filter(study__replication=replication).first()
    assert replicate is not None
    assert find_choosable(experiment, replicate.pk) is None
    best = experiment.best_trial
    assert best is not None
    assert find_choosable(experiment, best.pk) == best


def test_of_several_candidates_the_first_undecided_is_shown_unless_one_is_asked_for(
    experiment: Experiment,
) -> None:
    first, second = cast.candidates(experiment, looks=(10,), done=10, gain=0.02)
    state = replication_state(experiment.pk)
    assert state is not None and (state.id, state.position) == (first.pk, 1)
    assert [candidate.decision for candidate in state.candidates] == [None, None]
    asked = replication_state(experiment.pk, 2)
    assert asked is not None and asked.id == second.pk and asked.complete
    cast.decide(first, "adopt")
    state = replication_state(experiment.pk)
    assert state is not None and state.id == second.pk and not state.all_decided
    cast.decide(second, "reject")
    state = replication_state(experiment.pk)
    assert state is not None and state.id == first.pk and state.all_decided


def test_guards_can_watch_what_the_best_trial_logged(experiment: Experiment) -> None:
    assert "validation_loss" in guard_metrics(experiment)
    assert experiment.official_metric not in guard_metrics(experiment)
