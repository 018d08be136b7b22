from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from experiments.charts.axes import AxisPlot, AxisPoints
from experiments.charts.contour import ContourPlot, Plane, Ticks
from experiments.charts.importance import ImportancePlot, Share
from experiments.charts.intermediate import IntermediatePlot, ReportedLine
from experiments.charts.isolation import IsolationPlot, ValueScores
from experiments.charts.learning_curves import LearningCurves, Line, Mark
from experiments.charts.logged_figures import HistogramPlot, logged_plot, overlaid
from experiments.charts.parallel import Coordinate, ParallelPlot
from experiments.charts.progress import (
    BestOfPlot,
    Curve,
    DistributionPlot,
    HistoryPlot,
    TimelinePlot,
)
from experiments.charts.seeds import Arm, IntervalPlot, LineagePlot, SeedsPlot
from experiments.charts.text_alternative import MOST_TRACES, text_alternative
from experiments.charts.theme import Plot


def line(trial: int, name: str, values: list[float]) -> Line:
    steps = np.arange(1, len(values) + 1)
    return Line(trial, name, "validation_accuracy", False, steps, np.array(values), steps * 2.0)


CURVES = LearningCurves(
    [line(1, "A0", [0.5, 0.9, 0.8]), line(2, "B1", [0.7])],
    [Mark(1, 2.0, 0.9, 4.0)],
    x_title="step",
    y_title="accuracy",
)
SCORES = np.array([0.9, 0.92, math.nan, 0.91])


def points(values: list[object], choices: tuple[object, ...] | None = None) -> AxisPoints:
    groups = np.zeros(len(values), dtype=np.int64)
    names = [f"A{i}" for i in range(len(values))]
    return AxisPoints("rate", values, SCORES, names, groups, choices=choices)


def plane(surface: list[list[float]]) -> Plane:
    nothing = np.empty(0)
    return Plane(nothing, nothing, nothing, (), np.array(surface))


def contour(surface: list[list[float]]) -> ContourPlot:
    ticks = Ticks("rate", [0, 1], ["0", "1"]), Ticks("width", [0, 1], ["0", "1"])
    return ContourPlot(plane(surface), *ticks, metric="f1", maximize=True)


CHARTS: dict[str, tuple[Plot, str]] = {
    "curves": (
        CURVES,
        "Across: step. Upwards: accuracy. A0 validation_accuracy: 3 points, from 0.5 to 0.9, the "
        "last 0.8. B1 validation_accuracy: 1 point, 0.7.",
    ),
    "seeds": (
        SeedsPlot(Arm("candidate", "", SCORES), Arm("baseline", "", SCORES - 0.1), metric="f1"),
        "Across: f1, each dot one fresh seed. baseline: 3 points, from 0.8 to 0.82, the last "
        "0.81. candidate: 3 points, from 0.9 to 0.92, the last 0.91.",
    ),
    "seeds of a metric that is 0 or 1": (
        SeedsPlot(
            Arm("candidate", "", np.ones(3)), Arm("baseline", "", np.zeros(3)), metric="won"
        ),
        "Across: won, each dot one fresh seed. baseline: 3 points, from 0 to 0, the last 0. "
        "candidate: 3 points, from 1 to 1, the last 1.",
    ),
    "interval": (
        IntervalPlot(gain=0.01, lower=-0.02, upper=0.04, margin=0.001, unit="f1"),
        "Across: gain in f1. Gain 0.01, interval from -0.02 to 0.04. Margin 0.001.",
    ),
    "lineage": (
        LineagePlot(["wider", "<deeper>"], [0.01, 0.02], [0.0, 0.01], [0.02, 0.03], metric="f1"),
        "Upwards: gain in f1. wider 0.01, <deeper> 0.02.",
    ),
    "importance": (
        ImportancePlot([Share("width", 0.3, 0), Share("rate", 0.7, 0)]),
        "Across: % of what decides. in the whole search space: rate 70, width 30.",
    ),
    "intermediate": (
        IntermediatePlot(
            [ReportedLine("1", "pruned", np.arange(2.0), np.array([0.1, math.nan]))],
            metric="f1",
            maximize=True,
        ),
        "Across: step. Upwards: f1. pruned: 1 point, 0.1.",
    ),
    "isolation": (
        IsolationPlot(
            [
                ValueScores("adam", np.array([0.4, 0.5]), ("A0", "A1"), 0.5),
                ValueScores("sgd", np.array([0.3]), ("B0",), 0.3),
            ],
            metric="f1",
            maximize=True,
        ),
        "Upwards: f1. best trial: adam 0.5, sgd 0.3. expected best of 1: adam 0.5, sgd 0.3. adam, "
        "all trials: 2 points, from 0.4 to 0.5, the last 0.5. sgd, all trials: 1 point, 0.3.",
    ),
    "axis": (
        AxisPlot(points([0.1, 0.2, 0.3, 0.4]), metric="f1", maximize=True),
        "Upwards: f1. All: 3 points, from 0.9 to 0.92, the last 0.91. 1 failed.",
    ),
    "axis of choices": (
        AxisPlot(points(["a", "b", "a", "b"], ("a", "b")), metric="f1", maximize=True),
        "Upwards: f1. a 0.9, b 0.92, b 0.91. 1 failed.",
    ),
    "contour": (
        contour([[0.5, math.nan], [0.75, 1.0]]),
        "Across: rate. Upwards: width. By colour: from 0.5 to 1.",
    ),
    "parallel": (
        ParallelPlot([Coordinate("rate", np.zeros(4))], SCORES, metric="f1", maximize=True),
        "Across: rate, f1. 3 trials, the best first.",
    ),
    "history": (
        HistoryPlot(SCORES, ["1", "2", "3", "4"], metric="f1", maximize=True),
        "Across: trials, in the order they were started. Upwards: f1. trials: 3 points, from 0.9 "
        "to 0.92, the last 0.91. best so far: 3 points, from 0.9 to 0.92, the last 0.92.",
    ),
    "expected best": (
        BestOfPlot([Curve("all", [1, 2], [0.5, 0.6])], metric="f1"),
        "Across: number of trials. Upwards: expected best f1. all: 2 points, from 0.5 to 0.6, the "
        "last 0.6.",
    ),
    "distribution": (
        DistributionPlot([("all", SCORES[[0, 1, 3]])], metric="f1", maximize=True),
        "Across: f1. Upwards: % of feasible trials at least as good. all: 3 trials, from 0.9 to "
        "0.92.",
    ),
    "timeline": (
        TimelinePlot(
            np.array([0.0, 1.0]), np.array([9.0, math.nan]), [("complete", SCORES[:2] > 0)]
        ),
        "Across: seconds since the first trial began. Upwards: trials, in the order they were "
        "started. 1 complete.",
    ),
    "histogram": (
        HistogramPlot([0, 1, 2], [4, 6]),
        "Across: value. Upwards: count. All: 2 points, from 4 to 6, the last 6.",
    ),
    "logged": (
        logged_plot(
            {
                "data": [{"type": "bar", "x": ["<cat>", "dog"], "y": [1, None], "name": "count"}],
                "layout": {"xaxis": {"title": "kind"}},
            }
        ),
        "Across: kind. count: <cat> 1.",
    ),
    "overlaid": (
        overlaid([("A0", "red", {"data": [{"y": [1, 2], "name": "roc"}]})]),
        "A0: roc: 2 points, from 1 to 2, the last 2.",
    ),
}


@pytest.mark.parametrize("kind", CHARTS)
def test_every_kind_of_chart_is_said_in_words(kind: str) -> None:
    plot, said = CHARTS[kind]
    assert plot.words() == said
    assert set(plot.figure()) == {"data", "layout"}


def test_failed_curves_are_counted_wherever_their_crosses_stand() -> None:
    failed = [Mark(trial, 2.0, 0.1, 4.0, "failed") for trial in (1, 2)]
    assert replace(CURVES, lines=(), marks=failed).words().endswith("2 failed.")


def test_what_was_never_finite_is_left_out() -> None:
    assert LearningCurves([line(1, "A0", [math.nan, math.inf])]).words() == "Across: step."
    assert contour([[math.nan]]).words() == "Across: rate. Upwards: width."


def test_of_many_traces_the_first_are_told_and_the_rest_counted() -> None:
    many = [f"t{number}" for number in range(MOST_TRACES + 3)]
    assert text_alternative("", "", many).endswith("And 3 more.")
