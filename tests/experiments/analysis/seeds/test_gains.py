from __future__ import annotations

from math import nan

import pytest

from experiments.analysis.seeds.gains import compare_gains


def test_the_ratio_is_the_share_of_the_dev_gain_that_the_test_set_confirms() -> None:
    found = compare_gains(
        ([0.9, 0.92], [0.88, 0.90]), ([0.8, 0.82], [0.79, 0.81]), direction="maximize"
    )
    assert found is not None
    assert found.dev_gain == pytest.approx(0.02)
    assert found.test_gain == pytest.approx(0.01)
    assert found.ratio == pytest.approx(0.5)
    assert (
        found.text == "Dev gain +0.02, test gain +0.01: 50 % of the gain is there on the test set."
    )


def test_gains_of_a_loss_are_positive_when_it_falls() -> None:
    found = compare_gains(([1.0], [2.0]), ([0.7], [0.6]), direction="minimize",
                          test_direction="maximize")  # fmt: skip
    assert found is not None
    assert found.dev_gain == 1.0
    assert found.test_gain == pytest.approx(0.1)


def test_only_pairs_finite_on_both_sets_enter() -> None:
    found = compare_gains(
        ([1.0, nan, 5.0], [0.0, 0.0, 0.0]), ([1.0, 1.0, nan], [0.0] * 3), direction="maximize"
    )
    assert found is not None
    assert (found.pairs, found.dev_gain) == (1, 1.0)
    assert compare_gains(([nan], [0.0]), ([1.0], [0.0]), direction="maximize") is None


def test_without_a_dev_gain_there_is_no_ratio() -> None:
    found = compare_gains(([0.0], [1.0]), ([1.0], [0.0]), direction="maximize")
    assert found is not None
    assert found.ratio is None


def test_sets_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        compare_gains(([1.0], [0.0]), ([1.0, 2.0], [0.0, 0.0]), direction="maximize")
