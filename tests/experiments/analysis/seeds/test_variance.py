from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import strategies as st

from experiments.analysis.seeds.variance import (
    chi_square_interval,
    deviation,
    search_deviation,
    sources_of_variance,
)

numbers = st.integers(-1000, 1000).map(lambda step: step / 100)


def test_a_deviation_names_its_source_its_count_and_its_interval() -> None:
    found = deviation("training seed", [1.0, 2.0, 3.0, 4.0, 5.0])
    assert found is not None
    assert found.sd == pytest.approx(sqrt(2.5))
    assert (found.n, found.df) == (5, 4)
    assert found.measured_by == "5 training seeds, one split"
    # The chi-square quantiles of 4 degrees of freedom, from a printed table.
    assert found.lower == pytest.approx(sqrt(2.5 * 4 / 11.143), rel=1e-4)
    assert found.upper == pytest.approx(sqrt(2.5 * 4 / 0.4844), rel=1e-3)


def test_the_interval_holds_the_true_deviation_in_95_percent_of_normal_samples() -> None:
    samples = np.random.default_rng(0).normal(0, 2, size=(4_000, 5))
    held = 0
    for sd in samples.std(axis=1, ddof=1):
        lower, upper = chi_square_interval(float(sd), 4)
        held += lower <= 2 <= upper
    assert held / 4_000 == pytest.approx(0.95, abs=3 * sqrt(0.95 * 0.05 / 4_000))


def test_runs_without_a_finite_score_are_counted_and_left_out() -> None:
    found = deviation("data split", [1.0, nan, 2.0, inf])
    assert found is not None
    assert (found.n, found.failures) == (2, 2)
    assert deviation("data split", [1.0, nan]) is None


def test_sources_stand_side_by_side_and_the_unmeasured_ones_are_named() -> None:
    found = sources_of_variance(training_seed=[0.1, 0.2, 0.3], data_split=[0.1, 0.5, 0.9])
    assert [part.source for part in found.measured] == ["training seed", "data split"]
    assert found.not_measured == ("search seed",)
    assert found.text == (
        "Standard deviation of the score over data split 0.4 and training seed 0.1. "
        "Search seed was not measured."
    )


def test_nothing_measured_names_all_three() -> None:
    found = sources_of_variance()
    assert found.measured == ()
    assert len(found.not_measured) == 3
    assert found.text == "Training seed, data split and search seed were not measured."


def test_the_search_deviation_is_that_of_the_winners_means_over_fresh_seeds() -> None:
    found = search_deviation([[1.0, 3.0], [4.0, 6.0], [nan, nan]])
    assert found is not None
    assert found.sd == pytest.approx(sqrt(4.5))
    assert (found.n, found.failures) == (2, 1)
    assert found.measured_by == "2 searches, each winner re-run over 2 fresh seeds"
    assert search_deviation([[1.0, 2.0]]) is None
    assert search_deviation([]) is None
