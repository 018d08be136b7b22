from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from experiments.analysis.seeds import looks


def test_the_default_schedule_is_three_looks_at_pococks_level() -> None:
    assert looks.Schedule((10, 20, 30), 0.0221, "table") == looks.DEFAULT
    assert looks.plan([10, 20, 30]) == looks.DEFAULT


def test_one_look_is_tested_at_five_percent() -> None:
    assert looks.plan([7]) == looks.Schedule((7,), 0.05, "one look")


@pytest.mark.parametrize(("count", "level"), [(2, 0.0294), (3, 0.0221), (4, 0.0182), (5, 0.0158)])
def test_equal_steps_take_pococks_published_levels(count: int, level: float) -> None:
    schedule = looks.plan([10 * (i + 1) for i in range(count)])
    assert (schedule.level, schedule.source) == (level, "table")


def test_unequal_steps_take_a_simulated_level() -> None:
    schedule = looks.plan([3, 5, 10])
    assert schedule.source == "simulation"
    assert schedule.level == pytest.approx(0.0205, abs=0.0003)


def test_steps_too_small_for_the_table_are_simulated_and_stricter_than_it() -> None:
    schedule = looks.plan([3, 6, 9])
    assert schedule.source == "simulation"
    assert schedule.level < looks.POCOCK_LEVELS[3]


def test_the_default_looks_together_adopt_equal_truth_in_at_most_five_percent() -> None:
    error = looks.after_peeking_error(looks.DEFAULT)
    assert 0.047 < error < 0.0505


def test_looking_on_after_the_last_look_costs_more_errors() -> None:
    once = looks.after_peeking_error(looks.DEFAULT, (35,))
    thrice = looks.after_peeking_error(looks.DEFAULT, (35, 40, 50))
    assert looks.after_peeking_error(looks.DEFAULT) < once < thrice < 0.1


def test_testing_after_every_seed_from_3_to_10_errs_in_one_case_of_seven() -> None:
    every_seed = looks.Schedule((3,), 0.05, "one look")
    assert 0.14 < looks.after_peeking_error(every_seed, tuple(range(4, 11))) < 0.15


def test_simulated_statistics_are_those_of_a_t_test_on_growing_samples() -> None:
    paths = looks.t_paths((3, 8), effect=0.7, draws=20_000, rng=np.random.default_rng(1))
    for row, count in zip(paths, (3, 8), strict=True):
        expected = stats.nct(df=count - 1, nc=0.7 * np.sqrt(count))
        for share in (0.1, 0.5, 0.9):
            reached = float((row <= expected.ppf(share)).mean())
            assert reached == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 20_000))


@pytest.mark.parametrize("effect", [1e18, -1e18, 1e300])
def test_a_huge_effect_swallows_no_spread(effect: float) -> None:
    """A margin of nine quadrillion is typed easily; each statistic has the effect's sign."""
    paths = looks.t_paths((2, 5), effect=effect, draws=2_000, rng=np.random.default_rng(1))
    assert np.isfinite(paths).all() and (np.sign(paths) == np.sign(effect)).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "at least one look"),
        ([2, 5], "at least 3 pairs"),
        ([5, 5], "increasing"),
        ([9, 4], "increasing"),
        (range(3, 40), "at most 30 looks"),
    ],
)
def test_looks_that_cannot_be_a_schedule_are_refused_with_the_reason(
    wrong: list[int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        looks.plan(wrong)


def test_a_level_of_one_half_or_more_is_refused() -> None:
    with pytest.raises(ValueError, match="level"):
        looks.Schedule((10,), 0.5, "one look")
