"""Settings of curves in an address, applied to their figure."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.charts.learning_curves import LearningCurves, Line
from experiments.reports.curve_settings import AddressedCurves, as_addressed, moving_average


def figure() -> dict[str, object]:
    line = {"x": [1, 2, 3], "y": [1.0, None, 3.0], "customdata": [10, 20, 30],
            "meta": {"epochs": [0.5, 1, 1.5]}}  # fmt: skip
    mean = {"x": [1], "y": [2.0], "meta": {"mean": "A"}}
    layout = {"xaxis": {"title": {"text": "step"}}, "yaxis": {}, "shapes": ["band"]}
    return {"data": [line, mean], "layout": layout}


def test_a_bare_address_leaves_the_figure_as_it_is() -> None:
    assert as_addressed(figure(), {}) == figure()


def test_curves_stand_by_time_without_what_has_none() -> None:
    shown = as_addressed(figure(), {"x": "time", "from": "10", "to": "20"})
    assert [trace["x"] for trace in shown["data"]] == [[10, 20, 30]]
    assert shown["layout"]["xaxis"]["title"]["text"].startswith("seconds")
    assert shown["layout"]["xaxis"]["range"] == [10, 20] and shown["layout"]["shapes"] == []


def test_smoothed_curves_lie_over_the_raw_ones() -> None:
    shown = as_addressed(figure(), {"smooth": "0.5", "logy": "1", "logx": "1"})
    raw, smooth, mean = shown["data"]
    assert raw["opacity"] < 1 and smooth["y"][0] == 1.0 and smooth["y"][1] is None
    assert smooth["y"][2] == pytest.approx(7 / 3) and mean["y"] == [2.0]
    assert shown["layout"]["yaxis"]["type"] == shown["layout"]["xaxis"]["type"] == "log"


@pytest.mark.parametrize("asked", [{"smooth": "nan"}, {"smooth": "x"}, {"from": "3", "to": "1"}])
def test_settings_that_mean_nothing_are_left_out(asked: dict[str, str]) -> None:
    assert as_addressed(figure(), asked) == figure()


def test_a_constant_stays_itself_under_any_smoothing() -> None:
    assert moving_average([2.0] * 4, 0.99) == pytest.approx([2.0] * 4)


def test_the_words_of_curves_follow_the_settings_of_their_address() -> None:
    steps, values = np.arange(3), np.array([1.0, 3.0, 3.0])
    by_epoch, bare = (
        Line(1, name, "loss", False, steps, values, steps * 2.0, epochs=epochs)
        for name, epochs in (("A0", steps / 2), ("A1", None))
    )
    curves = LearningCurves([by_epoch, bare])
    assert AddressedCurves(curves, {}).words() == curves.words()
    said = AddressedCurves(curves, {"x": "epoch", "smooth": "0.5"}).words()
    assert said == "Across: epoch. A0 loss: 3 points, from 1 to 2.714, the last 2.714."
