from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.models import Decision
from experiments.site.queries.projects import lineage, list_projects
from experiments.verdict.queries.current_champion import champion_of
from tests import cast

pytestmark = pytest.mark.django_db


def test_only_own_projects_are_listed() -> None:
    cast.project()
    assert [row.slug for row in list_projects(cast.person("ben"))] == ["digits"]
    assert list_projects(cast.person("dan")) == ()


def test_a_project_without_a_decision_has_no_champion() -> None:
    project = cast.project()
    assert champion_of(project.pk) is None
    assert list_projects(cast.person("ada"))[0].champion is None


def test_the_champion_is_the_newest_adopted_with_the_mean_of_its_fresh_seeds() -> None:
    project = cast.project()
    cast.decided("wider", "adopt", "It pays.")
    cast.decided("no-dropout", "reject", "It does not.", gain=-0.002)
    champion = champion_of(project.pk)
    assert champion is not None
    assert (champion.sequence, champion.experiment) == (1, "wider")
    assert champion.score == pytest.approx(0.97, abs=0.01)
    row = list_projects(cast.person("ada"))[0]
    assert row.champion == champion
    assert row.last_choice == "reject"


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
    row = list_projects(cast.person("ada"))[0]
    assert (row.experiments, row.running) == (3, 2)


def test_the_list_costs_the_same_for_one_project_and_for_ten(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    cast.decided("wider", "adopt", "It pays.")
    ada = cast.person("ada")
    with django_assert_num_queries(8):
        list_projects(ada)
    for number in range(9):
        cast.project(f"project-{number}")
    with django_assert_num_queries(8):
        assert len(list_projects(ada)) == 10
