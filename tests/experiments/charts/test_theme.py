from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.charts.theme import axis, escaped, layout, log_axis, plain, shortened, text_of


@given(st.lists(st.floats()))
def test_numbers_become_what_json_can_hold(values: list[float]) -> None:
    drawn = plain(values)
    json.dumps(drawn, allow_nan=False)
    assert [value is None for value in drawn] == [not math.isfinite(value) for value in values]


def test_numbers_are_cut_to_what_a_screen_shows() -> None:
    assert plain(np.array([0.123456789, 1e-9, 12345678.0])) == [0.123457, 1e-9, 12345700.0]
    assert plain(np.array([3, 10**12])) == [3, 10**12]


def test_labels_cannot_bring_tags_along() -> None:
    assert escaped("<b>&") == "&lt;b&gt;&amp;"


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert shortened("a" * 40 + "-validation", 20) == "aaaaaaaaaaa…lidation"
    assert shortened("short", 20) == "short"


@pytest.mark.parametrize(
    ("value", "text"), [(True, "yes"), (None, "none"), (0.1, "0.1"), ("adam", "adam"), (64, "64")]
)
def test_values_are_written_as_people_do(value: object, text: str) -> None:
    assert text_of(value) == text


def test_a_logarithmic_axis_is_labelled_at_its_decades() -> None:
    axis = log_axis("x", 1e-4, 1e-1)
    assert axis["ticktext"] == ["1e-4", "0.001", "0.01", "0.1"]
    assert axis["range"][0] < -4 and axis["range"][1] > -1


def test_a_short_logarithmic_axis_has_more_labels() -> None:
    assert log_axis("x", 1.0, 100.0)["ticktext"] == ["1", "2", "5", "10", "20", "50", "100"]


def test_labels_of_upward_axes_are_not_measured_and_may_be_asked_to_be() -> None:
    found = layout(yaxis2=axis("loss"), yaxis3=axis("", ticklabeloverflow="hide past div"))
    assert found["yaxis"]["ticklabeloverflow"] == found["yaxis2"]["ticklabeloverflow"] == "allow"
    assert found["yaxis3"]["ticklabeloverflow"] == "hide past div"
    assert "ticklabeloverflow" not in found["xaxis"]
