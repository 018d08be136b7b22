from __future__ import annotations

import json
import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from experiments.design.queries.experiments import find_experiment
from experiments.models import Experiment
from experiments.team.queries.access import find_project
from experiments.trials.panels.parts import ExperimentParts, read_parts
from experiments.trials.panels.side_by_side import cautions, space_rows
from tests import cast

pytestmark = pytest.mark.django_db

TUNED = cast.LABEL_SMOOTHING
FIXED_RATE = TUNED.replace(
    "learning_rate:   {{role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}}",
    "learning_rate:   {{role: fixed, value: 0.001}}",
)


def parts(experiment: Experiment) -> ExperimentParts:
    access = find_project(cast.person("ada"), "digits")
    assert access is not None
    found = find_experiment(access, experiment.name)
    assert found is not None
    return read_parts(access, found)


def titles(first: Experiment, second: Experiment) -> str:
    return " | ".join(caution.title for caution in cautions(parts(first), parts(second)))


def page(client: Client, **asked: str) -> str:
    client.force_login(cast.person("ben"))
    answer = client.get("/projects/digits/compare/", asked)
    assert answer.status_code == 200
    return answer.content.decode()


def test_two_searches_of_one_kind_are_a_fair_comparison(client: Client) -> None:
    cast.project()
    cast.finished_search("one", trials_per_arm=8)
    cast.finished_search("two", trials_per_arm=8)
    text = page(client, a="one", b="two")
    assert "a fair comparison" in text
    assert "Expected best of" in text
    figures = re.findall(r'id="(figure-[a-z-]+)">(.*?)</script>', text)
    assert [name for name, _ in figures] == ["figure-best-of", "figure-distribution"]
    curves = json.loads(figures[0][1])["data"]
    assert [curve["name"] for curve in curves] == ["one", "two"]


def test_one_that_tuned_what_the_other_fixed_is_named() -> None:
    cast.project()
    tuned = cast.search("tuned", source=TUNED.format(name="tuned", goal="a", trials=4))
    fixed = cast.search("fixed", source=FIXED_RATE.format(name="fixed", goal="b", trials=4))
    assert "Only tuned tuned learning_rate" in titles(tuned, fixed)
    assert "Only tuned tuned learning_rate" in titles(fixed, tuned)
    rows = {row.name: row.difference for row in space_rows(parts(tuned), parts(fixed))}
    assert rows["learning_rate"] == "fixed in the second"
    assert not rows["dropout"]


def test_different_code_and_code_that_changed_within_a_search_are_named() -> None:
    cast.project()
    one, two = cast.search("one"), cast.search("two")
    versions = [["a" * 64, "commit 4f1c2e9"], ["b" * 64, "commit 4f1c2e9 with changes"]]
    Experiment.objects.filter(pk=one.pk).update(codes=json.dumps(versions))
    Experiment.objects.filter(pk=two.pk).update(codes=json.dumps(versions[:1]))
    found = {caution.title: caution.detail for caution in cautions(parts(one), parts(two))}
    assert "bbbbbbbbbb (commit 4f1c2e9 with changes)" in found["one ran 2 versions of its code"]
    assert "two: aaaaaaaaaa (commit 4f1c2e9)" in found["Their trials ran different code"]
    Experiment.objects.filter(pk=one.pk).update(codes=json.dumps(versions[:1]))
    assert "code" not in titles(one, two)


def test_different_budgets_of_training_and_other_splits_are_named() -> None:
    cast.project()
    short = cast.search("short")
    text = TUNED.format(name="long", goal="b", trials=12).replace("value: 60", "value: 90")
    long = cast.search("long", source=text)
    Experiment.objects.filter(pk=long.pk).update(split_seed=7)
    told = titles(short, long)
    assert "Fixed differently: epochs" in told
    assert "different splits" in told


def test_far_more_trials_are_named_and_a_search_under_way_too() -> None:
    cast.project()
    few = cast.finished_search("few", trials_per_arm=4)
    many = cast.running_search("many", done=10)
    told = titles(few, many)
    assert "One had far more trials" in told
    assert "many has not ended" in told


def test_other_metrics_are_never_drawn_together(client: Client) -> None:
    cast.project()
    cast.finished_search("one", trials_per_arm=3)
    other = cast.finished_search("two", trials_per_arm=3)
    Experiment.objects.filter(pk=other.pk).update(direction="minimize", official_metric="loss")
    text = page(client, a="one", b="two")
    assert "They measure different things" in text
    assert "figure-best-of" not in text and "Expected best of" not in text


def test_a_range_that_was_widened_is_marked() -> None:
    cast.project()
    narrow = cast.search("narrow")
    text = TUNED.format(name="wide", goal="b", trials=12).replace("high: 0.5", "high: 0.8")
    wide = cast.search("wide", source=text)
    first, *_ = space_rows(parts(narrow), parts(wide))
    assert (first.name, first.difference) == ("dropout", "another range")


def test_nothing_chosen_explains_the_page_and_the_same_twice_says_so(client: Client) -> None:
    cast.project()
    cast.search("one")
    assert "Choose two experiments" in page(client, a="")
    assert "Choose two experiments" in page(client, a="one")
    assert "the same experiment" in page(client, a="one", b="one")


def test_an_experiment_of_another_project_is_not_found(client: Client) -> None:
    cast.project()
    cast.search("one")
    client.force_login(cast.person("ben"))
    answer = client.get("/projects/digits/compare/", {"a": "one", "b": "elsewhere"})
    assert answer.status_code == 404
    client.force_login(cast.person("dan"))
    assert client.get("/projects/digits/compare/").status_code == 404


def test_the_number_of_queries_does_not_grow_with_the_trials(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    cast.project()
    cast.finished_search("one", trials_per_arm=12)
    cast.finished_search("two", trials_per_arm=6)
    client.force_login(cast.person("ben"))
    with django_assert_max_num_queries(30):
        client.get("/projects/digits/compare/", {"a": "one", "b": "two"})
