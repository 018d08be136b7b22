from __future__ import annotations

import copy
import statistics

import pytest
from django.http import QueryDict
from pytest_django import DjangoAssertNumQueries

from experiments.errors import NotFound
from experiments.models import Study, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import encode
from experiments.trials.table.columns import Column, column_of
from experiments.trials.table.filter_language import InvalidFilter
from experiments.trials.table.queries.run_facets import facets
from experiments.trials.table.queries.run_groups import RunGroup, group_page
from experiments.trials.table.queries.run_rows import RunRow, run_page
from experiments.trials.table.queries.run_scope import RunScope, fields_in, scope_of
from experiments.trials.table.runs_state import read_state
from tests import cast

pytestmark = pytest.mark.django_db


def columns(*keys: str) -> list[Column]:
    found = [column_of(key, metric="validation_accuracy") for key in keys]
    return [run for run in found if run is not None]


def rows(scope: RunScope, query: str, *keys: str) -> list[RunRow]:
    return list(run_page(scope, read_state(QueryDict(query)), columns(*keys)).rows)


def groups(scope: RunScope, query: str, *keys: str) -> list[RunGroup]:
    return list(group_page(scope, read_state(QueryDict(query)), columns(*keys)).rows)


@pytest.fixture(scope="module")
def made_scope(module_db: None) -> RunScope:
    cast.project()
    cast.finished_search(trials_per_arm=6)
    return scope_of(cast.access("ben"), ["label-smoothing"])


@pytest.fixture
def scope(made_scope: RunScope) -> RunScope:
    return copy.deepcopy(made_scope)


def test_a_run_shows_last_best_and_at_best_step_of_any_metric(scope: RunScope) -> None:
    keys = ("validation_loss", "train_loss")
    wanted = [f"{kind}.{name}" for name in keys for kind in ("metrics", "best", "at_best")]
    row = rows(scope, "", *wanted)[0]
    last, best, at_best, *_ = (cell.value for cell in row.cells)
    trial = Trial.objects.get(pk=row.id)
    curve = cast.series_of(trial)["validation_loss"]
    assert last == curve[-1]
    assert best == min(curve)
    assert trial.best_step is not None
    assert at_best == curve[int(trial.best_step) - 1]


def test_the_better_end_of_a_metric_is_told_by_its_direction(scope: RunScope) -> None:
    row = rows(scope, "", "best.validation_accuracy", "score")[0]
    assert row.cells[0].value == row.cells[1].value


def test_a_filter_reads_numbers_of_parameters_metrics_and_arms(scope: RunScope) -> None:
    query = "filter=params.dropout < 0.25 and best.validation_accuracy > 0.5 and arm = 'B'"
    found = rows(scope, query, "params.dropout", "arm", "params.label_smoothing")
    assert found
    for row in found:
        dropout, arm, smoothing = (cell.value for cell in row.cells)
        assert dropout < 0.25
        assert arm.startswith("B")
        assert smoothing == 0.1  # of its arm, not of the trial
    assert rows(scope, "filter=params.label_smoothing = '0.1'")
    assert not rows(scope, "filter=params.label_smoothing > 0.1")


def test_a_filter_that_cannot_be_read_says_where(scope: RunScope) -> None:
    with pytest.raises(InvalidFilter, match="expected"):
        rows(scope, "filter=params.dropout <")


def test_a_filtered_page_counts_beside_its_rows_and_ends_at_the_last(
    scope: RunScope, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def page(query: str) -> tuple[int, int, int]:
        found = run_page(scope, read_state(QueryDict(query), rows=5), [])
        return found.number, found.total, len(found.rows)

    assert page("filter=arm = 'A'") == (1, 6, 5)
    assert page("filter=arm = 'A'&page=2") == (2, 6, 1)
    assert page("filter=arm = 'A'&page=9") == (2, 6, 1)
    assert page("filter=arm = 'C'") == page("filter=arm = 'C'&page=3") == (1, 0, 0)
    with django_assert_num_queries(3):  # ids and number, rows, arms
        page("filter=params.dropout > 0")


def test_several_keys_sort_one_after_another(scope: RunScope) -> None:
    found = rows(scope, "sort=arm&sort=-params.dropout", "arm", "params.dropout")
    pairs = [(row.cells[0].value, -row.cells[1].value) for row in found]
    assert pairs == sorted(pairs)


def test_rows_of_a_page_cost_the_same_few_queries(
    scope: RunScope, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    keys = ("state", "score", "finding", "tags", "data", "worker", "metrics.validation_loss")
    with django_assert_max_num_queries(8):
        assert len(rows(scope, "", *keys)) == 12
    with django_assert_max_num_queries(8):
        assert len(rows(scope, "filter=state = 'complete'&sort=-best.train_loss", *keys)) > 1


def test_a_scope_never_leaves_its_project(scope: RunScope) -> None:
    cast.project("speech")
    with pytest.raises(NotFound):
        scope_of(cast.access("ben", "speech"), ["label-smoothing"])
    other = scope_of(cast.access("ben", "speech"), [])
    assert rows(other, "filter=experiment = 'label-smoothing'") == []
    assert rows(other, f"trials={Trial.objects.all()[0].pk}&only=ticked") == []


def test_all_runs_of_a_project_leave_out_replicates_and_archived_experiments() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.repeated(experiment, looks=(3,), done=3)
    gone = cast.finished_search("gone", trials_per_arm=2)
    type(gone).objects.filter(pk=gone.pk).update(archived_at=gone.created_at)
    everything = scope_of(cast.access("ben"), [])
    assert len(rows(everything, "")) == 8
    assert len(rows(scope_of(cast.access("ben"), ["gone"]), "")) == 4


def test_groups_show_mean_deviation_number_and_best(scope: RunScope) -> None:
    found = groups(scope, "group=arm", "score", "metrics.train_loss")
    assert [row.labels for row in found if row.labels[0].startswith("A")]
    for group in found:
        values = [
            row.value
            for row in Trial.objects.filter(study__arm_index=0 if group.name[0] == "A" else 1)
            if row.value is not None
        ]
        score = group.spreads["score"]
        assert score.count == len(values)
        assert score.mean == pytest.approx(statistics.mean(values))
        assert score.deviation == pytest.approx(statistics.stdev(values))
        assert score.best == max(values)


def test_a_group_finds_its_own_runs(scope: RunScope) -> None:
    for key in ("params.hidden_units", "arm", "state", "configuration", "params.label_smoothing"):
        for group in groups(scope, f"group={key}", "score"):
            state = read_state(QueryDict("")).narrowed(group.condition)
            assert run_page(scope, state, []).total == group.count, (key, group.labels)


def test_configurations_group_runs_that_differ_in_seeds_alone(scope: RunScope) -> None:
    first, second = Trial.objects.order_by("pk")[:2]
    Trial.objects.filter(pk=second.pk).update(configuration=first.configuration)
    found = {group.count for group in groups(scope, "group=configuration", "score")}
    assert found == {1, 2}


def test_one_outlying_group_spoils_no_other_deviation(scope: RunScope) -> None:
    Trial.objects.filter(study__arm_index=1).update(value=1e30)
    found = {group.name[0]: group for group in groups(scope, "group=arm", "score")}
    values = [
        trial
        for trial in Trial.objects.filter(study__arm_index=0).values_list("value", flat=True)
        if trial is not None
    ]
    assert found["A"].spreads["score"].deviation == pytest.approx(statistics.stdev(values))


def test_a_group_with_a_value_whose_square_is_no_number_has_no_mean(scope: RunScope) -> None:
    trial = Trial.objects.filter(study__arm_index=1, value__isnull=False)[0]
    Trial.objects.filter(pk=trial.pk).update(value=1e200)
    found = {
        group.name[0]: group.spreads["score"] for group in groups(scope, "group=arm", "score")
    }
    assert found["B"].mean is None and found["B"].deviation is None
    assert found["A"].deviation is not None


def test_groups_take_several_keys_and_are_paged(scope: RunScope) -> None:
    found = groups(scope, "group=params.hidden_units&group=arm", "score")
    assert sum(group.count for group in found) == 12
    assert len({group.labels for group in found}) == len(found)


def test_facets_count_what_the_filter_lets_through(scope: RunScope) -> None:
    trial = Trial.objects.filter(study__arm_index=0).order_by("pk")[0]
    Trial.objects.filter(pk=trial.pk).update(
        user_attributes=encode({"keep": "", "dataset": "small", "mlflow.user": "ada"})
    )
    cast.finding(trial.study.experiment, trial=trial, rule="overfitting", status="fired")
    found = {
        found_facet.title: found_facet for found_facet in facets(scope, read_state(QueryDict("")))
    }
    assert {value.words[0]: value.count for value in found["Arm"].values} == {"A": 6, "B": 6}
    assert sum(value.count for value in found["State"].values) == 12
    assert [(v.words, v.count) for v in found["Finding"].values] == [("overfitting", 1)]
    assert [(v.words, v.count) for v in found["Tag"].values] == [("keep", 1)]
    assert [(v.words, v.count) for v in found["dataset"].values] == [("small", 1)]
    assert "mlflow.user" not in found
    for facet in found.values():
        for value in facet.values:
            assert len(rows(scope, value.query)) == value.count, (facet.title, value.words)


def test_tags_that_are_numbers_or_booleans_are_found_as_their_facets_say(scope: RunScope) -> None:
    first, second, third = Trial.objects.order_by("pk")[:3]
    odd, foreign = 'a "quoted" name', "größe"
    for trial, tags in (
        (first, {"fold": 3, "warm": True, "rate": 1e-05, odd: 0.5, "loss": float("nan")}),
        (second, {"fold": "3", "warm": False, "rate": 0.1, odd: "x", foreign: 1e-05}),
        (third, {"fold": 12, "warm": True, "rate": 1e-05, odd: False, "loss": float("nan")}),
    ):
        Trial.objects.filter(pk=trial.pk).update(user_attributes=encode(tags))
    found = {facet.title: facet for facet in facets(scope, read_state(QueryDict("")))}
    assert {(v.words, v.count) for v in found["fold"].values} == {("3", 2), ("12", 1)}
    assert {(v.words, v.count) for v in found["warm"].values} == {("true", 2), ("false", 1)}
    for title in ("fold", "warm", "rate", "loss", odd, foreign):
        for value in found[title].values:
            assert len(rows(scope, value.query)) == value.count, (title, value.words)
    for key in ("tags.fold", "tags.warm", "tags.rate"):
        for group in groups(scope, f"group={key}", "score"):
            state = read_state(QueryDict("")).narrowed(group.condition)
            assert run_page(scope, state, []).total == group.count, (key, group.labels)
    assert [row.id for row in rows(scope, "filter=tags.fold >= 10")] == [third.pk]
    ordered = rows(scope, "sort=-tags.rate&filter=tags.rate > 0")
    assert ordered[0].id == second.pk


def test_arms_of_studies_without_an_experiment_find_their_runs() -> None:
    project = cast.project()
    for name in ("outside 'one'", "two"):
        study = Study.objects.create(project=project, kind=StudyKind.FREE, name=name)
        for number in range(2):
            Trial.objects.create(study=study, number=number, state=TrialState.RUNNING)
    everything = scope_of(cast.access("ben"), [])
    found = groups(everything, "group=arm", "score")
    assert {group.labels for group in found} == {("outside 'one'",), ("two",)}
    for group in found:
        state = read_state(QueryDict("")).narrowed(group.condition)
        assert run_page(everything, state, []).total == group.count == 2


def test_every_spelling_of_a_field_names_the_same_column(scope: RunScope) -> None:
    Trial.objects.update(user_attributes=encode({"team": "blue"}))
    state = read_state(
        QueryDict("col=tag.team@80&col=param.dropout&sort=-metric.train_loss&group=run.state")
    )
    assert [str(column) for column in state.columns] == ["tags.team@80", "params.dropout"]
    assert str(state.sort[0]) == "-metrics.train_loss"
    assert state.groups == ("state",)
    chosen = columns(*(column.key for column in state.columns))
    page = run_page(scope, read_state(QueryDict("")), chosen)
    assert {row.cells[0].value for row in page.rows} == {"blue"}


def test_names_of_parameters_metrics_and_tags_are_offered(scope: RunScope) -> None:
    found = fields_in(scope)
    assert {"dropout", "label_smoothing", "learning_rate"} <= set(found.parameters)
    assert {"train_loss", "validation_accuracy"} <= set(found.metrics)
    assert "128" in found.values["hidden_units"]
