from __future__ import annotations

import math
from typing import Any

import numpy as np

from experiments.charts.in_words import MOST_TRACES, in_words
from experiments.charts.learning_curves import Line, Mark, learning_curves
from experiments.charts.seeds import Arm, lineage_plot, seeds_plot


def line(trial: int, name: str, values: list[float]) -> Line:
    steps = np.arange(1, len(values) + 1)
    return Line(trial, name, "validation_accuracy", False, steps, np.array(values), steps * 2.0)


def figure(*traces: dict[str, Any], **layout: Any) -> dict[str, Any]:
    return {"data": list(traces), "layout": layout}


def test_curves_are_told_by_axes_span_and_end() -> None:
    drawn = learning_curves(
        [line(1, "A0", [0.5, 0.9, 0.8]), line(2, "B1", [0.7])],
        [Mark(1, 2.0, 0.9, 4.0)],
        x_title="step",
        y_title="accuracy",
    )
    assert in_words(drawn) == (
        "Across: step. Upwards: accuracy. A0 validation_accuracy: 3 points, from 0.5 to 0.9, the "
        "last 0.8. B1 validation_accuracy: 1 point, 0.7."
    )


def test_seeds_are_told_along_the_axis_that_has_values() -> None:
    scores = np.array([0.9, 0.92, 0.91])
    words = in_words(
        seeds_plot(Arm("candidate", "", scores), Arm("baseline", "", scores - 0.1), metric="f1")
    )
    assert "Across: f1, each dot one fresh seed." in words
    assert "from 0.8 to 0.82" in words and "from 0.9 to 0.92" in words


def test_few_categories_are_told_one_by_one() -> None:
    words = in_words(lineage_plot(["wider", "<deeper>"], [0.01, 0.02], [0.0, 0.01], [0.02, 0.03],
                                  metric="accuracy"))  # fmt: skip
    assert "wider 0.01" in words and "<deeper> 0.02" in words, words
    bars = {"x": [70.0, 30.0], "y": ["rate", "width"], "orientation": "h", "name": "importance"}
    assert in_words(figure(bars)) == "importance: rate 70, width 30."


def test_what_only_decorates_is_left_out() -> None:
    band = {"x": [1, 2, 3], "y": [1, 2, 3], "name": "band", "hoverinfo": "skip"}
    unnamed = {"x": [1], "y": [1]}
    empty = {"x": [], "y": [], "name": "nothing"}
    holes = {"x": [1, 2], "y": [None, math.nan], "name": "never finite"}
    assert in_words(figure(band, unnamed, empty, holes)) == ""


def test_failures_are_counted_wherever_their_crosses_stand() -> None:
    crosses = {"x": [1, 2], "y": [0.1, 0.1], "marker": {"symbol": "x"}}
    assert in_words(figure(crosses)) == "2 failed."


def test_a_surface_is_told_by_the_span_of_its_colours() -> None:
    surface = {"type": "contour", "x": [1, 2], "y": [1, 2], "z": [[0.5, None], [0.75, 1.0]]}
    points = {"x": [1, 2, 3], "y": [1, 2, 3]}
    assert in_words(figure(surface, points)) == "By colour: from 0.5 to 1."


def test_of_many_traces_the_first_are_told_and_the_rest_counted() -> None:
    many = [{"x": [1, 2], "y": [1, 2], "name": f"t{number}"} for number in range(MOST_TRACES + 3)]
    assert in_words(figure(*many)).endswith("And 3 more.")
