from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.diagnosis import Status
from experiments.analysis.space.data_size import data_set_too_small, rate_buckets

RATES = np.geomspace(1e-5, 1e-1, 24)
ALL = np.ones(24, bool)


def test_overfitting_at_every_learning_rate_points_to_the_data() -> None:
    found = data_set_too_small(RATES, ALL, best_fit=0.01, regulariser_swept=True)
    assert found.fired
    assert "Or add regularisation" not in found.advice


def test_without_a_searched_regulariser_that_is_offered_too() -> None:
    found = data_set_too_small(RATES, ALL, best_fit=0.01, regulariser_swept=False)
    assert "Or add regularisation" in found.advice
    assert found.action == "add_dropout"


def test_overfitting_at_high_rates_only_does_not() -> None:
    found = data_set_too_small(RATES, RATES > 1e-3, best_fit=0.01, regulariser_swept=True)
    assert found.status is Status.PASSED


def test_a_model_that_cannot_fit_its_data_is_not_short_of_them() -> None:
    found = data_set_too_small(RATES, ALL, best_fit=0.5, regulariser_swept=True)
    assert found.status is Status.PASSED


def test_four_buckets_of_two_are_needed() -> None:
    few = data_set_too_small(RATES[:7], ALL[:7], best_fit=0.0, regulariser_swept=True)
    assert few.status is Status.NOT_CHECKABLE
    enough = data_set_too_small(RATES[:8], ALL[:8], best_fit=0.0, regulariser_swept=True)
    assert enough.fired


@given(st.lists(st.floats(1e-6, 1.0), max_size=60))
def test_buckets_hold_every_trial_once(rates: list[float]) -> None:
    row = np.array(rates)
    buckets = rate_buckets(row)
    if buckets:
        assert sorted(np.concatenate(buckets).tolist()) == list(range(row.size))
        assert min(members.size for members in buckets) >= 2


@given(st.lists(st.tuples(st.floats(), st.booleans()), max_size=30), st.floats())
def test_no_trials_break_the_rule(rows: list[tuple[float, bool]], fit: float) -> None:
    rates = np.array([row[0] for row in rows], dtype=np.float64)
    overfits = np.array([row[1] for row in rows], dtype=np.bool_)
    found = data_set_too_small(rates, overfits, best_fit=fit, regulariser_swept=False)
    assert found.status in Status
