from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.gradients import (
    clip_threshold,
    clipped_share,
    clipped_updates,
    find_spikes,
    gradient_spikes,
)
from experiments.analysis.curves.learning_curve import Curve
from experiments.analysis.diagnosis import Status

NORMS = np.exp(np.random.default_rng(0).normal(0, 0.2, 1000))


def spiky(every: int) -> Curve:
    norms = NORMS.copy()
    norms[200::every] *= 100
    return Curve.of(norms)


def test_frequent_spikes_are_seen_by_their_rate() -> None:
    diagnosis = gradient_spikes(spiky(50))
    assert diagnosis.fired
    assert diagnosis.evidence["spikes"] == 16
    assert diagnosis.evidence["steps"][0] == 200  # type: ignore[index]


def test_a_single_spike_is_healthy() -> None:
    assert gradient_spikes(spiky(2000)).status is Status.PASSED


def test_ordinary_norms_have_no_spikes() -> None:
    assert find_spikes(Curve.of(NORMS)).positions.size == 0


def test_a_slow_drift_is_not_a_spike() -> None:
    assert find_spikes(Curve.of(np.geomspace(1, 1000, 1000))).positions.size == 0


def test_spikes_that_training_loss_shares_are_counted() -> None:
    loss = np.linspace(2, 1, 1000) + np.random.default_rng(1).normal(0, 0.01, 1000)
    loss[200::100] += 5
    diagnosis = gradient_spikes(spiky(50), Curve.of(loss))
    assert diagnosis.evidence["with_loss_spike"] == 8


def test_norms_that_are_no_numbers_are_counted_apart() -> None:
    norms = NORMS.copy()
    norms[::100] = math.inf
    spikes = find_spikes(Curve.of(norms))
    assert (spikes.positions.size, spikes.non_finite) == (0, 10)


def test_a_hundred_norms_are_needed() -> None:
    assert gradient_spikes(Curve.of(NORMS[:99])).status is Status.NOT_CHECKABLE


def test_the_clip_threshold_is_the_ninetieth_percentile_after_warm_up() -> None:
    norms = Curve.of(np.r_[np.full(100, 50.0), np.arange(1, 101)])
    assert clip_threshold(norms, warmup_steps=100) == pytest.approx(90.1)
    assert clip_threshold(Curve.of([math.nan])) is None


def test_infinite_norms_are_clipped_but_not_used_for_the_threshold() -> None:
    norms = Curve.of([1.0, 1.0, math.inf, math.nan])
    assert clip_threshold(norms) == 1.0
    assert clipped_share(norms, 2.0) == pytest.approx(1 / 3)


def test_clipping_more_than_half_of_the_updates_is_too_much() -> None:
    diagnosis = clipped_updates(Curve.of(NORMS), 0.5)
    assert diagnosis.fired
    assert diagnosis.action == "lower_learning_rate"
    assert clipped_updates(Curve.of(NORMS), 2.0).status is Status.PASSED


def test_without_norms_or_threshold_clipping_is_not_checkable() -> None:
    assert clipped_updates(Curve.of([]), 1.0).status is Status.NOT_CHECKABLE
    assert clipped_updates(Curve.of(NORMS), 0.0).status is Status.NOT_CHECKABLE


@given(st.floats(1e-6, 1e6))
def test_the_scale_of_the_norms_does_not_matter(scale: float) -> None:
    curve = spiky(50)
    assert gradient_spikes(Curve(curve.steps, scale * curve.values)).evidence["spikes"] == 16


@given(st.lists(st.floats(), min_size=0, max_size=150))
def test_no_norms_break_the_rules(values: list[float]) -> None:
    curve = Curve.of(values)
    assert gradient_spikes(curve, curve).status in Status
    assert clipped_updates(curve, 1.0).status in Status
