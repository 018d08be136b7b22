from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.diagnosis import (
    Diagnosis,
    Rule,
    Severity,
    Status,
    figure,
    fired,
    plain,
    plain_evidence,
    share,
    step_figure,
)

RULE = Rule(
    name="tested",
    version=3,
    severity=Severity.WARNING,
    question="Is it so?",
    meaning="It may be so.",
    advice="Do this.",
    section="Tuning Playbook",
    action="extend",
    passed_title="It is not so",
)


def test_a_fired_rule_carries_its_meaning_advice_and_button() -> None:
    diagnosis = RULE.fires("It is so", "5 of 8.", {"count": 5}, subject="x:low")
    assert diagnosis.fired
    assert (diagnosis.rule, diagnosis.version, diagnosis.subject) == ("tested", 3, "x:low")
    assert (diagnosis.meaning, diagnosis.advice) == ("It may be so.", "Do this.")
    assert diagnosis.action == "extend"


def test_a_rule_that_passed_offers_no_button() -> None:
    diagnosis = RULE.passes("0 of 8.", {})
    assert diagnosis.status is Status.PASSED
    assert (diagnosis.title, diagnosis.action, diagnosis.advice) == ("It is not so", "", "")


def test_a_rule_that_cannot_tell_gives_the_reason() -> None:
    diagnosis = RULE.cannot_tell("Too few.")
    assert diagnosis.status is Status.NOT_CHECKABLE
    assert diagnosis.detail == "Too few."
    assert not diagnosis.fired


def test_severity_can_be_lowered_for_one_case() -> None:
    assert RULE.fires("", "", {}, severity=Severity.NOTICE).severity is Severity.NOTICE


def test_the_gravest_comes_first_and_only_what_fired() -> None:
    notice = RULE.fires("n", "", {}, severity=Severity.NOTICE)
    problem = RULE.fires("p", "", {}, severity=Severity.PROBLEM)
    found = fired([notice, RULE.passes("", {}), RULE.fires("w", "", {}), problem])
    assert [diagnosis.title for diagnosis in found] == ["p", "w", "n"]


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(
            st.floats(),
            st.integers(),
            st.booleans(),
            st.none(),
            st.text(max_size=5),
            st.lists(st.floats(), max_size=3),
            st.floats().map(np.float64),
            st.lists(st.floats(), max_size=3).map(np.array),
        ),
        max_size=5,
    )
)
def test_any_evidence_is_valid_json(evidence: dict[str, object]) -> None:
    text = json.dumps(plain_evidence(evidence), allow_nan=False)
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (np.float64(2.5), 2.5)],
)
def test_non_finite_numbers_become_words(value: float, expected: object) -> None:
    assert plain(value) == expected


def test_numpy_truth_values_stay_truth_values() -> None:
    assert plain(np.bool_(True)) is True


def test_severities_are_json_strings() -> None:
    assert type(plain(Severity.NOTICE)) is str


def test_figures_have_four_significant_digits() -> None:
    assert figure(0.123456) == "0.1235"
    assert figure(math.nan) == "not a number"
    assert figure(-math.inf) == "minus infinity"


def test_shares_read_as_percentages() -> None:
    assert share(0.5) == "50 %"
    assert share(0.0125) == "1.2 %"


def test_a_diagnosis_cannot_be_changed() -> None:
    diagnosis: Diagnosis = RULE.passes("", {})
    with pytest.raises(AttributeError):
        diagnosis.title = "other"  # type: ignore[misc]


def test_a_step_is_read_with_its_thousands() -> None:
    assert step_figure(12_500.0) == "12,500"
    assert step_figure(0.5) == "0.5"
    assert step_figure(float("nan")) == "not a number"
