from __future__ import annotations

import datetime as dt
import json
import math
import re

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from experiments.templatetags import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.974, "0.9740"),
        (0.97685, "0.9768"),
        (1234.5, "1234"),
        (3.04e-6, "3.040e-6"),
        (12_345_678.0, "1.235e7"),
        (0.0, "0"),
        (-0.25, "-0.2500"),
        (128, "128"),
        (None, figures.NOTHING),
        (math.nan, "not a number"),
        (-math.inf, "-infinity"),
        (True, "yes"),
        ("adam", "adam"),
    ],
)
def test_a_score_has_four_significant_digits(value: object, text: str) -> None:
    assert figures.score(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (1e-4, "0.0001"), (1e-5, "1e-5"), (64.0, "64"), (0.5, "0.5")]
)
def test_a_number_drops_needless_zeros(value: float, text: str) -> None:
    assert figures.number(value) == text


@given(st.floats(-1e300, 1e300))
def test_what_is_written_is_the_number_to_four_digits(value: float) -> None:
    text = figures.score(value)
    assert float(text) == pytest.approx(value, rel=5.1e-4, abs=1e-300)


def test_a_gain_carries_its_sign() -> None:
    assert figures.signed(0.0047) == "+0.0047"
    assert figures.signed(-0.0047) == "-0.0047"
    assert figures.signed(0.0) == "0"


def test_a_column_of_differences_lines_up() -> None:
    assert figures.difference(0.002035, 0.9696) == "+0.00203"
    assert figures.difference(-0.00045, 0.9714) == "-0.00045"
    assert figures.difference(1.5, 123.4) == "+1.50"
    assert figures.difference(None, 0.97) == figures.NOTHING
    assert figures.difference(3.2e-7, 3.1e-6) == "+3.2e-7", "no decimals to go by"
    assert figures.difference(0.25, None) == "+0.25"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "under 0.1 s"),
        (0.42, "0.4 s"),
        (4.21, "4.2 s"),
        (11.3, "11 s"),
        (99.4, "99 s"),
        (240, "4 min"),
        (7200, "2 h"),
        (5400 * 1.5, "2.2 h"),
        (3 * 86400, "3 days"),
        (None, figures.NOTHING),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float | None, text: str) -> None:
    assert figures.duration(seconds) == text


def test_an_estimate_says_about() -> None:
    assert figures.about(62) == "about 1 min"
    assert figures.about(0) == "about 1.0 s"


def test_how_long_ago_keeps_the_exact_time() -> None:
    text = str(figures.ago(timezone.now() - dt.timedelta(hours=3)))
    assert ">3 h ago<" in text and 'datetime="' in text
    assert ">yesterday<" in str(figures.ago(timezone.now() - dt.timedelta(days=1)))


def test_a_figure_cannot_leave_its_script_element() -> None:
    tag = str(figures.figure({"name": "</script><b>&"}, "one"))
    assert tag.count("</script>") == 1 and "<b>" not in tag
    inner = re.search(r">(.*)</script>", tag)
    assert inner and json.loads(inner[1]) == {"name": "</script><b>&"}


def test_a_figure_comes_with_its_words() -> None:
    line = {"type": "scatter", "x": [1, 2], "y": [0.5, 0.25], "name": "<b>A0</b>"}
    tag = str(figures.figure({"data": [line], "layout": {}}, "one"))
    assert (
        '<p class="sr">&lt;b&gt;A0&lt;/b&gt;: 2 points, from 0.25 to 0.5, the last 0.25.</p>'
        in tag
    )


def test_a_figure_with_a_number_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        figures.figure({"y": [math.nan]}, "one")
