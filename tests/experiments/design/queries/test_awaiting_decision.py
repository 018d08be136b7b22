from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.design.queries.awaiting_decision import awaiting_decision
from experiments.design.queries.experiments import ExperimentFilter, list_experiments
from experiments.design.queries.time_left import look_time
from experiments.models import Experiment, Project, Trial
from experiments.models.trial import TrialState
from experiments.team.queries.access import find_project
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return cast.project()


def test_a_complete_look_waits_until_it_is_decided(project: Project) -> None:
    experiment = cast.finished_search(trials_per_arm=4)
    replication = cast.repeated(experiment, looks=(4,), done=3)
    assert awaiting_decision([project.pk]) == {}, "a pair is open"
    cast.finish_pairs(replication, done=4)
    ((waiting,),) = awaiting_decision([project.pk]).values()
    assert (waiting.experiment, waiting.pairs) == (experiment.name, 4)
    last = Trial.objects.replicates_of(replication).order_by("-finished_at").first()
    assert last is not None and waiting.since == last.finished_at
    cast.decide(replication, "reject")
    assert awaiting_decision([project.pk]) == {}


def test_an_accident_has_to_be_repeated_first(project: Project) -> None:
    replication = cast.repeated(cast.finished_search(trials_per_arm=4), looks=(4,), done=4)
    last = Trial.objects.replicates_of(replication).order_by("-pk").first()
    assert last is not None
    Trial.objects.filter(pk=last.pk).update(state=TrialState.FAILED, failure_kind="exception")
    assert awaiting_decision([project.pk]) == {}


def test_archived_experiments_and_other_projects_wait_for_nobody(project: Project) -> None:
    experiment = cast.finished_search(trials_per_arm=4)
    cast.repeated(experiment, looks=(4,), done=4)
    other = cast.project("speech")
    assert awaiting_decision([other.pk]) == {}
    cast.end(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(archived_at=experiment.created_at)
    assert awaiting_decision([project.pk]) == {}


def test_candidates_that_share_a_baseline_wait_for_its_open_runs(project: Project) -> None:
    first, *others = cast.candidates(cast.finished_search(trials_per_arm=4))
    waiting = awaiting_decision([project.pk])
    baseline = Trial.objects.filter(study__replication=first, study__side="baseline").first()
    assert baseline is not None and others
    Trial.objects.filter(pk=baseline.pk).update(state=TrialState.RUNNING)
    assert awaiting_decision([project.pk]) == {}, waiting


def test_it_takes_one_query(
    project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        awaiting_decision([project.pk, project.pk + 1])


def test_the_table_of_a_project_marks_what_waits(project: Project) -> None:
    cast.repeated(cast.finished_search(trials_per_arm=4), looks=(4,), done=4)
    cast.finished_search("other", trials_per_arm=4)
    access = find_project(cast.person("ada"), project.slug)
    assert access is not None
    rows = list_experiments(access, ExperimentFilter()).rows
    assert {row.name: row.wants_decision for row in rows} == {
        "label-smoothing": True,
        "other": False,
    }


def test_a_look_takes_as_long_as_trials_of_the_search_took(project: Project) -> None:
    experiment = cast.finished_search(trials_per_arm=4)
    alone, both = look_time(experiment, 10), look_time(experiment, 10, candidates=2)
    assert alone is not None and both is not None and alone.low < alone.high
    assert 1.2 < both.expected / alone.expected < 1.6, "30 runs instead of 20"
    assert look_time(cast.search("another"), 10) is None
