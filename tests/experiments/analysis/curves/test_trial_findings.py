from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind
from experiments.analysis.curves.trial_findings import (
    Circumstances,
    DeclaredSeries,
    diagnose_trial,
    stability,
)
from experiments.analysis.diagnosis import Diagnosis, Status
from experiments.analysis.rules import RULES

STEPS = np.arange(120)
TRAIN = 2 * np.exp(-STEPS / 25)
TURNING = 0.5 + 1.5 * np.exp(-STEPS / 8) + np.where(STEPS > 45, 0.005 * (STEPS - 45), 0)


def train_loss(values: np.ndarray = TRAIN) -> DeclaredSeries:
    return DeclaredSeries("train_loss", Curve.of(values), "train", MetricKind.LOSS)


def validation(values: np.ndarray = TURNING, **other: object) -> DeclaredSeries:
    return DeclaredSeries(
        "validation_loss",
        Curve.of(values),
        "validation",
        MetricKind.LOSS,
        official=True,
        **other,  # type: ignore[arg-type]
    )


def by_rule(found: list[Diagnosis]) -> dict[str, Diagnosis]:
    assert len({(d.rule, d.subject) for d in found}) == len(found)
    return {d.rule: d for d in found}


def test_an_overfitting_trial_is_told_with_its_button() -> None:
    found = by_rule(diagnose_trial([train_loss(), validation()]))
    assert found["overfitting"].fired
    assert found["overfitting"].action == "add_dropout"
    assert found["best_checkpoint"].fired
    assert not found["divergence"].fired


def test_ensembles_mute_overfitting_only() -> None:
    found = by_rule(diagnose_trial([train_loss(), validation()], Circumstances(ensembles=True)))
    assert "overfitting" not in found
    assert "late_oscillation" in found


def test_the_metric_decides_not_the_loss() -> None:
    accuracy = DeclaredSeries(
        "validation_accuracy",
        Curve.of(0.9 - 0.5 * np.exp(-STEPS / 30)),
        "validation",
        MetricKind.METRIC,
        Direction.MAXIMIZE,
        official=True,
    )
    loss = DeclaredSeries("validation_loss", Curve.of(TURNING), "validation", MetricKind.LOSS)
    found = by_rule(diagnose_trial([train_loss(), loss, accuracy]))
    assert not found["overfitting"].fired
    assert found["loss_metric_divergence"].fired


def test_a_run_that_never_improves_is_told_that_and_nothing_else() -> None:
    wandering = 0.55 + np.random.default_rng(0).choice([-0.002, 0, 0.002], 40)
    accuracy = DeclaredSeries(
        "validation_accuracy", Curve.of(wandering), "validation", MetricKind.METRIC,
        Direction.MAXIMIZE, official=True,
    )  # fmt: skip
    found = diagnose_trial([train_loss(TRAIN[:40]), accuracy])
    assert [d.rule for d in found if d.fired] == ["never_improves"]


def test_a_run_that_overfits_at_once_is_told_that_it_overfits() -> None:
    rising = 0.5 + 0.01 * STEPS + np.random.default_rng(0).normal(0, 0.002, STEPS.size)
    found = by_rule(diagnose_trial([train_loss(), validation(rising)]))
    assert found["overfitting"].fired
    assert not found["never_improves"].fired


def test_after_a_divergence_the_validation_curve_is_not_judged() -> None:
    broken = TRAIN.copy()
    broken[60:] = math.nan
    found = by_rule(diagnose_trial([train_loss(broken), validation()]))
    assert found["divergence"].fired
    assert found["non_finite"].fired
    assert found["overfitting"].status is Status.NOT_CHECKABLE
    assert found["still_improving"].detail == "Training diverged."


def test_a_running_trial_is_not_told_how_it_ended() -> None:
    found = by_rule(diagnose_trial([train_loss(), validation()], Circumstances(finished=False)))
    assert found["still_improving"].status is Status.NOT_CHECKABLE
    assert found["overfitting"].fired


def test_a_pruned_trial_is_not_called_still_improving() -> None:
    found = by_rule(diagnose_trial([train_loss(), validation(TRAIN)], Circumstances(pruned=True)))
    assert found["still_improving"].status is Status.NOT_CHECKABLE


def test_an_undeclared_series_is_not_judged() -> None:
    foo = DeclaredSeries("foo", Curve.of(TURNING))
    assert [d.rule for d in diagnose_trial([foo])] == ["non_finite"]


def test_a_test_series_is_never_read() -> None:
    sealed = DeclaredSeries(
        "test_loss", Curve.of([math.nan] * 20), "test", MetricKind.LOSS, official=True
    )
    assert diagnose_trial([sealed]) == []
    assert not any(d.fired for d in diagnose_trial([sealed, train_loss()]))


def test_gradient_norms_and_rates_are_read_where_they_are_logged() -> None:
    norms = DeclaredSeries("grad_norm", Curve.of(np.ones(120)), kind=MetricKind.GRADIENT_NORM)
    rate = DeclaredSeries("lr", Curve.of(np.ones(120)), kind=MetricKind.LEARNING_RATE)
    about = Circumstances(clip_norm=0.5, step_seconds=np.ones(120))
    found = by_rule(diagnose_trial([train_loss(), validation(), norms, rate], about))
    assert found["clipped_updates"].fired
    assert found["learning_rate_schedule"].fired
    assert found["still_improving"].evidence["learning_rate_undecayed"] is True
    assert found["input_bound"].status is Status.PASSED


def test_without_a_training_loss_the_official_metric_tells_divergence() -> None:
    values = np.r_[TRAIN[:60], [math.inf] * 10]
    found = by_rule(diagnose_trial([validation(values)]))
    assert found["divergence"].fired


def test_without_a_training_loss_a_slow_rise_above_the_start_is_overfitting() -> None:
    steps = np.arange(100)
    values = 2 - 0.3 * np.minimum(steps, 10) / 10 + np.maximum(steps - 10, 0) * 0.1
    loss = DeclaredSeries(
        "validation_loss", Curve.of(values), "validation", MetricKind.LOSS, official=True
    )
    found = by_rule(diagnose_trial([loss]))
    assert found["divergence"].status is Status.PASSED
    assert found["overfitting"].fired


def test_without_a_training_loss_a_jump_above_the_start_is_a_divergence() -> None:
    values = np.r_[TRAIN[:50], TRAIN[0] + 5 + np.arange(50) / 50]
    loss = DeclaredSeries(
        "validation_loss", Curve.of(values), "validation", MetricKind.LOSS, official=True
    )
    found = by_rule(diagnose_trial([loss]))
    assert found["divergence"].fired
    assert not found["overfitting"].fired


def test_a_running_trial_tells_divergence_at_its_second_value() -> None:
    loss = train_loss(np.array([2.0, math.nan]))
    found = stability([loss], planned_steps=1000)
    assert {d.rule for d in found if d.fired} == {"divergence", "non_finite"}
    assert not any(d.fired for d in stability([train_loss()]))


def test_every_rule_named_is_in_the_catalogue() -> None:
    found = diagnose_trial([train_loss(), validation()])
    assert {d.rule for d in found} <= RULES.keys()


series = st.builds(
    DeclaredSeries,
    name=st.sampled_from(["a", "b"]),
    curve=st.lists(st.floats(), max_size=30).map(Curve.of),
    split=st.sampled_from(["train", "validation", "test", ""]),
    kind=st.sampled_from(list(MetricKind)),
    direction=st.sampled_from(list(Direction)),
    resolution=st.floats(0, 1),
    official=st.booleans(),
)


@given(st.lists(series, max_size=4), st.booleans(), st.booleans())
@settings(max_examples=60)
def test_no_trial_breaks_the_rules(
    logged: list[DeclaredSeries], finished: bool, pruned: bool
) -> None:
    about = Circumstances(finished=finished, pruned=pruned, trial_sd=0.1, planned_steps=10)
    for diagnosis in diagnose_trial(logged, about):
        json.dumps(dict(diagnosis.evidence), allow_nan=False)
        assert len(diagnosis.title) < 600
