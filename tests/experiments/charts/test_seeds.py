from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.charts.seeds import Arm, IntervalPlot, LineagePlot, SeedsPlot
from experiments.charts.theme import BAD, GOOD, WARN

SCORES = np.array([0.96, 0.97, np.nan, 0.98])


def test_between_looks_only_the_seeds_are_drawn() -> None:
    figure = SeedsPlot(
        Arm("candidate", "", SCORES), Arm("baseline", "", SCORES), metric="accuracy"
    ).figure()
    assert len(figure["data"]) == 2
    assert all(trace["mode"] == "markers" for trace in figure["data"])
    assert not figure["layout"]["annotations"]


def test_at_a_look_the_means_and_the_tuning_score_are_drawn() -> None:
    candidate = Arm("candidate", "", SCORES, 0.97, 0.96, 0.98, tuning_score=0.99)
    figure = SeedsPlot(
        candidate, Arm("baseline", "", SCORES, 0.96, 0.95, 0.97), metric="x"
    ).figure()
    assert len(figure["data"]) == 7
    assert "not counted" in figure["layout"]["annotations"][0]["text"]


def test_a_failed_replicate_has_no_dot_and_the_others_keep_their_pair() -> None:
    figure = SeedsPlot(
        Arm("candidate", "", SCORES), Arm("baseline", "", SCORES), metric="x"
    ).figure()
    assert figure["data"][1]["customdata"] == [1, 2, 4]
    heights = [np.round(np.array(trace["y"]) - row, 4) for row, trace in enumerate(figure["data"])]
    assert np.array_equal(*heights), "both dots of a pair lie at the same height"


def test_the_interval_is_drawn_exactly_as_it_decides() -> None:
    figure = IntervalPlot(
        gain=0.004, lower=0.002, upper=0.006, margin=0.001, unit="accuracy"
    ).figure()
    assert figure["data"][0]["x"] == [0.002, 0.006]
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [0.0, 0.001]
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < 0 and high > 0.006


def test_without_a_margin_zero_is_what_has_to_be_cleared() -> None:
    figure = IntervalPlot(gain=0.1, lower=-0.1, upper=0.3, margin=0.0, unit="x").figure()
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [0.0]
    assert figure["layout"]["annotations"][0]["text"] == "no gain"


@pytest.mark.parametrize(
    ("lower", "upper", "colour"),
    [(0.002, 0.006, GOOD), (0.0005, 0.006, WARN), (-0.001, 0.006, WARN), (-0.002, 0.0, BAD)],
)
def test_only_an_interval_that_clears_the_margin_is_green(
    lower: float, upper: float, colour: str
) -> None:
    figure = IntervalPlot(gain=0.001, lower=lower, upper=upper, margin=0.001, unit="x").figure()
    assert figure["data"][0]["line"]["color"] == colour


def test_an_adoption_whose_interval_spans_zero_is_not_green() -> None:
    figure = LineagePlot(["a", "b"], [0.1, 0.2], [-0.05, 0.1], [0.15, 0.4], metric="x").figure()
    assert figure["data"][0]["marker"]["color"] == [WARN, GOOD]


def test_each_adoption_has_its_interval() -> None:
    figure = LineagePlot(["a", "b"], [0.1, 0.2], [0.05, 0.1], [0.15, 0.4], metric="x").figure()
    bars = figure["data"][0]["error_y"]
    assert bars["array"] == [0.05, 0.2] and bars["arrayminus"] == [0.05, 0.1]
    json.dumps(figure, allow_nan=False)
