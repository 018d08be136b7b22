from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.charts.progress import (
    MOST_BARS,
    MOST_DOTS,
    MOST_STEPS,
    BestOfPlot,
    Curve,
    DistributionPlot,
    HistoryPlot,
    TimelinePlot,
)


def names(count: int) -> list[str]:
    return [f"A{i}" for i in range(count)]


@pytest.mark.parametrize(("maximize", "best"), [(True, [0.2, 0.5, 0.5]), (False, [0.2, 0.2, 0.1])])
def test_the_history_draws_the_best_so_far(maximize: bool, best: list[float]) -> None:
    figure = HistoryPlot(
        np.array([0.2, 0.5, 0.1]), names(3), metric="x", maximize=maximize
    ).figure()
    line = figure["data"][1]
    assert line["y"][-1] == best[-1]
    assert line["line"]["shape"] == "hv"


def test_a_long_history_is_thinned_but_its_best_line_is_not() -> None:
    scores = np.random.default_rng(1).normal(size=10_000)
    figure = HistoryPlot(scores, names(10_000), metric="x", maximize=True).figure()
    dots, line = figure["data"]
    assert len(dots["x"]) <= MOST_DOTS
    drawn = dict(zip(line["x"], line["y"], strict=True))
    running = np.maximum.accumulate(scores)
    assert all(value == pytest.approx(running[x - 1], rel=1e-5) for x, value in drawn.items())
    assert line["x"][-1] == 10_000


def test_failed_trials_leave_the_history_unbroken() -> None:
    figure = HistoryPlot(
        np.array([np.nan, 0.5, np.nan]), names(3), metric="x", maximize=True
    ).figure()
    assert figure["data"][1]["y"] == [None, 0.5, 0.5]
    json.dumps(figure, allow_nan=False)


def test_the_expected_best_is_drawn_no_further_than_what_was_run() -> None:
    curves = [Curve("a", [1, 2, 5], [0.1, 0.2, 0.3]), Curve("b", [1, 3], [0.1, 0.4])]
    figure = BestOfPlot(curves, metric="accuracy").figure()
    assert [trace["x"] for trace in figure["data"]] == [[1, 2, 5], [1, 3]]
    assert figure["layout"]["showlegend"]
    assert figure["layout"]["xaxis"]["tickvals"] == [1, 2, 5]


def test_one_trial_is_a_dot_and_none_is_nothing() -> None:
    figure = BestOfPlot([Curve("a", [1], [0.1]), Curve("b", [], [])], metric="x").figure()
    assert [trace["mode"] for trace in figure["data"]] == ["markers"]


@pytest.mark.parametrize("maximize", [True, False])
def test_the_distribution_tells_the_share_that_is_at_least_as_good(maximize: bool) -> None:
    scores = np.array([0.4, 0.1, 0.3, 0.2])
    (line,) = DistributionPlot([("all", scores)], metric="x", maximize=maximize).figure()["data"]
    assert line["y"] == [25, 50, 75, 100]
    assert line["x"] == sorted(scores.tolist(), reverse=maximize)


def test_a_large_distribution_keeps_its_ends() -> None:
    scores = np.random.default_rng(0).normal(size=10_000)
    (line,) = DistributionPlot([("all", scores)], metric="x", maximize=True).figure()["data"]
    assert len(line["x"]) <= MOST_STEPS
    assert line["x"][0] == pytest.approx(scores.max(), rel=1e-5)
    assert line["x"][-1] == pytest.approx(scores.min(), rel=1e-5)


def test_a_timeline_counts_in_the_unit_that_suits_and_parts_what_failed() -> None:
    started, finished = np.array([0.0, 60.0, 120.0]), np.array([90.0, 130.0, 7200.0])
    failed = np.array([False, True, False])
    figure = TimelinePlot(started, finished, [("complete", ~failed), ("failed", failed)]).figure()
    complete, lost = figure["data"]
    assert figure["layout"]["xaxis"]["title"]["text"].startswith("hours")
    assert complete["x"] == [0.0, 0.025, None, pytest.approx(1 / 30, rel=1e-4), 2.0, None]
    assert lost["y"] == [2.0, 2.0, None]
    assert lost["line"]["color"] != complete["line"]["color"]


def test_a_trial_whose_times_are_not_known_is_left_out_of_the_timeline() -> None:
    figure = TimelinePlot(
        np.array([np.nan, 0.0]), np.array([5.0, 9.0]), [("complete", np.array([True, True]))]
    ).figure()
    assert figure["data"][0]["x"] == [0.0, 9.0, None]
    json.dumps(figure, allow_nan=False)


def test_a_long_timeline_is_thinned() -> None:
    began = np.arange(10_000.0)
    figure = TimelinePlot(began, began + 5, [("complete", np.ones(10_000, dtype=bool))]).figure()
    assert len(figure["data"][0]["x"]) <= 3 * MOST_BARS
