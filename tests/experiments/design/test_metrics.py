from __future__ import annotations

import pytest

from experiments.design.metrics import Metric, guess, is_test


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train_loss", ("train", "loss", "minimize")),
        ("val/f1", ("validation", "metric", "maximize")),
        ("validation_accuracy", ("validation", "metric", "maximize")),
        ("valid.rmse", ("validation", "metric", "minimize")),
        ("test_accuracy", ("test", "metric", "maximize")),
        ("gradient_norm", ("", "gradient_norm", None)),
        ("train/grad_norm", ("", "gradient_norm", None)),
        ("learning_rate", ("", "learning_rate", None)),
        ("lr", ("", "learning_rate", None)),
        ("metrics/mAP50-95(B)", ("validation", "metric", "maximize")),
        ("metrics/accuracy_top1", ("validation", "metric", "maximize")),
        ("train/box_loss", ("train", "loss", "minimize")),
        ("lr/pg0", ("", "learning_rate", None)),
        ("lr-Adam", ("", "learning_rate", None)),
        ("eval_rouge1", ("validation", "metric", "maximize")),
        ("eval_cer", ("validation", "metric", "minimize")),
        ("eval_runtime", ("validation", "other", None)),
        ("foo", ("", "other", None)),
        ("accuracy_loss", ("", "other", None)),
        ("val/dice_loss", ("validation", "loss", "minimize")),
        ("train_ssim_loss", ("train", "loss", "minimize")),
        ("val/dice", ("validation", "metric", "maximize")),
    ],
)
def test_a_name_tells_split_kind_and_direction_as_far_as_it_can(
    name: str, expected: tuple[str, str, str | None]
) -> None:
    metric = guess(name)
    assert (metric.split, metric.kind, metric.direction) == expected


def test_what_is_declared_stands_over_the_name() -> None:
    declared = {"holdout": Metric("holdout", split="test"), "test_time": Metric("test_time")}
    assert is_test("holdout", declared)
    assert not is_test("test_time", declared)
    assert is_test("test_accuracy", declared)
