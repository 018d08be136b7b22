"""Settings of curves in an address, applied to their figure."""

from __future__ import annotations

import pytest

from experiments.reports.curve_settings import as_addressed, moving_average


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
