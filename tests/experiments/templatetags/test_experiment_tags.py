from __future__ import annotations

from experiments.design.document import experiment_file
from experiments.templatetags import experiment_tags as words
from tests.cast import LABEL_SMOOTHING


def space() -> dict[str, object]:
    file = experiment_file.parse(LABEL_SMOOTHING.format(name="x", goal="y", trials=3))
    return {hyperparameter.name: hyperparameter for hyperparameter in file.space.hyperparameters}


def test_ranges_choices_and_fixed_values_are_said_in_words() -> None:
    said = {name: words.domain_words(hyperparameter) for name, hyperparameter in space().items()}  # type: ignore[arg-type]
    assert said["learning_rate"] == "0.0001 to 0.1"
    assert said["hidden_units"] == "32, 64, 128, 256, 512"
    assert said["optimizer"] == "adam"


def test_a_natural_limit_is_said() -> None:
    assert words.scale_words(space()["dropout"]) == "linear, cannot go lower"  # type: ignore[arg-type]


def test_a_link_to_a_file_at_a_commit_is_said_by_both() -> None:
    link = "https://git.example.org/team/digits/blob/4f1c2e9/label-smoothing.yaml"
    assert words.link_words(link) == "label-smoothing.yaml @ 4f1c2e9"
    assert words.link_words("https://example.org/a/b.yaml") == "b.yaml"
    assert words.link_words("https://example.org") == "https://example.org"


def test_a_headline_is_not_said_twice() -> None:
    assert words.verdict_words("The evidence says adopt: x is better.") == "X is better."
    said = words.verdict_words("On this split, the evidence says reject: x is worse.")
    assert said == "On this split, x is worse."
    assert words.verdict_words("On this split, adopt: x 2 higher.") == "On this split, x 2 higher."


def test_the_name_of_a_metric_keeps_its_spelling_at_the_head_of_a_sentence() -> None:
    sentence = "The evidence says adopt: validation_accuracy is better."
    assert words.verdict_words(sentence) == "validation_accuracy is better."
