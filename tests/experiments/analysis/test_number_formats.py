from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.number_formats import counted, listed, percent, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00470012, "0.0047"),
        (0.99999, "1"),
        (123456.0, "123500"),
        (1234.56, "1235"),
        (-0.5, "-0.5"),
        (0.0, "0"),
        (-0.0, "0"),
        (3e-7, "3e-07"),
        (2.5e9, "2.5e+09"),
        (100.0, "100"),
        (nan, "nan"),
        (inf, "inf"),
        (-inf, "-inf"),
    ],
)
def test_numbers_keep_four_significant_digits_and_no_trailing_zeros(
    value: float, text: str
) -> None:
    assert significant(value) == text


def test_a_signed_number_shows_its_plus() -> None:
    assert significant(0.5, signed=True) == "+0.5"
    assert significant(-0.5, signed=True) == "-0.5"
    assert significant(0.0, signed=True) == "0"


@given(st.floats(-1e300, 1e300))
def test_the_text_is_within_half_a_unit_of_the_fourth_digit(value: float) -> None:
    assert float(significant(value)) == pytest.approx(value, rel=5.1e-4, abs=1e-300)


def test_words_around_numbers() -> None:
    assert percent(0.9558) == "95.58 %"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert counted(1, "pair") == "1 pair"
    assert counted(12_000, "pair") == "12,000 pairs"
