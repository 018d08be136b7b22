from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.charts.searches import (
    MOST_DOTS,
    MOST_LINES,
    ArmScores,
    Coordinate,
    history_plot,
    isolation_plot,
    parallel_plot,
)


def names(count: int) -> list[str]:
    return [f"A{i}" for i in range(count)]


@pytest.mark.parametrize(("maximize", "best"), [(True, 0.9), (False, 0.1)])
def test_the_best_of_each_arm_is_a_diamond(maximize: bool, best: float) -> None:
    arms = [ArmScores("a", np.array([0.1, 0.9, 0.5]), names(3)), ArmScores("b", np.empty(0), [])]
    figure = isolation_plot(arms, metric="accuracy", maximize=maximize)
    diamonds = [each for each in figure["data"] if each["marker"].get("symbol") == "diamond"]
    assert [each["y"] for each in diamonds] == [[best]]
    assert "0 trials" in figure["layout"]["xaxis"]["ticktext"][1]
    json.dumps(figure, allow_nan=False)


@pytest.mark.parametrize(("maximize", "best"), [(True, [0.2, 0.5, 0.5]), (False, [0.2, 0.2, 0.1])])
def test_the_history_draws_the_best_so_far(maximize: bool, best: list[float]) -> None:
    figure = history_plot(np.array([0.2, 0.5, 0.1]), names(3), metric="x", maximize=maximize)
    line = figure["data"][1]
    assert line["y"][-1] == best[-1]
    assert line["line"]["shape"] == "hv"


def test_a_long_history_is_thinned_but_its_best_line_is_not() -> None:
    scores = np.random.default_rng(1).normal(size=10_000)
    figure = history_plot(scores, names(10_000), metric="x", maximize=True)
    dots, line = figure["data"]
    assert len(dots["x"]) <= MOST_DOTS
    drawn = dict(zip(line["x"], line["y"], strict=True))
    running = np.maximum.accumulate(scores)
    assert all(value == pytest.approx(running[x - 1], rel=1e-5) for x, value in drawn.items())
    assert line["x"][-1] == 10_000


def test_failed_trials_leave_the_history_unbroken() -> None:
    figure = history_plot(np.array([np.nan, 0.5, np.nan]), names(3), metric="x", maximize=True)
    assert figure["data"][1]["y"] == [None, 0.5, 0.5]
    json.dumps(figure, allow_nan=False)


def test_the_best_tenth_stands_out_and_is_drawn_last() -> None:
    scores = np.linspace(0, 1, 40)
    figure = parallel_plot(
        [Coordinate("rate", np.linspace(0, 1, 40), "1e-4", "0.1")],
        scores,
        metric="accuracy",
        maximize=True,
    )
    best = figure["data"][-1]
    assert best["name"] == "best tenth"
    assert best["x"].count(0.0) == 4
    assert min(y for x, y in zip(best["x"], best["y"], strict=True) if x == 1.0) >= 0.9


def test_parallel_lines_are_few_enough_to_draw() -> None:
    scores = np.random.default_rng(2).normal(size=5000)
    figure = parallel_plot(
        [Coordinate("rate", np.full(5000, 0.5))], scores, metric="x", maximize=False
    )
    assert sum(trace["x"].count(0.0) for trace in figure["data"]) == MOST_LINES


def test_a_trial_that_lacks_a_hyperparameter_has_a_gap() -> None:
    figure = parallel_plot(
        [Coordinate("momentum", np.array([np.nan, 0.5]))],
        np.array([0.1, 0.2]),
        metric="x",
        maximize=True,
    )
    json.dumps(figure, allow_nan=False)


@pytest.mark.parametrize("scores", [np.empty(0), np.array([np.nan, np.nan])])
def test_nothing_feasible_makes_an_empty_figure(scores: np.ndarray) -> None:
    coordinates = [Coordinate("rate", np.full(len(scores), 0.5))]
    assert parallel_plot(coordinates, scores, metric="x", maximize=True)["data"] == []
