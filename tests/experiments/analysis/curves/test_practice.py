from __future__ import annotations

import numpy as np

from experiments.analysis.curves.learning_curve import Curve
from experiments.analysis.curves.practice import (
    REQUIRED,
    learning_rate_schedule,
    more_gradient_noise,
    record_complete,
    use_of_test_set,
)
from experiments.analysis.diagnosis import Status

COSINE = Curve.of(0.05 * (1 + np.cos(np.pi * np.arange(101) / 100)))


def test_a_decaying_schedule_passes() -> None:
    assert learning_rate_schedule(COSINE).status is Status.PASSED


def test_a_constant_rate_is_noticed() -> None:
    assert (
        learning_rate_schedule(Curve.of(np.ones(50))).title == "The learning rate does not decay"
    )


def test_a_rate_changed_by_hand_when_a_run_was_resumed_is_noticed() -> None:
    values = COSINE.values.copy()
    values[40:] /= 10
    found = learning_rate_schedule(Curve.of(values), resumed_at=[40])
    assert "resumed at step 40" in found.title
    assert learning_rate_schedule(Curve.of(values)).status is Status.PASSED
    assert learning_rate_schedule(COSINE, resumed_at=[40, 1000]).status is Status.PASSED


def test_an_unlogged_rate_is_not_checkable() -> None:
    assert learning_rate_schedule(Curve.of([])).status is Status.NOT_CHECKABLE


def test_more_dropout_or_a_smaller_batch_at_equal_steps_is_noticed() -> None:
    before, after = {"batch_size": 64, "dropout": 0.1}, {"batch_size": 32, "dropout": 0.3}
    found = more_gradient_noise(before, after, equal_steps=True)
    assert found.evidence["added"] == ["batch_size", "dropout"]
    assert not more_gradient_noise(before, after, equal_steps=False).fired
    assert not more_gradient_noise(after, before, equal_steps=True).fired


def test_a_record_names_what_it_lacks() -> None:
    assert record_complete(dict.fromkeys(REQUIRED, True)).status is Status.PASSED
    found = record_complete(dict.fromkeys(REQUIRED, True) | {"config_link": False})
    assert found.title == "The record lacks config link"


def test_looking_at_the_test_set_before_the_verdict_is_a_warning() -> None:
    assert use_of_test_set(2, verdict_reached=False).fired
    assert not use_of_test_set(2, verdict_reached=True).fired
    assert not use_of_test_set(0, verdict_reached=False).fired
