from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.design.queries.experiments import arms_of
from experiments.models import Experiment, Trial
from experiments.trials.table.queries.trial_table import TrialFilter, TrialRow, list_trials
from experiments.web.pagination import Page
from tests import cast

pytestmark = pytest.mark.django_db

NAMES = ("learning_rate", "dropout", "hidden_units")


def table(experiment: Experiment, **wanted: object) -> Page[TrialRow]:
    return list_trials(
        experiment.pk,
        arms_of(experiment.pk),
        TrialFilter(**wanted),  # type: ignore[arg-type]
        direction=experiment.direction,
        parameters=NAMES,
    )


def test_the_best_score_stands_first_and_failed_trials_last() -> None:
    cast.project()
    rows = table(cast.finished_search(trials_per_arm=12)).rows
    scores = [row.score for row in rows if row.score is not None]
    assert scores == sorted(scores, reverse=True)
    assert [row.state for row in rows if row.score is None] == ["failed"] * (24 - len(scores))
    assert all(row.score is not None for row in rows[: len(scores)])


def test_a_minimised_metric_stands_lowest_first() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    experiment.direction = "minimize"
    scores = [row.score for row in table(experiment).rows if row.score is not None]
    assert scores == sorted(scores)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_trials_are_ordered_by_a_hyperparameter_as_numbers(name: str, descending: bool) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=8)
    rows = table(experiment, order=f"p.{name}", descending=descending).rows
    values = [row.parameters[name] for row in rows]
    assert values == sorted(values, reverse=descending)


def test_an_unknown_order_is_the_order_of_their_numbers() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    rows = table(experiment, order='p.x") OR 1=1 --').rows
    assert [row.number for row in rows] == sorted(row.number for row in rows)


def test_trials_are_narrowed_by_state_and_arm() -> None:
    cast.project()
    experiment = cast.running_search(done=5, trials_per_arm=8)
    running = table(experiment, state="running")
    assert [row.state for row in running.rows] == ["running", "running"]
    of_arm = table(experiment, arm="B")
    assert of_arm.total == 6
    assert all(row.name.startswith("B") for row in of_arm.rows)


def test_a_running_trial_shows_its_latest_value() -> None:
    cast.project()
    experiment = cast.running_search(done=2, trials_per_arm=4)
    row = table(experiment, state="running").rows[0]
    trial = Trial.objects.get(pk=row.id)
    assert row.score == trial.latest_value is not None
    assert row.step == trial.latest_step


def test_replicates_are_no_trials_of_the_search() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=5)
    before = table(experiment).total
    cast.repeated(experiment, looks=(3,), done=3)
    assert table(experiment).total == before == 10


def test_open_findings_stand_beside_their_trial() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=5)
    best = experiment.best_trial
    assert best is not None
    cast.finding(experiment, trial=best, rule="late_oscillation", subject="x")
    cast.finding(experiment, trial=best, rule="overfitting", subject="x", status="passed")
    assert table(experiment).rows[0].findings == (("late oscillation", "warning"),)


def test_the_table_costs_the_same_at_ten_and_at_a_hundred_rows(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=5)
    arms = arms_of(experiment.pk)

    def read() -> Page[TrialRow]:
        return list_trials(
            experiment.pk, arms, TrialFilter(), direction="maximize", parameters=NAMES
        )

    with django_assert_num_queries(3):
        assert read().total == 10
    cast.many_trials(experiment, 90)
    with django_assert_num_queries(3):
        assert read().total == 100
