from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.design.document import experiment_file, experiment_yaml
from experiments.design.follow_ups.experiment_changes import (
    Change,
    as_file,
    differences,
    with_changes,
)
from experiments.errors import InvalidExperiment, Problem
from tests import cast

SOURCE = cast.LABEL_SMOOTHING.format(name="smooth", goal="Does it help?", trials=4)


def changed(*changes: Change) -> str:
    return with_changes(SOURCE, changes, name="smooth-2", extends="smooth")


def told(*changes: Change) -> list[str]:
    older, newer = (experiment_file.parse(text) for text in (SOURCE, changed(*changes)))
    return [str(difference) for difference in differences(older, newer)]


def test_a_clone_keeps_everything_but_its_name() -> None:
    before, after = (
        yaml.safe_load(SOURCE),
        yaml.safe_load(with_changes(SOURCE, (), name="smooth-2")),
    )
    assert after.pop("experiment") == "smooth-2"
    before.pop("experiment")
    assert after == before


def test_an_extension_says_what_it_extends() -> None:
    file = experiment_file.parse(changed())
    assert (file.name, file.extends) == ("smooth-2", "smooth")


def test_every_difference_is_told_old_to_new() -> None:
    assert told(
        Change(("hyperparameters", "learning_rate", "high"), 1.0),
        Change(("hyperparameters", "dropout")),
        Change(("hyperparameters", "momentum"), {"role": "nuisance", "low": 0.8, "high": 0.9}),
        Change(("search", "sampler"), "tpe"),
    ) == [
        "learning_rate: 0.0001 to 0.1, log, nuisance → 0.0001 to 1, log, nuisance",
        "dropout: left out, was 0 to 0.5, nuisance",
        "momentum: new, 0.8 to 0.9, nuisance",
        "sampler: halton → tpe",
    ]


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [("high", 1.0, "wider"), ("high", 0.01, "narrower"), ("log", False, "changed")],
)
def test_a_difference_says_whether_the_range_grew(key: str, value: object, kind: str) -> None:
    text = changed(Change(("hyperparameters", "learning_rate", key), value))
    (found,) = differences(experiment_file.parse(SOURCE), experiment_file.parse(text))
    assert found.kind == kind


def test_the_same_file_has_no_differences() -> None:
    assert told() == []


def test_known_good_configurations_outside_the_new_space_are_left_out() -> None:
    first = {"learning_rate": 0.05, "dropout": 0.1, "hidden_units": 64}
    source = SOURCE + yaml.safe_dump({"first": [first]})
    narrower = Change(("hyperparameters", "learning_rate", "high"), 0.01)
    file = experiment_file.parse(with_changes(source, [narrower], name="n", extends="smooth"))
    assert file.first == ()
    kept = experiment_file.parse(with_changes(source, [], name="n", extends="smooth"))
    assert kept.first == (first,)


def test_a_change_that_leads_nowhere_names_its_key() -> None:
    with pytest.raises(InvalidExperiment) as raised:
        changed(Change(("goal", "deeper"), 1))
    assert raised.value.problems[0].where == "goal.deeper"


COMMENTED = """\
# Why we ask
project: digits   # ours
experiment: smooth
goal: Does it help?
objective: workers.problems.digits:train
search: {sampler: halton, trials: 4}   # of each arm
hyperparameters:
  # found last week
  learning_rate:   {role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}   # wide

  optimizer:       {role: fixed, value: adam}
"""


def test_comments_and_wording_survive_a_follow_up() -> None:
    changes = [
        Change(("hyperparameters", "learning_rate", "high"), 1.0),
        Change(("hyperparameters", "momentum"), {"role": "nuisance", "low": 0.8, "high": 0.9}),
    ]
    assert with_changes(COMMENTED, changes, name="wider", extends="smooth") == (
        COMMENTED.replace("experiment: smooth\n", "experiment: wider\nextends: smooth\n")
        .replace("high: 1.0e-1", "high: 1.0")
        .replace("adam}\n", "adam}\n  momentum: {role: nuisance, low: 0.8, high: 0.9}\n")
    )


def test_yaml_that_cannot_be_edited_is_written_anew() -> None:
    source = COMMENTED.replace("  optimizer:       {", "  ? optimizer\n  : {")
    document = yaml.safe_load(source)
    text = with_changes(source, [Change(("goal",), "Why?")], name="again")
    assert yaml.safe_load(text) == {**document, "experiment": "again", "goal": "Why?"}


PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
)
TREES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
FILES = st.dictionaries(st.text(max_size=6), TREES, max_size=4)


@settings(max_examples=60)
@given(FILES, FILES, st.sampled_from((True, False, None)))
def test_any_file_can_be_edited_to_say_anything(
    before: dict[str, object], after: dict[str, object], style: bool | None
) -> None:
    text = yaml.safe_dump(before, default_flow_style=style, sort_keys=False, allow_unicode=True)
    problems: list[Problem] = []
    assert repr(experiment_yaml.load(as_file(text, after), problems)) == repr(after)


@pytest.mark.parametrize("source", ["", "- 1", "a: ["])
def test_what_is_no_file_is_refused(source: str) -> None:
    with pytest.raises(InvalidExperiment):
        with_changes(source, (), name="n")
