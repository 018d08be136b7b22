from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from experiments.analysis.seeds.comparison import all_equal, paired_t, replay, welch_t
from experiments.analysis.seeds.looks import DEFAULT, plan
from experiments.analysis.seeds.verdict import judge


def test_many_comparisons_at_once_are_the_same_as_one_by_one() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 7))
    together = paired_t(rows, margin=0.1, level=0.03)
    for i, row in enumerate(rows):
        alone = paired_t(row, margin=0.1, level=0.03)
        for name in ("mean", "lower", "upper", "p_adopt", "p_reject"):
            assert getattr(together, name)[i] == pytest.approx(getattr(alone, name)[0], rel=1e-12)


def test_a_row_that_does_not_vary_has_no_bounds_and_spoils_no_other() -> None:
    found = paired_t([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]], margin=0.0, level=0.05)
    assert np.isnan(found.lower[0])
    assert np.isfinite(found.lower[1])


@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_welch_is_scipys_also_when_one_arm_never_varies(margin: float) -> None:
    left = np.array([0.71, 0.72, 0.735])
    found = welch_t(left, [0.7, 0.7, 0.7, 0.7], margin=margin, level=0.05, corrected=False)
    alone = stats.ttest_1samp(left - 0.7, margin, alternative="greater")
    assert found.p_adopt[0] == pytest.approx(alone.pvalue, rel=1e-9)
    assert found.lower[0] == pytest.approx(alone.confidence_interval(0.95).low, rel=1e-9)


def test_without_the_correction_the_bounds_and_p_values_are_scipys() -> None:
    gains = np.random.default_rng(1).normal(0.3, 1, size=12)
    found = paired_t(gains, margin=0.1, level=0.03, corrected=False)
    up = stats.ttest_1samp(gains, 0.1, alternative="greater")
    down = stats.ttest_1samp(gains, 0.1, alternative="less")
    assert found.lower[0] == pytest.approx(up.confidence_interval(0.97).low, rel=1e-12)
    assert found.upper[0] == pytest.approx(down.confidence_interval(0.97).high, rel=1e-12)
    assert (found.p_adopt[0], found.p_reject[0]) == pytest.approx((up.pvalue, down.pvalue))


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=15), st.floats(0.001, 0.2))
def test_bounds_and_p_values_of_skewed_data_agree(values: list[int], level: float) -> None:
    assume(len(set(values)) > 1)
    found = paired_t(np.array(values) / 10, margin=0.7, level=level)
    assert found.lower[0] < found.upper[0]
    assume(abs(found.p_adopt[0] - level) > 1e-9 and abs(found.p_reject[0] - level) > 1e-9)
    assert (found.p_adopt[0] < level) == (found.lower[0] > 0.7)
    assert (found.p_reject[0] < level) == (found.upper[0] < 0.7)


def test_a_long_tail_of_bad_replicates_lowers_the_bound_more_than_one_of_good_raises_it() -> None:
    gains = np.random.default_rng(2).exponential(size=10)
    for rows, moved in ((-gains, -1), (gains, 1)):
        plain = paired_t(rows, margin=0.0, level=0.05, corrected=False)
        found = paired_t(rows, margin=0.0, level=0.05)
        assert np.sign(found.lower[0] - plain.lower[0]) == moved
        assert np.sign(found.upper[0] - plain.upper[0]) == moved


def test_equality_is_judged_at_the_size_of_the_scores() -> None:
    noise = np.array([[0.001, 0.001 + 1e-16, 0.001 - 1e-16]])
    assert not all_equal(noise)[0]
    assert all_equal(noise, scale=0.9)[0]


@given(st.integers(0, 2**32 - 1), st.floats(-1, 2), st.floats(0, 0.5))
def test_a_replay_says_what_verdicts_look_by_look_say(
    seed: int, gain: float, margin: float
) -> None:
    schedule = plan([5, 10, 15])
    gains = np.random.default_rng(seed).normal(gain, 1, size=15)
    replayed = replay(gains, schedule, margin=margin)
    outcome, pairs = 0, 15
    for i, count in enumerate(schedule.looks):
        said = judge(
            gains[:count], np.zeros(count), direction="maximize", margin=margin,
            schedule=schedule, look_index=i,
        )  # fmt: skip
        if said.outcome != "undecided":
            outcome, pairs = {"adopt": 1, "reject": -1}[said.outcome], count
            break
    assert (replayed.outcome[0], replayed.pairs[0]) == (outcome, pairs)


def test_a_replay_needs_pairs_up_to_the_last_look() -> None:
    with pytest.raises(ValueError, match="look at 30"):
        replay(np.zeros((2, 20)), DEFAULT)
