from __future__ import annotations

from experiments.design.metrics import Metric
from experiments.trials.panels.metric_groups import first_group, metric_groups

NAMES = ["train_loss", "validation_loss", "validation_accuracy", "learning_rate", "grad_norm"]


def test_training_and_validation_of_one_thing_are_a_group() -> None:
    found = metric_groups(NAMES, {}, "validation_accuracy")
    assert found["loss"].members == ("validation_loss", "train_loss")
    assert found["loss"].train == {"train_loss"}
    assert next(iter(found)) == "accuracy", "what is judged stands first"


def test_the_first_chart_is_the_official_metrics() -> None:
    chosen = first_group(metric_groups(NAMES, {}, "validation_accuracy"))
    assert chosen is not None and chosen.key == "accuracy"


def test_before_the_official_metric_training_stands_beside_validation() -> None:
    chosen = first_group(metric_groups(["grad_norm", "train_loss", "val_loss"], {}, "accuracy"))
    assert chosen is not None and chosen.key == "loss"


def test_machine_metrics_are_never_the_first_chart() -> None:
    assert first_group(metric_groups(["system/cpu_percent"], {}, "accuracy")) is None
    found = metric_groups(["system/cpu_percent", "zeta"], {}, "accuracy")
    chosen = first_group(found)
    assert chosen is not None and chosen.key == "zeta" and list(found)[-1] == "system/cpu_percent"
    assert first_group(found, "system/cpu_percent") is found["system/cpu_percent"]


def test_the_official_metric_comes_first_when_it_has_a_training_side() -> None:
    chosen = first_group(metric_groups([*NAMES, "train_accuracy"], {}, "validation_accuracy"))
    assert chosen is not None and chosen.key == "accuracy"


def test_slashes_and_short_words_work_as_well() -> None:
    found = metric_groups(["train/f1", "val/f1"], {}, "val/f1")
    assert found["f1"].members == ("val/f1", "train/f1")


def test_names_that_share_a_group_are_told_apart_within_their_split() -> None:
    (found,) = metric_groups(["loss", "val/loss", "Loss", "train/loss"], {}, "acc").values()
    assert set(found.members) == {"loss", "val/loss", "Loss", "train/loss"}
    apart = [found.apart(name) for name in found.members]
    assert len(set(apart)) == 4
    assert found.apart("train/loss") == (0, ""), "the one dotted line needs no name"
    assert [found.apart(name)[1] for name in ("loss", "val/loss", "Loss")] == [
        "loss", "val/loss", "Loss",
    ]  # fmt: skip


def test_two_that_differ_by_their_split_need_no_names() -> None:
    (found,) = metric_groups(["train_loss", "validation_loss"], {}, "acc").values()
    assert [found.apart(name) for name in found.members] == [(0, ""), (0, "")]


def test_a_declared_split_stands_over_the_name() -> None:
    declared = {"score_a": Metric("score_a", "train"), "score_b": Metric("score_b", "validation")}
    found = metric_groups(["score_a", "score_b"], declared, "score_b")
    assert found["score_a"].train == {"score_a"} and not found["score_b"].train


def test_undeclared_names_are_groups_of_their_own() -> None:
    found = metric_groups(["foo", "validation"], {}, "bar")
    assert set(found) == {"foo", "validation"}
    assert first_group({}) is None
