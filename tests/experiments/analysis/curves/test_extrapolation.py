from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.analysis.curves.extrapolation import Forecast, chance_to_beat, forecast

SHARES = np.arange(1, 61) / 60


def _power(end: float, *, drop: float = 0.4, power: float = 0.7) -> NDArray[np.float64]:
    return np.asarray(end + drop * (SHARES**-power - 1) / (60**power - 1))


def _seen(errors: NDArray[np.float64], share: float) -> Forecast:
    part = share >= SHARES
    found = forecast(SHARES[part], errors[part])
    assert found is not None
    return found


@pytest.mark.parametrize("power", [0.3, 0.7, 1.2])
def test_a_power_law_is_continued(power: float) -> None:
    errors = _power(0.2, power=power)
    found = _seen(errors, 0.4)
    assert found.mean == pytest.approx(0.2, abs=0.02)
    assert found.mean < found.best == errors[23]


def test_an_exponential_is_continued_to_its_floor() -> None:
    errors = 0.3 + 0.5 * np.exp(-SHARES / 0.1)
    assert _seen(errors, 0.5).mean == pytest.approx(0.3, abs=0.01)


def test_the_less_of_a_run_is_seen_the_less_is_known_of_its_end() -> None:
    errors = _power(0.2) + np.random.default_rng(0).normal(0, 0.004, 60)
    deviations = [_seen(errors, share).deviation for share in (0.1, 0.3, 0.9)]
    assert deviations == sorted(deviations, reverse=True)


def test_a_rising_curve_is_not_expected_to_rise_for_ever() -> None:
    errors = 0.2 + 0.1 * SHARES
    assert _seen(errors, 0.5).mean <= 0.25 + 1e-9


def test_too_short_a_beginning_says_nothing() -> None:
    assert forecast(SHARES[:3], SHARES[:3]) is None
    holes = np.array([0.5, math.nan, 0.4, math.inf, 0.3])
    assert forecast(SHARES[:5], holes) is None


def test_a_flat_curve_stays_where_it_is() -> None:
    assert forecast(SHARES[:10], np.full(10, 0.3)) == Forecast(0.3, 0.0, 0.3)


@given(
    st.lists(st.floats(), min_size=4, max_size=30),
    st.floats(1e-6, 1e6),
)
@example([0.0, 0.0, 0.0, -1.27e308], 1.0)
def test_any_values_give_a_finite_forecast_or_none(values: list[float], scale: float) -> None:
    shares = np.arange(1, len(values) + 1) / (2 * len(values))
    found = forecast(shares, np.array(values) * (scale if max(map(abs, values)) < 1e300 else 1))
    assert found is None or (math.isfinite(found.mean) and found.deviation >= 0)


@given(st.floats(-5, 5), st.floats(0.01, 100))
def test_shifting_and_scaling_a_curve_shifts_and_scales_its_forecast(
    shift: float, scale: float
) -> None:
    errors = _power(0.2) + np.random.default_rng(1).normal(0, 0.004, 60)
    plain, other = _seen(errors, 0.4), _seen(shift + scale * errors, 0.4)
    assert other.mean == pytest.approx(shift + scale * plain.mean, rel=1e-6, abs=1e-6)
    assert other.deviation == pytest.approx(scale * plain.deviation, rel=1e-6)


def _finished(count: int, *, late_drop: float = 0.0) -> list[tuple[Forecast, float]]:
    """Runs seen at 40 %, whose errors then fall further than their curves tell."""
    rng = np.random.default_rng(2)
    runs = []
    for _ in range(count):
        end = float(rng.uniform(0.2, 0.3))
        errors = _power(end) + rng.normal(0, 0.002, 60)
        runs.append((_seen(errors, 0.4), end - late_drop * float(rng.uniform(0.9, 1.1))))
    return runs


def test_a_run_that_heads_for_the_best_keeps_its_chance_and_a_hopeless_one_has_none() -> None:
    finished = _finished(12)
    best = min(end for _, end in finished)
    assert chance_to_beat(best, _seen(_power(best - 0.01), 0.4), finished) == 1.0
    near = chance_to_beat(best, _seen(_power(best + 0.004), 0.4), finished)
    hopeless = chance_to_beat(best, _seen(_power(best + 0.3), 0.4), finished)
    assert near is not None and hopeless is not None and hopeless < 0.05 < near


def test_what_finished_runs_did_late_is_expected_of_a_run_as_well() -> None:
    run = _seen(_power(0.33), 0.4)
    plain, falling = _finished(12), _finished(12, late_drop=0.15)
    best = min(end for _, end in plain)
    without = chance_to_beat(best, run, plain)
    with_drop = chance_to_beat(best, run, falling)
    assert without is not None and with_drop is not None and without < 0.05 < with_drop


def test_a_run_that_is_the_best_already_is_never_in_doubt() -> None:
    run = Forecast(mean=0.9, deviation=0.0, best=0.1)
    assert chance_to_beat(0.2, run, _finished(6)) == 1.0


def test_with_too_few_finished_runs_nothing_is_said() -> None:
    assert chance_to_beat(0.1, _seen(_power(0.9), 0.4), _finished(4)) is None


@given(st.floats(0.15, 1.0), st.floats(0.0, 0.5))
def test_a_worse_forecast_never_has_the_better_chance(end: float, worse: float) -> None:
    finished = _finished(8)
    run = _seen(_power(end), 0.4)
    other = Forecast(run.mean + worse, run.deviation, run.best + worse)
    chances = [chance_to_beat(0.2, curve, finished) for curve in (run, other)]
    assert chances[0] is not None and chances[1] is not None and chances[1] <= chances[0] + 1e-12
