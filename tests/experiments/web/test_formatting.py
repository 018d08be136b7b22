from __future__ import annotations

import datetime as dt
import math

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from experiments.web import formatting


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
        (None, formatting.NOTHING),
        (math.nan, "not a number"),
        (-math.inf, "-infinity"),
        (True, "yes"),
        ("adam", "adam"),
    ],
)
def test_a_score_has_four_significant_digits(value: object, text: str) -> None:
    assert formatting.score(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (1e-4, "0.0001"), (1e-5, "1e-5"), (64.0, "64"), (0.5, "0.5")]
)
def test_a_number_drops_needless_zeros(value: float, text: str) -> None:
    assert formatting.number(value) == text


@given(st.floats(-1e300, 1e300))
def test_what_is_written_is_the_number_to_four_digits(value: float) -> None:
    text = formatting.score(value)
    assert float(text) == pytest.approx(value, rel=5.1e-4, abs=1e-300)


def test_a_gain_carries_its_sign() -> None:
    assert formatting.signed(0.0047) == "+0.0047"
    assert formatting.signed(-0.0047) == "-0.0047"
    assert formatting.signed(0.0) == "0"


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (0.96451234, 0.00234, "0.9645"),
        (0.9, 0.0123, "0.900"),
        (49.87123, 3.21, "49.9"),
        (12345.678, 150.0, "12346"),
        (0.9645, 0.0, "0.9645"),
        (0.9645, None, "0.9645"),
        (None, None, formatting.NOTHING),
        (1.5, 1e-9, "1.500"),
        (1e300, 20.0, "1.000e300"),
        (math.nan, 0.1, "not a number"),
        (1e308, 1e308, "1.000e308"),
    ],
)
def test_a_mean_has_the_decimals_of_its_deviation(
    mean: float | None, deviation: float | None, text: str
) -> None:
    assert formatting.mean(mean, deviation) == text


def test_a_column_of_differences_lines_up() -> None:
    assert formatting.difference(0.002035, 0.9696) == "+0.00203"
    assert formatting.difference(-0.00045, 0.9714) == "-0.00045"
    assert formatting.difference(1.5, 123.4) == "+1.50"
    assert formatting.difference(None, 0.97) == formatting.NOTHING
    assert formatting.difference(3.2e-7, 3.1e-6) == "+3.2e-7", "no decimals to go by"
    assert formatting.difference(0.25, None) == "+0.25"


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
        (None, formatting.NOTHING),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_an_estimate_says_about() -> None:
    assert formatting.about(62) == "about 1 min"
    assert formatting.about(0) == "about 1.0 s"


def test_how_long_ago_keeps_the_exact_time() -> None:
    text = str(formatting.ago(timezone.now() - dt.timedelta(hours=3)))
    assert ">3 h ago<" in text and 'datetime="' in text
    assert ">yesterday<" in str(formatting.ago(timezone.now() - dt.timedelta(days=1)))
