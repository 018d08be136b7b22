from __future__ import annotations

from typing import Any

import pytest

from experiments.design.document import experiment_file, presets
from experiments.design.space.search_space import Choices, Range
from experiments.design.yaml_editing.file_edits import edited
from experiments.design.yaml_editing.yaml_editing import load
from experiments.errors import NotFound

FILE = """\
project: digits
experiment: smooth
goal: Does it help?
objective: workers.problems.digits:train
search: {{sampler: halton, trials: {trials}}}
hyperparameters:
  layers: {{role: scientific, choices: [1, 2]}}   # the question
"""


def used(name: str, trials: int = 24, text: str = FILE) -> experiment_file.ExperimentFile:
    return experiment_file.parse(
        edited(text.format(trials=trials), {"do": "preset", "name": name})
    )


@pytest.mark.parametrize("preset", presets.all_presets(), ids=lambda known: known.name)
@pytest.mark.parametrize("trials", [5, 24, 100])
def test_every_preset_makes_a_file_that_can_run(preset: presets.Preset, trials: int) -> None:
    file = used(preset.name, trials)
    assert set(preset.space) <= {
        hyperparameter.name for hyperparameter in file.space.hyperparameters
    }
    assert preset.source and preset.note and preset.title


def test_the_text_list_has_an_arm_for_each_optimizer_with_its_own_epochs() -> None:
    file = used("text-classification")
    assert [(arm.values["optimizer"], arm.fixed["epochs"]) for arm in file.arms()] == [
        ("adam", 100),
        ("bert_adam", 3),
    ]
    assert file.space["learning_rate"].domain == Range(1e-5, 1e-2, log=True)
    assert file.space["dropout"].domain == Range(0.0, 0.3)
    assert file.space["layers"].domain == Range(1, 3, integer=True)
    assert file.space["hidden_units"].domain == Choices((256, 512, 1024, 2048), ordered=True)
    assert file.early_stopping is not None
    assert "layers: {role: scientific" not in edited(
        FILE.format(trials=24), {"do": "preset", "name": "text-classification"}
    ), "a list takes the place of the rows"


def test_the_vision_list_goes_from_small_to_large_backbones() -> None:
    file = used("vision")
    assert len(file.arms()) == 4
    assert file.space["learning_rate"].domain == Range(1e-6, 1e-1, log=True)
    assert file.space["momentum"].domain == Range(0.85, 0.98)
    assert file.space["weight_decay"].domain == Range(1e-6, 1e-2, log=True)
    batch = file.space["batch_size"].domain
    assert isinstance(batch, Choices) and (batch.values[0], batch.values[-1]) == (8, 512)
    backbone = file.space["backbone"].domain
    assert isinstance(backbone, Choices) and backbone.ordered


@pytest.mark.parametrize(
    ("trials", "tuned"),
    [
        (9, {"learning_rate"}),
        (10, {"learning_rate", "beta1"}),
        (24, {"learning_rate", "beta1"}),
        (25, {"learning_rate", "beta1", "epsilon"}),
        (49, {"learning_rate", "beta1", "epsilon"}),
        (50, {"learning_rate", "beta1", "epsilon", "beta2"}),
    ],
)
def test_adam_is_tuned_as_far_as_the_budget_goes(trials: int, tuned: set[str]) -> None:
    file = used("adam", trials)
    assert {hyperparameter.name for hyperparameter in file.space.of_role("nuisance")} == tuned
    assert file.space["layers"].role == "scientific", "what was there stays"
    values = file.arms()[0].fixed
    usual: dict[str, Any] = {"beta1": 0.9, "epsilon": 1e-8, "beta2": 0.999}
    assert values == {"optimizer": "adam"} | {k: v for k, v in usual.items() if k not in tuned}


def test_a_budget_preset_keeps_comments_and_follows_a_changed_budget() -> None:
    small = edited(FILE.format(trials=5), {"do": "preset", "name": "sgd"})
    assert "# the question" in small
    assert load(small)["hyperparameters"]["momentum"] == {"role": "fixed", "value": 0.9}
    large = small.replace("trials: 5", "trials: 30")
    again = load(edited(large, {"do": "preset", "name": "sgd"}))["hyperparameters"]
    assert again["momentum"]["role"] == again["weight_decay"]["role"] == "nuisance"


def test_where_optimizers_are_compared_each_keeps_its_own_hyperparameters() -> None:
    text = FILE + "  optimizer: {{role: scientific, choices: [adam, sgd]}}\n"
    file = used("sgd", text=edited(text.format(trials=24), {"do": "preset", "name": "adam"})
                .replace("{", "{{").replace("}", "}}"))  # fmt: skip
    names = {
        arm.values["optimizer"]: {"beta1", "momentum"} & set(arm.distributions())
        for arm in file.arms()
    }
    assert names == {"adam": {"beta1"}, "sgd": {"momentum"}}


def test_a_preset_that_there_is_not_is_said() -> None:
    with pytest.raises(NotFound):
        presets.find("nothing")
