from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Severity, Status
from experiments.analysis.space.repeats import (
    deviation_of_repeats,
    repeated_configurations,
    tied_scores,
)


def test_trials_that_all_score_the_same_have_a_metric_that_does_not_move() -> None:
    found = tied_scores(np.full(24, 0.5), Direction.MAXIMIZE)
    assert found.fired
    assert found.severity is Severity.WARNING
    assert (found.title, found.detail) == (
        "The metric does not move",
        "All 24 trials score 0.5.",
    )


def test_half_of_the_trials_at_the_best_score_tie() -> None:
    scores = np.r_[np.ones(6), np.linspace(0.2, 0.9, 6)]
    found = tied_scores(scores, Direction.MAXIMIZE)
    assert found.severity is Severity.NOTICE
    assert found.detail == "6 of 12 trials share the best score, 1."
    assert tied_scores(scores, Direction.MINIMIZE).status is Status.PASSED


def test_repeated_configurations_are_named_and_counted_once() -> None:
    found = repeated_configurations([["A3", "A17"], ["A5", "A9", "A11"]], 24)
    assert found.title == "24 trials tried only 21 configurations"
    assert found.detail == "The same: A3 and A17; A5 and A9 and A11."
    assert repeated_configurations([], 24).status is Status.PASSED


def test_repeats_tell_how_far_seeds_vary() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(place, 0.1, 4) for place in range(50)]
    assert deviation_of_repeats(groups) == pytest.approx(0.1, rel=0.1)


def test_the_same_seed_tells_nothing_of_seeds() -> None:
    assert deviation_of_repeats([np.ones(5)]) is None
    assert deviation_of_repeats([np.array([1.0, 2.0])]) is None


@given(st.lists(st.floats(), max_size=40), st.sampled_from(list(Direction)))
def test_no_scores_break_the_rule(values: list[float], direction: Direction) -> None:
    found = tied_scores(np.array(values, dtype=np.float64), direction)
    assert found.status in Status
    assert not any(isinstance(v, float) and math.isnan(v) for v in found.evidence.values())
