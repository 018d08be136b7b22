from __future__ import annotations

from math import inf, nan

import pytest

from experiments.analysis.seeds.guards import Guard, check_guard, check_guards


def test_the_mean_over_replicates_is_what_the_limit_holds() -> None:
    assert not check_guard(Guard("latency", (9.0, 11.0), 10.0)).broken
    assert check_guard(Guard("latency", (9.0, 11.1), 10.0)).broken


def test_a_lower_limit_breaks_from_below() -> None:
    found = check_guard(Guard("recall", (0.7, 0.8), 0.8, "at least"))
    assert found.broken
    assert found.text == "the mean recall is 0.75, not at least 0.8"


def test_a_guard_that_nobody_measured_counts_as_broken() -> None:
    for values in ((), (nan, nan), (inf, -inf)):
        found = check_guard(Guard("memory", values, 1.0))
        assert found.broken
        assert found.mean is None
        assert "was not measured" in found.text


def test_missing_measurements_are_left_out_and_said() -> None:
    found = check_guard(Guard("memory", (1.0, nan), 2.0))
    assert (found.broken, found.measured, found.replicates) == (False, 1, 2)
    assert "measured in 1 of 2 replicates" in found.text


def test_an_infinite_value_breaks_an_upper_limit() -> None:
    assert check_guard(Guard("latency", (1.0, inf), 10.0)).broken


def test_every_guard_is_checked() -> None:
    found = check_guards([Guard("a", (1.0,), 2.0), Guard("b", (3.0,), 2.0)])
    assert [guard.broken for guard in found] == [False, True]


def test_a_guard_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        Guard("a", (1.0,), nan)
    with pytest.raises(ValueError, match="bound"):
        Guard("a", (1.0,), 1.0, "around")  # type: ignore[arg-type]
