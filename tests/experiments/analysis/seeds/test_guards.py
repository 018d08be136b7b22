from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from scipy import stats

from experiments.analysis.seeds.guards import Guard, GuardResult, check_guard, check_guards

TEN = tuple(np.random.default_rng(0).normal(10, 0.5, size=10).tolist())


def check(guard: Guard, level: float = 0.05) -> GuardResult:
    return check_guard(guard, level=level)


def test_a_guard_passes_only_when_its_bound_is_inside_the_limit_not_when_its_mean_is() -> None:
    mean = float(np.mean(TEN))
    bound = stats.ttest_1samp(TEN, 0, alternative="less").confidence_interval(0.95).high
    assert check(Guard("latency", TEN, bound + 0.3)).status == "passed"
    near = check(Guard("latency", TEN, mean + 0.01))
    assert (near.status, near.broken) == ("not shown", False)
    assert near.text.startswith("latency at most")
    assert "is not shown (mean" in near.text and "95 % bound" in near.text


def test_broken_is_said_when_the_whole_interval_is_beyond_the_limit() -> None:
    assert check(Guard("latency", TEN, 9.0)).status == "broken"
    assert check(Guard("recall", TEN, 11.0, "at least")).status == "broken"
    assert check(Guard("recall", TEN, 9.0, "at least")).status == "passed"


def test_what_does_not_vary_is_its_own_bound() -> None:
    assert check(Guard("memory", (5.0, 5.0, 5.0), 5.0)).status == "passed"
    assert check(Guard("memory", (5.0, 5.0, 5.0), 4.9)).status == "broken"


def test_a_rise_or_fall_is_held_against_the_baseline_pair_by_pair() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(0.8, 0.1, size=10)
    baseline = tuple(shared.tolist())
    candidate = tuple((shared - 0.005 + 0.002 * rng.normal(size=10)).tolist())
    assert check(Guard("recall", candidate, 0.01, "fall at most", baseline)).status == "passed"
    assert check(Guard("recall", candidate, 0.001, "fall at most", baseline)).status == "broken"
    unpaired = Guard("recall", candidate, 0.01, "fall at most", baseline, paired=False)
    assert check(unpaired).status == "not shown"
    fell = check(Guard("recall", candidate, 0.01, "fall at most", baseline))
    assert fell.mean == pytest.approx(np.mean(np.subtract(baseline, candidate)))
    assert check(Guard("recall", candidate, 0.01, "rise at most", baseline)).status == "passed"


def test_a_worse_candidate_passes_a_guard_no_more_often_than_its_level() -> None:
    rng = np.random.default_rng(2)
    passed = [
        check(Guard("latency", tuple(row), 10.0)).status == "passed"
        for row in rng.normal(10.0, 1, size=(1_000, 8)).tolist()
    ]
    assert np.mean(passed) < 0.05 + 0.021


def test_a_guard_that_nobody_measured_is_not_shown() -> None:
    for values in ((), (nan, nan)):
        found = check(Guard("memory", values, 1.0))
        assert (found.status, found.broken, found.mean) == ("not shown", False, None)
        assert "was not measured" in found.text
    assert check(Guard("memory", (0.1, 0.2, nan), 1.0)).status == "not shown"


def test_missing_measurements_are_left_out_and_said() -> None:
    found = check(Guard("memory", (1.0, nan, 1.0, 1.0), 2.0))
    assert (found.status, found.measured, found.replicates) == ("passed", 3, 4)
    assert "measured in 3 of 4 replicates" in found.text


def test_an_infinite_value_breaks_an_upper_limit() -> None:
    assert check(Guard("latency", (1.0, 1.0, 1.0, inf), 10.0)).broken
    assert check(Guard("recall", (1.0, 1.0, 1.0, -inf), 0.1, "at least")).broken


def test_the_level_is_shared_by_all_guards() -> None:
    one = check_guards([Guard("a", TEN, 11.0)], level=0.04)
    three = check_guards([Guard(name, TEN, 11.0) for name in "abc"], level=0.04)
    assert one[0].level == 0.04
    assert [guard.level for guard in three] == [0.04 / 3] * 3
    assert one[0].shown is not None and three[0].shown is not None
    assert three[0].shown > one[0].shown
    assert check_guards([], level=0.04) == ()


def test_a_guard_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        Guard("a", (1.0,), nan)
    with pytest.raises(ValueError, match="bound"):
        Guard("a", (1.0,), 1.0, "around")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 0 up"):
        Guard("a", (1.0,), -1.0, "rise at most")
