from __future__ import annotations

from experiments.analysis.seeds.batch_size_fairness import unfair_batch_size

SMALL = {"batch_size": 64, "learning_rate": 0.1, "dropout": 0.2}
LARGE = {"batch_size": 256, "learning_rate": 0.1, "dropout": 0.2}


def test_another_batch_size_alone_is_no_fair_comparison() -> None:
    assert unfair_batch_size(LARGE, SMALL, ()) == (
        "the batch size differs (64 to 256) and the learning rate and regularisation were not "
        "tuned again for it"
    )


def test_what_was_tuned_again_is_not_asked_for() -> None:
    assert "and regularisation was not" in unfair_batch_size(LARGE, SMALL, ["learning_rate"])
    assert unfair_batch_size(LARGE, SMALL, ["learning_rate", "dropout"]) == ""


def test_without_regularisation_the_learning_rate_is_enough() -> None:
    plain = {"batch_size": 32, "lr": 0.1}
    assert unfair_batch_size({**plain, "batch_size": 8}, plain, ["lr"]) == ""


def test_equal_or_unknown_batch_sizes_are_fair() -> None:
    assert unfair_batch_size(LARGE, {**LARGE, "dropout": 0.5}, ()) == ""
    assert unfair_batch_size({"lr": 0.1}, SMALL, ()) == ""
    assert unfair_batch_size({"batch_size": "auto"}, SMALL, ()) == ""
