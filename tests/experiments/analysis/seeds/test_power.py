from __future__ import annotations

from math import nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from experiments.analysis.seeds.comparison import paired_t
from experiments.analysis.seeds.looks import DEFAULT, plan
from experiments.analysis.seeds.power import (
    LARGE,
    achieved_power,
    detectable_effect,
    expected_spread,
    pairs_needed,
    prospect,
    seeds_needed,
    what_can_be_shown,
)

KNOWN = expected_spread([[0.001, 0.004, 0.003, 0.006], [0.0, 0.002]])


@pytest.mark.parametrize("pairs", [3, 5, 10, 30])
def test_the_test_that_judges_has_the_power_that_is_promised(pairs: int) -> None:
    effect = detectable_effect(pairs, level=0.0221)
    draws = np.random.default_rng(1).normal(effect, 1, size=(20_000, pairs))
    shown = float((paired_t(draws, margin=0.0, level=0.0221).lower > 0).mean())
    assert shown == pytest.approx(0.8, abs=4 * sqrt(0.8 * 0.2 / 20_000))


def test_the_correction_for_skewness_costs_power_where_pairs_are_few() -> None:
    students = TTestPower().power(1.0, 10, 0.05, alternative="larger")
    assert 0.01 < students - achieved_power(1.0, 10, level=0.05) < 0.08


@pytest.mark.parametrize("level", [0.01, 0.0221, 0.05])
def test_many_pairs_have_students_power(level: float) -> None:
    for effect in (0.1, 0.2, 0.3, 0.4):
        students = TTestPower().power(effect, LARGE - 1, level, alternative="larger")
        assert achieved_power(effect, LARGE - 1, level=level) == pytest.approx(students, abs=0.01)


@settings(max_examples=30)
@given(st.floats(0.05, 20), st.sampled_from([0.001, 0.0221, 0.05]))
def test_the_pairs_needed_are_enough_and_one_fewer_is_not(effect: float, level: float) -> None:
    pairs = pairs_needed(effect, level=level)
    assert pairs is not None
    assert achieved_power(effect, pairs, level=level) >= 0.8 - 1e-9
    if pairs > 3:
        assert achieved_power(effect, pairs - 1, level=level) < 0.8


def test_an_effect_too_small_for_any_budget_has_no_number() -> None:
    assert pairs_needed(1e-6, level=0.05) is None


def test_earlier_pairs_are_pooled_around_their_own_means() -> None:
    spread = expected_spread([[1.0, 3.0], [101.0, 103.0, nan], [7.0]])
    assert spread.source == "earlier pairs"
    assert spread.df == 2
    assert spread.sd == pytest.approx(sqrt(2))
    assert "4 earlier pairs" in spread.text


def test_without_earlier_pairs_the_baselines_deviation_is_labelled_an_assumption() -> None:
    spread = expected_spread([], [0.1, 0.3])
    assert spread.source == "assumption"
    assert spread.sd == pytest.approx(sqrt(2) * sqrt(0.02))
    assert "assumption" in what_can_be_shown(DEFAULT, spread)[0].text


@pytest.mark.parametrize("replicates", [[], [0.5], [0.5, nan], [0.5, 0.5]])
def test_with_one_replicate_nothing_is_known(replicates: list[float]) -> None:
    spread = expected_spread([], replicates)
    assert (spread.source, spread.sd) == ("unknown", None)
    shown = what_can_be_shown(DEFAULT, spread)[0]
    assert shown.gain is None
    assert "unknown" in shown.text
    assert seeds_needed(0.01, spread, schedule=DEFAULT).pairs is None
    assert prospect(DEFAULT, spread, gain=0.1, rng=np.random.default_rng(0)) is None


def test_each_look_says_what_it_can_show_above_the_margin_in_the_metrics_unit() -> None:
    shown = what_can_be_shown(DEFAULT, KNOWN, margin=0.001)
    assert [found.pairs for found in shown] == [10, 20, 30]
    assert KNOWN.sd is not None
    assert shown[0].gain == pytest.approx(0.001 + KNOWN.sd * detectable_effect(10, level=0.0221))
    assert shown[0].text.startswith("10 pairs can show a gain of 0.003")
    assert "above the margin) with 80 % power" in shown[0].text
    gains = [found.gain for found in shown if found.gain is not None]
    assert gains == sorted(gains, reverse=True)


def test_candidates_share_the_level_so_each_needs_a_larger_gain() -> None:
    alone, shared = (what_can_be_shown(DEFAULT, KNOWN, candidates=m)[0] for m in (1, 4))
    assert alone.gain is not None
    assert shared.gain is not None
    assert shared.gain > alone.gain


def test_seeds_still_needed_are_those_of_the_smallest_gain_that_matters() -> None:
    needed = seeds_needed(0.002, KNOWN, schedule=DEFAULT, have=4, margin=0.0005)
    assert KNOWN.sd is not None
    assert needed.pairs == pairs_needed(0.0015 / KNOWN.sd, level=0.0221)
    assert needed.pairs is not None
    assert needed.further == needed.pairs - 4
    assert f"{needed.further} more pairs" in needed.text
    assert seeds_needed(0.002, KNOWN, schedule=DEFAULT, have=500).further == 0


def test_a_gain_that_does_not_exceed_the_margin_can_never_be_shown() -> None:
    needed = seeds_needed(0.001, KNOWN, schedule=DEFAULT, margin=0.001)
    assert needed.pairs is None
    assert "however many seeds" in needed.text


def test_a_gain_beyond_any_budget_is_said_to_be() -> None:
    assert "more than 100,000" in seeds_needed(1e-9, KNOWN, schedule=DEFAULT).text


def test_the_prospect_of_equal_truth_is_the_schedules_error_on_either_side() -> None:
    found = prospect(DEFAULT, KNOWN, gain=0.0, rng=np.random.default_rng(1))
    assert found is not None
    error = 3 * sqrt(0.05 * 0.95 / 20_000)
    assert sum(found.adopted) == pytest.approx(0.046, abs=error + 0.003)
    assert found.rejected == pytest.approx(0.046, abs=error + 0.003)
    assert sum(found.adopted) + found.rejected + found.undecided == pytest.approx(1)
    assert 30 - 20 * 2 * 0.0221 - 10 * 2 * 0.016 < found.mean_pairs < 30


def test_a_gain_that_one_look_shows_with_power_080_is_adopted_in_080_of_cases() -> None:
    once = plan([12])
    gain = what_can_be_shown(once, KNOWN)[0].gain
    assert gain is not None
    found = prospect(once, KNOWN, gain=gain, rng=np.random.default_rng(2))
    assert found is not None
    assert found.adopted[0] == pytest.approx(0.8, abs=0.01)
    assert found.mean_pairs == pytest.approx(12)


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="3 pairs"):
        detectable_effect(2, level=0.05)
    with pytest.raises(ValueError, match="power"):
        detectable_effect(10, level=0.05, power=1.0)
