from __future__ import annotations

import copy
from typing import Any

import pytest

from experiments.models import Experiment
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
EMPTY_WITHOUT_ANALYSIS = {"importance"}


@pytest.fixture(scope="module")
def made_searched(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search("s", trials_per_arm=8)


@pytest.fixture
def searched(made_searched: Experiment) -> Experiment:
    return copy.deepcopy(made_searched)


def _titles(panel: dict[str, Any]) -> list[str]:
    for chart in panel["charts"]:
        assert chart["figure"]["data"] and chart["figure"]["layout"] is not None
    return [chart["title"] for chart in panel["charts"]]


def test_every_tab_of_an_experiment_is_answered_as_figures(searched: Experiment) -> None:
    reader = Program("ben", scopes=("read",))
    place = f"{HERE}/experiments/s/charts"
    tabs = reader.get(place)["tabs"]
    assert len(tabs) == 7
    for tab in tabs:
        panel = reader.get(f"{place}?tab={tab}")
        assert panel["tab"] == tab
        assert _titles(panel) or (tab in EMPTY_WITHOUT_ANALYSIS and panel["empty"]), tab
    status, error = reader.ask("GET", f"{place}?tab=x")
    assert status == 400 and error["errors"][0]["where"] == "tab"


def test_curves_are_chosen_by_metric_and_trial(searched: Experiment) -> None:
    reader = Program("ben")
    whole = reader.get(f"{HERE}/experiments/s/charts")
    assert whole["metric"] in whole["metrics"] and len(whole["metrics"]) > 1
    other = next(metric for metric in whole["metrics"] if metric != whole["metric"])
    assert reader.get(f"{HERE}/experiments/s/charts?metric={other}")["metric"] == other
    alone = reader.get(f"{HERE}/experiments/s/trials/A1/charts")
    assert _titles(alone) and alone["metric"] == whole["metric"]


def test_the_seeds_and_the_interval_of_a_replication_are_figures(searched: Experiment) -> None:
    held = cast.repeated(searched)
    place = f"{HERE}/experiments/s/repetitions/{held.pk}/charts"
    figures = Program("ben").get(place)
    assert [chart["id"] for chart in figures["charts"]] == ["seeds", "interval"]
    _titles(figures)


def test_two_experiments_stand_beside_each_other(searched: Experiment) -> None:
    cast.finished_search("t", trials_per_arm=4)
    reader = Program("ben")
    held = reader.get(f"{HERE}/compare?a=s&b=t")
    assert "Expected best of" in held["summary"] and held["same"] == len(held["space"])
    assert len(_titles(held)) == 2
    assert any("far more trials" in caution["title"] for caution in held["cautions"])
    for query, status in (("a=s&b=s", 400), ("", 400), ("a=s&b=none", 404), ("a=s", 404)):
        assert reader.ask("GET", f"{HERE}/compare?{query}")[0] == status


def test_a_schedule_says_what_it_can_show_and_queues_nothing(searched: Experiment) -> None:
    reader = Program("ben", scopes=("read",))
    place = f"{HERE}/experiments/s/schedule"
    held = reader.get(f"{place}?looks=10,20&margin=0.001&candidates=2")
    assert (held["looks"], held["candidates"]) == ([10, 20], 2)
    assert len(held["detectable"]) == 2 and held["spread"]
    for query, where in (
        ("looks=20,10", "looks"),
        ("looks=x", "looks"),
        ("", "looks"),
        ("looks=10&margin=-1", "margin"),
        ("looks=10&candidates=99", "candidates"),
    ):
        status, error = reader.ask("GET", f"{place}?{query}")
        assert status == 400 and error["errors"][0]["where"] == where, query
    assert not searched.replications.exists()


def test_the_checklist_asks_what_the_page_asks(searched: Experiment) -> None:
    held = Program("ben").get(f"{HERE}/experiments/s/checklist")
    assert held["summary"] and len(held["questions"]) > 10
    assert all(question["words"] for question in held["questions"])


def test_nobody_from_outside_sees_a_chart(searched: Experiment) -> None:
    held = cast.repeated(searched)
    outsider = Program("dan")
    for place in (
        "charts",
        "checklist",
        "schedule?looks=5",
        "trials/A1/charts",
        f"repetitions/{held.pk}/charts",
    ):
        assert outsider.ask("GET", f"{HERE}/experiments/s/{place}")[0] == 404
    assert outsider.ask("GET", f"{HERE}/compare?a=s&b=t")[0] == 404
