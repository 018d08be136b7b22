from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.models import Decision, Experiment, Trial
from experiments.site.queries.projects import Inbox, due_for, inbox_of, lineage, list_projects
from experiments.verdict.queries.current_champion import champion_of
from tests import cast

pytestmark = pytest.mark.django_db


def test_only_own_projects_are_listed() -> None:
    cast.project()
    assert [row.slug for row in list_projects(cast.person("ben")).rows] == ["digits"]
    assert list_projects(cast.person("dan")).rows == []


def test_a_project_without_a_decision_has_no_champion() -> None:
    project = cast.project()
    assert champion_of(project.pk) is None
    assert list_projects(cast.person("ada")).rows[0].champion is None


def test_the_champion_is_the_newest_adopted_with_the_mean_of_its_fresh_seeds() -> None:
    project = cast.project()
    cast.decided("wider", "adopt", "It pays.")
    cast.decided("no-dropout", "reject", "It does not.", gain=-0.002)
    champion = champion_of(project.pk)
    assert champion is not None
    assert (champion.sequence, champion.experiment) == (1, "wider")
    assert champion.score == pytest.approx(0.97, abs=0.01)
    row = list_projects(cast.person("ada")).rows[0]
    assert row.champion == champion
    assert [decision.choice for decision in row.decided] == ["reject", "adopt"]


def test_the_lineage_holds_each_adopt_with_its_interval() -> None:
    project = cast.project()
    cast.decided("wider", "adopt", "It pays.")
    (step,) = lineage(project.pk)
    assert step.gain is not None and step.lower is not None and step.upper is not None
    assert step.lower < step.gain < step.upper
    assert Decision.objects.count() == 1


def test_running_experiments_are_counted() -> None:
    cast.project()
    cast.search("one")
    cast.search("two")
    cast.finished_search("three", trials_per_arm=2)
    row = list_projects(cast.person("ada")).rows[0]
    assert (row.experiments, row.running) == (3, 2)


def test_the_list_costs_the_same_for_one_project_and_for_thirty(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    cast.decided("wider", "adopt", "It pays.")
    cast.repeated(cast.finished_search(trials_per_arm=4), looks=(4,), done=4)
    ada = cast.person("ada")
    assert inbox_of(ada, due_for(ada)).items, "and every log is verified"
    with django_assert_num_queries(11):
        list_projects(ada)
    first = Experiment.objects.get(name="wider")
    same = ("goal", "official_metric", "direction", "sampler", "created_by_id")
    fields = {name: getattr(first, name) for name in same}
    for number in range(29):
        project = cast.project(f"project-{number}")
        Experiment.objects.create(name="one", project=project, state="running", **fields)
    list_projects(ada)
    with django_assert_num_queries(12):  # how long those that run take
        rows = list_projects(ada).rows
    assert len(rows) == 30 and sum(len(row.under_way) for row in rows) == 29


def test_home_tells_what_was_decided_lately_and_by_whom() -> None:
    cast.project()
    for number, choice in enumerate(("adopt", "reject", "reject", "reject")):
        cast.decided(f"question-{number}", choice, "So it is.", gain=0.0047 if not number else -1)
    (row,) = list_projects(cast.person("ben")).rows
    assert [(made.sequence, made.choice, made.decided_by) for made in row.decided] == [
        (4, "reject", "ada"),
        (3, "reject", "ada"),
        (2, "reject", "ada"),
    ]
    assert row.champion is not None and row.champion.sequence == 1
    assert [champion.sequence for champion in row.champions] == [1]


def test_the_inbox_puts_what_the_person_may_decide_first_and_the_oldest_first() -> None:
    cast.project()
    for name, age in (("younger", 1), ("older", 3)):
        replication = cast.repeated(
            cast.finished_search(name, trials_per_arm=4), looks=(4,), done=4
        )
        Trial.objects.replicates_of(replication).update(
            finished_at=cast.START - dt.timedelta(hours=age)
        )
    ada, ben, dan = map(cast.person, ("ada", "ben", "dan"))
    items = inbox_of(ada, due_for(ada)).items
    assert [(item.project, item.experiment, item.may_act) for item in items] == [
        ("digits", "older", True),
        ("digits", "younger", True),
    ]
    assert {item.pairs for item in items} == {4}
    assert [item.may_act for item in inbox_of(ben, due_for(ben)).items] == [False, False]
    assert inbox_of(dan, due_for(dan)) == Inbox((), 0)


def test_replicates_that_run_are_under_way() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.repeated(experiment, looks=(4,), done=3)
    (under_way,) = list_projects(cast.person("ada")).rows[0].under_way
    assert (under_way.name, under_way.done, under_way.budget) == (experiment.name, 6, 8)
    assert under_way.repeats


def test_a_search_that_ended_without_a_trial_counts_as_failed_for_a_week() -> None:
    cast.project()
    experiment = cast.search()
    Experiment.objects.filter(pk=experiment.pk).update(
        state="finished",
        trial_count=3,
        failed_count=3,
        finished_at=timezone.now() - dt.timedelta(days=6),
    )
    ada = cast.person("ada")
    assert list_projects(ada).rows[0].failing == (experiment.name,)
    Experiment.objects.update(finished_at=timezone.now() - dt.timedelta(days=8))
    assert list_projects(ada).rows[0].failing == ()
