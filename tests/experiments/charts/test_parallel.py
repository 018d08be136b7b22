from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.charts.parallel import MOST_LINES, Coordinate, ParallelPlot, leading


def test_the_best_tenth_stands_out_and_is_drawn_last() -> None:
    scores = np.linspace(0, 1, 40)
    figure = ParallelPlot(
        [Coordinate("rate", np.linspace(0, 1, 40), "1e-4", "0.1")],
        scores,
        metric="accuracy",
        maximize=True,
    ).figure()
    best = figure["data"][-1]
    assert best["name"] == "best tenth"
    assert best["x"].count(0.0) == 4
    assert min(y for x, y in zip(best["x"], best["y"], strict=True) if x == 1.0) >= 0.9


def test_parallel_lines_are_few_enough_to_draw() -> None:
    scores = np.random.default_rng(2).normal(size=5000)
    figure = ParallelPlot(
        [Coordinate("rate", np.full(5000, 0.5))], scores, metric="x", maximize=False
    ).figure()
    assert sum(trace["x"].count(0.0) for trace in figure["data"]) == MOST_LINES


def test_a_trial_that_lacks_a_hyperparameter_has_a_gap() -> None:
    figure = ParallelPlot(
        [Coordinate("momentum", np.array([np.nan, 0.5]))],
        np.array([0.1, 0.2]),
        metric="x",
        maximize=True,
    ).figure()
    json.dumps(figure, allow_nan=False)


@pytest.mark.parametrize("scores", [np.empty(0), np.array([np.nan, np.nan])])
def test_nothing_feasible_makes_an_empty_figure(scores: np.ndarray) -> None:
    coordinates = [Coordinate("rate", np.full(len(scores), 0.5))]
    assert ParallelPlot(coordinates, scores, metric="x", maximize=True).figure()["data"] == []


@pytest.mark.parametrize(("maximize", "first"), [(True, [2, 0]), (False, [3, 0])])
def test_the_best_feasible_trials_are_drawn(maximize: bool, first: list[int]) -> None:
    scores = np.array([0.5, np.nan, 0.9, 0.1])
    assert leading(scores, maximize=maximize, most=2).tolist() == first
