from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.diagnosis import Status
from experiments.analysis.space.data_size import data_set_too_small, rate_buckets

RATES = np.geomspace(1e-5, 1e-1, 24)
ALL = np.ones(24, bool)
FITS = np.full(24, 0.01)


def test_overfitting_at_every_learning_rate_points_to_the_data() -> None:
    found = data_set_too_small(RATES, ALL, FITS, regulariser_swept=True)
    assert found.fired
    assert "Or add regularisation" not in found.advice


def test_without_a_searched_regulariser_that_is_offered_too() -> None:
    found = data_set_too_small(RATES, ALL, FITS, regulariser_swept=False)
    assert "Or add regularisation" in found.advice
    assert found.action == "add_dropout"


def test_overfitting_at_high_rates_only_does_not() -> None:
    found = data_set_too_small(RATES, RATES > 1e-3, FITS, regulariser_swept=True)
    assert found.status is Status.PASSED


def test_rates_at_which_nothing_is_learned_are_not_asked() -> None:
    slow = RATES < 1e-3
    fits = np.where(slow, 0.9, 0.01)
    assert data_set_too_small(RATES, ~slow, fits, regulariser_swept=True).fired


def test_a_slow_run_at_the_lowest_rate_does_not_clear_the_data() -> None:
    few, fits = RATES[::2], FITS[::2]
    slowest = data_set_too_small(few, few > few[0], fits, regulariser_swept=True)
    assert slowest.fired
    middle = data_set_too_small(few, few != few[5], fits, regulariser_swept=True)
    assert middle.status is Status.PASSED


def test_a_model_that_cannot_fit_its_data_is_not_short_of_them() -> None:
    found = data_set_too_small(RATES, ALL, np.full(24, 0.5), regulariser_swept=True)
    assert found.status is Status.NOT_CHECKABLE


def test_three_buckets_of_two_are_needed() -> None:
    few = data_set_too_small(RATES[:5], ALL[:5], FITS[:5], regulariser_swept=True)
    assert few.status is Status.NOT_CHECKABLE
    enough = data_set_too_small(RATES[:6], ALL[:6], FITS[:6], regulariser_swept=True)
    assert enough.fired
    assert enough.detail == "Validation loss rises in 6 of 6 trials that fit their training data."


@given(st.lists(st.floats(1e-6, 1.0), max_size=60))
def test_buckets_hold_every_trial_once(rates: list[float]) -> None:
    row = np.array(rates)
    buckets = rate_buckets(row)
    if buckets:
        assert sorted(np.concatenate(buckets).tolist()) == list(range(row.size))
        assert min(members.size for members in buckets) >= 2


@given(st.lists(st.tuples(st.floats(), st.booleans(), st.floats()), max_size=30))
def test_no_trials_break_the_rule(rows: list[tuple[float, bool, float]]) -> None:
    rates = np.array([row[0] for row in rows], dtype=np.float64)
    overfits = np.array([row[1] for row in rows], dtype=np.bool_)
    fits = np.array([row[2] for row in rows], dtype=np.float64)
    found = data_set_too_small(rates, overfits, fits, regulariser_swept=False)
    assert found.status in Status
