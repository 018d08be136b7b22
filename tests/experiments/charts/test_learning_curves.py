from __future__ import annotations

import json

import numpy as np

from experiments.charts.learning_curves import LearningCurves, Line, Mark, Onset


def line(trial: int, series: str = "validation_loss", **more: object) -> Line:
    values = np.array([0.5, np.nan, 0.3])
    fields: dict[str, object] = {
        "trial": trial,
        "trial_name": f"A{trial}",
        "series": series,
        "is_train": series.startswith("train"),
        "steps": np.array([1, 2, 3]),
        "values": values,
        "seconds": np.array([0.0, 0.1, 0.2]),
    }
    return Line(**(fields | more))  # type: ignore[arg-type]


def test_a_trial_keeps_one_hue_for_both_its_lines() -> None:
    lines = [line(7), line(7, "train_loss"), line(9)]
    data = LearningCurves(lines).figure()["data"]
    assert data[0]["line"]["color"] == data[1]["line"]["color"] != data[2]["line"]["color"]
    assert [trace["line"]["dash"] for trace in data] == ["solid", "dot", "solid"]


def test_each_trial_stands_once_in_the_legend() -> None:
    lines = [line(7, "train_loss"), line(7), line(9, "train_loss")]
    data = LearningCurves(lines).figure()["data"]
    shown = [trace["meta"]["trial"] for trace in data if trace["showlegend"]]
    assert sorted(shown) == [7, 9]


def test_series_that_share_a_chart_have_their_own_dash_and_stand_in_the_legend_by_name() -> None:
    lines = [
        line(7, "loss", label="loss"),
        line(7, "val/loss", variant=1, label="val/loss"),
        line(7, "train_loss"),
        line(9, "val/loss", variant=1, label="val/loss", running=True),
    ]
    data = LearningCurves(lines).figure()["data"]
    assert [trace["line"]["dash"] for trace in data] == ["solid", "dash", "dot", "dash"]
    shown = [trace["name"] for trace in data if trace["showlegend"]]
    assert shown == ["A7 loss", "A7 val/loss", "A9 val/loss (running)"]


def test_a_value_that_is_not_finite_breaks_the_line() -> None:
    figure = LearningCurves([line(1)]).figure()
    assert figure["data"][0]["y"] == [0.5, None, 0.3]
    json.dumps(figure, allow_nan=False)


def test_the_best_checkpoint_is_ringed_in_the_trials_hue() -> None:
    data = LearningCurves([line(1)], [Mark(1, 3.0, 0.3, 0.2)]).figure()["data"]
    assert data[1]["marker"]["color"] == data[0]["line"]["color"]
    assert (data[1]["x"], data[1]["y"]) == ([3.0], [0.3])


def test_a_running_trial_says_so() -> None:
    assert LearningCurves([line(4, running=True)]).figure()["data"][0]["name"] == "A4 (running)"


def test_where_a_curve_turns_is_shaded_and_said() -> None:
    layout = LearningCurves(
        [line(1)], (), [Onset("A1", 2, 3, "A1: overfitting from step 2")]
    ).figure()["layout"]
    assert (layout["shapes"][0]["x0"], layout["shapes"][0]["x1"]) == (2, 3)
    assert layout["annotations"][0]["text"] == "A1: overfitting from step 2"


def test_a_single_point_is_visible() -> None:
    one = line(1, steps=np.array([1]), values=np.array([0.5]), seconds=np.array([0.0]))
    assert "markers" in LearningCurves([one]).figure()["data"][0]["mode"]
