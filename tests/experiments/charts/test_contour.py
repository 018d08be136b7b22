from __future__ import annotations

import json

import numpy as np

from experiments.charts.contour import MOST_CROSSES, MOST_DOTS, ContourPlot, Plane, Ticks

TICKS = Ticks("learning_rate (log)", [0.0, 1.0], ["1e-4", "0.1"])


def plane(scores: np.ndarray, **more: object) -> Plane:
    rng = np.random.default_rng(0)
    count = scores.size
    surface = np.full((4, 4), np.nan)
    surface[1:3, 1:3] = [[0.5, 0.6], [0.7, 0.8]]
    fields: dict[str, object] = {
        "x": rng.random(count),
        "y": rng.random(count),
        "scores": scores,
        "names": [str(i) for i in range(count)],
        "surface": surface,
    }
    return Plane(**(fields | more))  # type: ignore[arg-type]


def draw(held: Plane, maximize: bool = True) -> dict[str, object]:
    return ContourPlot(held, TICKS, TICKS, metric="accuracy", maximize=maximize).figure()


def test_the_surface_stays_empty_where_no_trial_is_near() -> None:
    surface, *_ = draw(plane(np.linspace(0.5, 0.8, 20)))["data"]  # type: ignore[misc]
    assert surface["z"][0] == [None] * 4
    assert surface["z"][1] == [None, 0.5, 0.6, None]
    assert surface["connectgaps"] is False


def test_the_better_end_has_the_strong_shade() -> None:
    scores = np.linspace(0.5, 0.8, 20)
    shades = [draw(plane(scores), maximize)["data"][0]["colorscale"] for maximize in (True, False)]  # type: ignore[index]
    assert shades[0][1][1] == shades[1][0][1] and "accent" in shades[0][1][1]


def test_infeasible_trials_are_crosses_and_the_best_a_diamond() -> None:
    scores = np.array([0.5, np.nan, 0.8])
    _, crosses, dots, best = draw(plane(scores))["data"]  # type: ignore[misc]
    assert crosses["marker"]["symbol"] == "x" and len(crosses["x"]) == 1
    assert len(dots["x"]) == 2
    assert best["customdata"] == [["2", "0.8"]]
    least = draw(plane(scores), maximize=False)["data"][-1]  # type: ignore[index]
    assert least["customdata"] == [["0", "0.5"]]


def test_ten_thousand_trials_are_thinned() -> None:
    scores = np.random.default_rng(1).normal(size=10_000)
    scores[::4] = np.nan
    _, crosses, dots, _ = draw(plane(scores))["data"]  # type: ignore[misc]
    assert len(dots["x"]) <= MOST_DOTS and len(crosses["x"]) <= MOST_CROSSES


def test_a_plane_without_a_feasible_trial_is_drawn_all_the_same() -> None:
    figure = draw(plane(np.array([np.nan, np.nan]), surface=np.full((3, 3), np.nan)))
    json.dumps(figure, allow_nan=False)
