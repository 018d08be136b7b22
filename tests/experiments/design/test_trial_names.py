from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.trial_names import (
    arm_letter,
    other_trial_name,
    parse_trial_name,
    trial_name,
)

numbers = st.integers(0, 10**9 - 1)


@given(number=numbers, arm=st.integers(0, 17_000))
def test_a_name_with_an_arm_means_that_trial(number: int, arm: int) -> None:
    found = parse_trial_name(trial_name(number, arm=arm, arms=arm + 2))
    assert found is not None
    assert (found.number, found.arm, found.study) == (number, arm, None)


@given(number=numbers)
def test_without_a_letter_the_first_arm_is_meant(number: int) -> None:
    assert trial_name(number, arm=0, arms=1) == str(number)
    found = parse_trial_name(str(number))
    assert found is not None and (found.number, found.arm) == (number, 0)


@given(number=numbers, study=st.integers(1, 10**18 - 1))
def test_replicates_are_named_by_their_study(number: int, study: int) -> None:
    found = parse_trial_name(other_trial_name(study, number))
    assert found is not None
    assert (found.number, found.study, found.arm) == (number, study, None)


def test_letters_run_as_columns_of_a_sheet() -> None:
    assert [arm_letter(i) for i in (0, 25, 26, 27, 701, 702)] == [
        "A",
        "Z",
        "AA",
        "AB",
        "ZZ",
        "AAA",
    ]


@pytest.mark.parametrize(
    "text", ["", "b3", "B", "B03", "-1", "1e3", "B3x", "s-1", "s0-1", "9" * 12]
)
def test_what_is_no_name_means_nothing(text: str) -> None:
    assert parse_trial_name(text) is None


@given(st.text(max_size=12))
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse_trial_name(text)
