from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.charts.isolation import MOST_DOTS, IsolationPlot, ValueScores


def names(count: int) -> list[str]:
    return [f"A{i}" for i in range(count)]


@pytest.mark.parametrize(("maximize", "best"), [(True, 0.9), (False, 0.1)])
def test_the_best_of_each_value_is_a_diamond(maximize: bool, best: float) -> None:
    values = [
        ValueScores("a", np.array([0.1, 0.9, 0.5]), names(3)),
        ValueScores("b", np.empty(0), []),
    ]
    figure = IsolationPlot(values, metric="accuracy", maximize=maximize).figure()
    diamonds = [trace for trace in figure["data"] if trace["marker"].get("symbol") == "diamond"]
    assert [trace["y"] for trace in diamonds] == [[best]]
    assert "0 trials" in figure["layout"]["xaxis"]["ticktext"][1]
    json.dumps(figure, allow_nan=False)


def test_a_bar_shows_what_equal_counts_would_give() -> None:
    values = [
        ValueScores("a", np.array([0.1, 0.9, 0.5]), names(3), 0.7),
        ValueScores("b", np.array([0.6, 0.8]), names(2), 0.8),
        ValueScores("c", np.empty(0), []),
    ]
    bars = IsolationPlot(values, metric="accuracy", maximize=True).figure()["data"][-1]
    assert (bars["x"], bars["y"]) == ([0, 1], [0.7, 0.8])
    assert bars["name"] == "expected best of 2"


def test_one_value_alone_needs_no_bar() -> None:
    figure = IsolationPlot([ValueScores("a", np.array([0.1]), names(1), 0.1)], metric="x",
                            maximize=True).figure()  # fmt: skip
    assert all(trace["marker"].get("symbol") != "line-ew" for trace in figure["data"])


def test_many_trials_are_thinned_but_counted_and_the_best_is_kept() -> None:
    scores = np.random.default_rng(0).normal(size=8000)
    figure = IsolationPlot(
        [ValueScores("a", scores, names(8000))], metric="x", maximize=True
    ).figure()
    dots, best = figure["data"]
    assert len(dots["x"]) <= MOST_DOTS
    assert best["y"] == [pytest.approx(scores.max(), rel=1e-5)]
    assert "8,000 trials" in figure["layout"]["xaxis"]["ticktext"][0]
