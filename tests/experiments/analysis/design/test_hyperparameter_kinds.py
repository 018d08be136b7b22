from __future__ import annotations

import pytest

from experiments.analysis.design.hyperparameter_kinds import (
    HyperparameterKind,
    first_of,
    kind_of,
    number_of,
)

K = HyperparameterKind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("learning_rate", K.LEARNING_RATE),
        ("lr", K.LEARNING_RATE),
        ("sgd_lr", K.LEARNING_RATE),
        ("learningRate", K.LEARNING_RATE),
        ("lr_warmup_steps", K.WARMUP),
        ("warmup_fraction", K.WARMUP),
        ("gradient_clipping", K.CLIPPING),
        ("max_grad_norm", K.CLIPPING),
        ("weight_decay", K.REGULARISER),
        ("label-smoothing", K.REGULARISER),
        ("l2", K.REGULARISER),
        ("batch_size", K.BATCH_SIZE),
        ("epochs", K.EPOCHS),
        ("max_train_steps", K.STEPS),
        ("lr_decay_steps", K.OTHER),
        ("hidden_units", K.OTHER),
        ("color", K.OTHER),
    ],
)
def test_a_name_tells_what_a_hyperparameter_is_for(name: str, kind: K) -> None:
    assert kind_of(name) is kind


def test_the_first_name_and_number_of_a_kind_are_found() -> None:
    parameters = {"lr": "auto", "sgd_lr": 0.1, "warmup_steps": True, "epochs": 60}
    assert first_of(parameters, K.LEARNING_RATE) == "lr"
    assert number_of(parameters, K.LEARNING_RATE) == 0.1
    assert number_of(parameters, K.WARMUP) is None
    assert number_of(parameters, K.STEPS, K.EPOCHS) == 60.0
