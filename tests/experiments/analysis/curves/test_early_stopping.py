from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.early_stopping import (
    PATIENCE_RULES,
    Patience,
    PatienceRule,
    Waiting,
    after,
)

# Gold: JuliaAI/EarlyStopping.jl, test/criteria.jl (MIT); steps count from 1, 0 is never.
LOSSES = [10, 8, 9, 10, 11, 12, 12, 13, 14, 15, 16, 17, 16]
SINCE_BEST = {6: 8, 5: 7, 4: 6, 3: 5, 2: 4, 1: 3}
CONSECUTIVE = {6: 0, 5: 12, 4: 6, 3: 5, 2: 4, 1: 3}
OTHER_LOSSES = [10, 9, 8, 9, 10, 7, 10, 10, 10, 10]
OTHER_SINCE_BEST = {2: 5, 3: 9}

values = st.lists(st.floats() | st.floats(-5, 5), max_size=30)
rules = st.sampled_from(PATIENCE_RULES)


def stops_at(run: Sequence[float], patience: Patience, *, maximize: bool) -> int | None:
    """The index of the evaluation after which a run stops, None when it never does."""
    waiting = Waiting()
    for index, value in enumerate(run):
        waiting = after(waiting, value, patience, maximize=maximize)
        if waiting.used >= patience.patience:
            return index
    return None


def _step(losses: list[float], patience: int, rule: PatienceRule) -> int:
    found = stops_at(losses, Patience(patience, rule=rule), maximize=False)
    return 0 if found is None else found + 1


@pytest.mark.parametrize(("patience", "step"), SINCE_BEST.items())
def test_since_best_stops_where_the_reference_does(patience: int, step: int) -> None:
    assert _step([*LOSSES], patience, "since_best") == step


@pytest.mark.parametrize(("patience", "step"), OTHER_SINCE_BEST.items())
def test_a_new_best_gives_all_patience_back(patience: int, step: int) -> None:
    assert _step([*OTHER_LOSSES], patience, "since_best") == step


@pytest.mark.parametrize(("patience", "step"), CONSECUTIVE.items())
def test_consecutive_increases_stop_where_the_reference_does(patience: int, step: int) -> None:
    assert _step([*LOSSES], patience, "consecutive") == step


def test_a_cumulative_patience_is_never_given_back() -> None:
    # Without a new best: evaluations 4, 5 (8 stood), then 7: the third.
    assert _step([*OTHER_LOSSES], 3, "cumulative") == 7
    assert _step([*OTHER_LOSSES], 3, "since_best") == 9


def test_a_gain_of_no_more_than_min_delta_counts_as_none() -> None:
    accuracy = [0.5, 0.52, 0.54, 0.56]
    assert stops_at(accuracy, Patience(2, min_delta=0.1), maximize=True) == 2
    assert stops_at(accuracy, Patience(2, min_delta=0.01), maximize=True) is None
    # Small gains add up against the same best, they are not forgotten.
    assert stops_at(accuracy, Patience(2, min_delta=0.03), maximize=True) is None


@given(values, st.integers(1, 5), st.floats(0, 2), rules)
def test_a_metric_and_its_negative_as_a_loss_stop_together(
    run: list[float], patience: int, min_delta: float, rule: PatienceRule
) -> None:
    rising = Patience(patience, min_delta, rule)
    negative = [-value for value in run]
    assert stops_at(run, rising, maximize=True) == stops_at(negative, rising, maximize=False)


@given(values, st.integers(1, 4), rules)
def test_more_patience_never_stops_earlier(
    run: list[float], patience: int, rule: PatienceRule
) -> None:
    short = stops_at(run, Patience(patience, rule=rule), maximize=False)
    long = stops_at(run, Patience(patience + 1, rule=rule), maximize=False)
    assert long is None or (short is not None and short < long)


@given(values, st.integers(1, 4))
def test_a_patience_that_is_never_given_back_stops_first(run: list[float], patience: int) -> None:
    cumulative = stops_at(run, Patience(patience, rule="cumulative"), maximize=False)
    since_best = stops_at(run, Patience(patience, rule="since_best"), maximize=False)
    assert since_best is None or (cumulative is not None and cumulative <= since_best)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), rules)
def test_a_curve_that_always_improves_is_never_stopped(
    run: list[float], rule: PatienceRule
) -> None:
    improving = sorted(set(run), reverse=True)
    assert stops_at(improving, Patience(1, rule=rule), maximize=False) is None


@pytest.mark.parametrize("rule", PATIENCE_RULES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_use_patience_up(rule: PatienceRule, bad: float) -> None:
    assert stops_at([1.0, bad, bad, bad], Patience(3, rule=rule), maximize=False) == 3
    assert stops_at([bad, bad], Patience(2, rule=rule), maximize=True) == 1


@pytest.mark.parametrize(
    "wrong", [{"patience": 0}, {"patience": 1, "min_delta": -1.0}, {"patience": 1, "rule": "up"}]
)
def test_an_impossible_patience_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Patience(**wrong)  # type: ignore[arg-type]
