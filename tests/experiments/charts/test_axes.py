from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.charts.axes import MOST_DRAWN, AxisPlot, AxisPoints, frame
from experiments.charts.theme import nice_ticks


def points(scores: np.ndarray, **more: object) -> AxisPoints:
    count = len(scores)
    fields: dict[str, object] = {
        "name": "learning_rate",
        "values": np.geomspace(1e-4, 1e-1, count).tolist() if count else [],
        "scores": scores,
        "names": [str(i) for i in range(count)],
        "groups": np.zeros(count, dtype=np.int64),
        "log": True,
        "low": 1e-4,
        "high": 1e-1,
    }
    return AxisPoints(**(fields | more))  # type: ignore[arg-type]


def draw(scores: np.ndarray, maximize: bool = True, **more: object) -> dict[str, object]:
    return AxisPlot(points(scores, **more), metric="accuracy", maximize=maximize).figure()


def test_an_infeasible_trial_is_a_cross_at_the_bad_edge() -> None:
    figure = draw(np.array([0.9, np.nan, 0.8]))
    dots, crosses = figure["data"]  # type: ignore[misc]
    assert len(dots["x"]) == 2 and crosses["marker"]["symbol"] == "x"
    assert crosses["y"][0] < 0.8
    lowest = draw(np.array([0.9, np.nan, 0.8]), maximize=False)["data"][1]["y"][0]  # type: ignore[index]
    assert lowest > 0.9


def test_one_terrible_trial_does_not_squash_the_others() -> None:
    scores = np.concatenate([np.linspace(0.9, 0.95, 20), [-1e6]])
    low, high = frame(scores, maximize=True)
    assert low > 0.7 and high > 0.95
    dots, beyond = draw(scores)["data"]  # type: ignore[misc]
    assert len(dots["x"]) == 20
    assert beyond["marker"]["symbol"] == "triangle-down-open"
    assert beyond["customdata"] == [["20", "-1e+06"]], "its true score is told on hover"


@given(
    hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(-1e12, 1e12)),
    st.booleans(),
)
def test_the_frame_always_holds_the_best_score(scores: np.ndarray, maximize: bool) -> None:
    low, high = frame(scores, maximize=maximize)
    assert low < high
    if len(scores):
        assert low <= (scores.max() if maximize else scores.min()) <= high


@pytest.mark.parametrize("maximize", [True, False])
def test_the_largest_float_as_the_score_of_what_failed_is_drawn(maximize: bool) -> None:
    failed = -sys.float_info.max if maximize else sys.float_info.max
    for scores in ([0.5, failed], [0.5] + [failed] * 9):
        figure = draw(np.array(scores), maximize=maximize)
        json.dumps(figure, allow_nan=False)
    assert nice_ticks(-sys.float_info.max, sys.float_info.max)[0]


def test_of_too_many_trials_the_best_are_drawn_all() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=10_000)
    data = draw(scores)["data"]
    drawn = {float(cell[1]) for trace in data for cell in trace["customdata"]}  # type: ignore[attr-defined]
    assert sum(len(trace["x"]) for trace in data) <= MOST_DRAWN  # type: ignore[attr-defined]
    best = np.sort(scores)[-100:]
    assert all(float(f"{value:.4g}") in drawn for value in best)


def test_choices_keep_their_order() -> None:
    figure = draw(np.array([0.1, 0.2]), values=[64, 32], choices=(32, 64, 128), log=False)
    axis = figure["layout"]["xaxis"]  # type: ignore[index]
    assert axis["categoryarray"] == ["32", "64", "128"]
    assert figure["data"][0]["x"] == ["64", "32"]  # type: ignore[index]


def test_the_crowded_edge_is_shaded() -> None:
    figure = draw(np.array([0.1, 0.2]), band=(1e-4, 4e-4))
    assert figure["layout"]["shapes"][0]["x1"] == 4e-4  # type: ignore[index]


@pytest.mark.parametrize("scores", [np.empty(0), np.array([np.nan]), np.array([0.5])])
def test_few_or_no_points_make_a_figure_too(scores: np.ndarray) -> None:
    json.dumps(draw(scores), allow_nan=False)


def test_arms_are_never_merged_each_has_its_frame_on_the_same_scales() -> None:
    scores = np.array([0.9, 0.8, np.nan, 0.7, 0.6, np.nan])
    groups = np.array([0, 0, 0, 1, 1, 1])
    labels = ["optimizer = adam", "optimizer = <sgd>"]
    figure = draw(scores, groups=groups, group_labels=labels, band=(1e-4, 1e-3))
    data, layout = figure["data"], figure["layout"]
    frames: dict[str, list[str]] = {}
    for trace in data:  # type: ignore[attr-defined]
        for point in trace["customdata"]:
            frames.setdefault(trace["xaxis"], []).append(point[0] if len(point) == 2 else point)
    assert frames == {"x": ["0", "1", "2"], "x2": ["3", "4", "5"]}, "crosses stay in their arm"
    assert layout["yaxis"]["range"] == layout["yaxis2"]["range"]  # type: ignore[index]
    assert layout["xaxis"]["range"] == layout["xaxis2"]["range"]  # type: ignore[index]
    titles = [annotation["text"] for annotation in layout["annotations"]]  # type: ignore[index]
    assert titles == ["optimizer = adam", "optimizer = &lt;sgd&gt;", "accuracy"]
    assert [shape["xref"] for shape in layout["shapes"]] == ["x", "x2"]  # type: ignore[index]
    json.dumps(figure, allow_nan=False)


def test_a_hyperparameter_of_one_arm_only_fills_the_figure() -> None:
    figure = draw(np.array([0.9, 0.8]), groups=np.array([1, 1]), group_labels=["adam", "sgd"])
    assert "xaxis2" not in figure["layout"]  # type: ignore[operator]
    assert {trace.get("xaxis", "x") for trace in figure["data"]} == {"x"}  # type: ignore[attr-defined]
