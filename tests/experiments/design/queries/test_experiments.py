from __future__ import annotations

import datetime as dt

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.design.document.file_fields import MOST_FIRST
from experiments.design.queries.experiments import (
    ExperimentFilter,
    arms_of,
    best_trial_name,
    find_experiment,
    free_name,
    list_experiments,
    tally,
)
from experiments.design.queries.time_left import search_time_left
from experiments.models import Experiment, Study, Trial
from experiments.team.queries.access import Access, find_project
from experiments.web.pagination import PageOf
from tests import cast

pytestmark = pytest.mark.django_db


def access(name: str = "ada", slug: str = "digits") -> Access:
    found = find_project(cast.person(name), slug)
    assert found is not None
    return found


def names(**wanted: object) -> list[str]:
    page = list_experiments(access(), ExperimentFilter(**wanted))  # type: ignore[arg-type]
    return [row.name for row in page.rows]


def test_experiments_are_found_by_name_goal_and_tag() -> None:
    cast.project()
    cast.search("alpha", goal="Is it wide enough?")
    cast.search("beta", goal="Is it deep enough?")
    assert names(text="alph") == ["alpha"]
    assert names(text="DEEP") == ["beta"]
    assert sorted(names(text="regularisation")) == ["alpha", "beta"]
    assert names(text="nothing of that") == []


def test_experiments_are_narrowed_by_state_and_ordered() -> None:
    cast.project()
    cast.search("b")
    cast.finished_search("a", trials_per_arm=2)
    assert names(state="finished") == ["a"]
    assert names(order="name") == ["a", "b"]
    assert names(order="best")[0] == "a"


def test_a_row_counts_trials_by_what_became_of_them() -> None:
    cast.project()
    cast.running_search(done=6, trials_per_arm=8)
    (row,) = list_experiments(access(), ExperimentFilter()).rows
    assert row.done == 12
    assert row.complete + row.failed == 12
    assert (row.running, row.budget) == (2, 16)


def test_another_projects_experiment_is_not_found() -> None:
    cast.project()
    cast.search("mine")
    other = cast.project("other")
    assert find_experiment(access(), "mine") is not None
    assert find_experiment(access(slug=other.slug), "mine") is None


def test_the_table_costs_the_same_at_ten_and_at_a_hundred_rows(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    first = cast.search("first")
    fields = {
        name: getattr(first, name)
        for name in (
            "project_id",
            "goal",
            "official_metric",
            "direction",
            "sampler",
            "created_by_id",
        )
    }

    def add(start: int, end: int) -> None:
        Experiment.objects.bulk_create(
            Experiment(name=f"e{number}", **fields) for number in range(start, end)
        )

    add(1, 10)
    seen = access()
    with django_assert_num_queries(6):
        list_experiments(seen, ExperimentFilter())
    add(10, 100)
    with django_assert_num_queries(6):
        page = list_experiments(seen, ExperimentFilter(page=PageOf(2)))
    assert (page.total, page.pages, page.first, page.last) == (100, 2, 51, 100)


def test_a_page_beyond_the_last_is_the_last() -> None:
    cast.project()
    cast.search()
    assert list_experiments(access(), ExperimentFilter(page=PageOf(99))).number == 1


def test_the_best_trial_is_named_with_its_arm() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    arms = arms_of(experiment.pk)
    assert [arm.letter for arm in arms] == ["A", "B"]
    assert arms[1].label == "label_smoothing = 0.1"
    name = best_trial_name(experiment, len(arms))
    assert name[0] in "AB" and name[1:].isdecimal()


def test_time_left_follows_the_pace_of_the_trials_that_ended() -> None:
    cast.project()
    experiment = cast.running_search(done=10, trials_per_arm=12)
    ended = Trial.objects.filter(study__experiment=experiment, finished_at__isnull=False)
    for index, trial in enumerate(ended.order_by("pk")):
        at = cast.START + dt.timedelta(seconds=30 * index)
        after = at + dt.timedelta(seconds=30)
        Trial.objects.filter(pk=trial.pk).update(started_at=at, finished_at=after)
    experiment.refresh_from_db()
    left = search_time_left(experiment, 2)
    runs = experiment.budget - experiment.trial_count - 1  # two half done
    assert left is not None and left.expected == pytest.approx(30 * runs, rel=0.1)
    assert tally(experiment.pk).running == 2
    (row,) = list_experiments(access(), ExperimentFilter()).rows
    assert row.time_left == left, "a list says the same as the experiment's page"


def test_time_left_is_known_while_many_first_configurations_wait() -> None:
    cast.project()
    experiment = cast.running_search(done=10, trials_per_arm=12)
    Study.objects.filter(experiment=experiment).update(next_number=MOST_FIRST)
    experiment.refresh_from_db()
    assert search_time_left(experiment, 2) is not None


def test_time_left_is_unknown_before_two_trials_and_after_the_end() -> None:
    cast.project()
    assert search_time_left(cast.search("fresh"), 0) is None
    assert search_time_left(cast.finished_search("old", trials_per_arm=3), 0) is None


def test_a_taken_name_gets_the_first_number_that_makes_it_free() -> None:
    project = cast.project()
    assert free_name(project.pk, "label-smoothing") == "label-smoothing"
    cast.search("label-smoothing")
    cast.search("label-smoothing-2")
    assert free_name(project.pk, "label-smoothing") == "label-smoothing-3"
