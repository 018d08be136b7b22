from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.mixed_linear_model import MixedLM

from experiments.analysis.seeds.variance import (
    chi_square_interval,
    deviation,
    nested,
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


def test_seed_and_split_components_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    groups = [rng.normal(split, 1.0, size=6) for split in rng.normal(0, 3, size=200)]
    found = nested(groups)
    assert found is not None
    assert found.within_sd == pytest.approx(1.0, rel=0.07)
    assert found.between_sd == pytest.approx(3.0, rel=0.15)


def test_balanced_groups_give_the_reml_estimate_of_a_mixed_model() -> None:
    rng = np.random.default_rng(5)
    groups = [rng.normal(split, 1.0, size=4) for split in rng.normal(0, 2, size=12)]
    model = MixedLM(np.concatenate(groups), np.ones(48), np.repeat(np.arange(12), 4))
    fitted = model.fit(reml=True)
    found = nested(groups)
    assert found is not None
    assert found.within_sd**2 == pytest.approx(fitted.scale, rel=1e-4)
    assert found.between_sd**2 == pytest.approx(float(np.ravel(fitted.cov_re)[0]), rel=1e-3)


def test_the_between_interval_holds_the_truth_in_95_percent_of_cases_or_a_little_more() -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(1_000):
        splits = rng.normal(0, 1.0, size=5)
        found = nested(list(splits[:, None] + rng.normal(0, 1.0, size=(5, 3))))
        assert found is not None
        held += found.between_lower <= 1.0 <= found.between_upper
    assert 0.93 < held / 1_000 < 0.985


def test_groups_that_differ_by_no_more_than_their_runs_show_no_between_part() -> None:
    found = nested([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    assert found is not None
    assert (found.between_sd, found.between_lower) == (0.0, 0.0)
    assert found.between_upper >= 0


def test_too_few_groups_or_runs_cannot_be_decomposed() -> None:
    assert nested([[1.0, 2.0]]) is None
    assert nested([[1.0], [2.0]]) is None
    assert nested([[1.0, nan], [2.0, nan], []]) is None


@given(st.lists(st.lists(numbers, min_size=2, max_size=5), min_size=2, max_size=5), numbers)
def test_shifting_all_scores_changes_no_component(groups: list[list[float]], shift: float) -> None:
    found = nested(groups)
    moved = nested([[score + shift for score in group] for group in groups])
    assert found is not None
    assert moved is not None
    assert moved.within_sd == pytest.approx(found.within_sd, abs=1e-6)
    assert moved.between_sd == pytest.approx(found.between_sd, abs=1e-5)
