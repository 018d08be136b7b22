from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from experiments.design.document import experiment_file
from experiments.design.yaml_editing.file_edits import CannotEdit, edited, head_of
from experiments.design.yaml_editing.space_rows import Row, rows_of, space_of
from experiments.design.yaml_editing.yaml_editing import compose, flow, load
from experiments.errors import InvalidExperiment

FILE = """\
# What we ask
project: digits
experiment: smooth   # a short name
goal: >
  Does it help,
  after all?
search: {sampler: halton, trials: 24}  # of each arm
hyperparameters:
  # the question
  label_smoothing: {role: scientific, choices: [0.0, 0.1]}   # two arms

  # Everything below is retuned.

  learning_rate:   {role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}
  dropout:
    # dropout of every layer
    role: nuisance
    low: 0.0      # nothing
    high: 0.5
    natural: [low]
    colour: red
  optimizer: {role: fixed,   # for now
              value: "adam"}
# the end
first: []
"""


def rows(text: str) -> dict[str, Row]:
    return {row.name: row for row in rows_of(text, space_of(compose(text)))}


def changed_lines(before: str, after: str) -> list[str]:
    """Lines of `after` that `before` has not."""
    old = before.splitlines()
    return [line for line in after.splitlines() if line not in old]


def test_rows_show_the_file_in_its_own_words() -> None:
    found = rows(FILE)
    assert list(found) == ["label_smoothing", "learning_rate", "dropout", "optimizer"]
    assert found["learning_rate"].low == "1.0e-4" and found["learning_rate"].scale == "log"
    assert found["label_smoothing"].choices == "0.0, 0.1"
    assert found["dropout"].natural_low and not found["dropout"].natural_high
    assert found["optimizer"].value == '"adam"'
    head = head_of(compose(FILE))
    assert (head["experiment"], head["goal"]) == ("smooth", "Does it help, after all?\n")
    assert head["trials"] == "24"


def test_a_cell_changes_its_own_characters_only() -> None:
    after = edited(FILE, {"do": "set", "was": "learning_rate", "cells": {"low": "1e-6"}})
    assert after == FILE.replace("low: 1.0e-4", "low: 1e-6")
    after = edited(FILE, {"do": "set", "was": "dropout", "cells": {"high": ".4"}})
    assert after == FILE.replace("high: 0.5", "high: .4")


def test_a_key_that_no_cell_shows_stays() -> None:
    after = edited(FILE, {"do": "set", "was": "dropout", "cells": {"kind": "choices"}})
    assert load(after)["hyperparameters"]["dropout"] == {
        "role": "nuisance",
        "colour": "red",
        "choices": [0.0, 0.5],
    }
    assert "# dropout of every layer" in after


def test_a_comment_inside_what_is_rewritten_goes_above_it() -> None:
    after = edited(FILE, {"do": "set", "was": "optimizer", "cells": {"when": "layers: 1"}})
    assert (
        "  # for now\n"
        '  optimizer: {role: fixed, value: "adam", when: {layers: 1}}\n'
        "# the end\n" in after
    )


def test_a_row_moves_and_goes_with_its_comments() -> None:
    after = edited(FILE, {"do": "move", "was": "label_smoothing", "by": 1})
    assert list(rows(after)) == ["learning_rate", "label_smoothing", "dropout", "optimizer"]
    assert "  # the question\n  label_smoothing: " in after and "]}   # two arms\n" in after
    assert sorted(after.splitlines()) == sorted(FILE.splitlines())
    assert edited(after, {"do": "move", "was": "label_smoothing", "by": -1}) == FILE
    gone = edited(FILE, {"do": "remove", "was": "label_smoothing"})
    assert "the question" not in gone and "# Everything below is retuned." in gone


def test_the_first_row_does_not_move_up() -> None:
    assert edited(FILE, {"do": "move", "was": "label_smoothing", "by": -1}) == FILE


def test_a_new_row_stands_last_and_gets_a_free_name() -> None:
    twice = edited(edited(FILE, {"do": "add"}), {"do": "add"})
    assert list(rows(twice))[-2:] == ["new_1", "new_2"]
    assert changed_lines(FILE, twice) == ["  new_1: {role: nuisance}", "  new_2: {role: nuisance}"]


@pytest.mark.parametrize(
    "text", ["", "project: a\n", "hyperparameters:\n", "hyperparameters: {}\n"]
)
def test_the_first_row_of_a_file_makes_its_part(text: str) -> None:
    assert list(rows(edited(text, {"do": "add"}))) == ["new_1"]


def test_the_last_row_can_go() -> None:
    text = "hyperparameters:\n  a: {role: fixed, value: 1}\nfolds: 3\n"
    after = edited(text, {"do": "remove", "was": "a"})
    assert load(after) == {"hyperparameters": {}, "folds": 3}


def test_a_json_file_stays_on_its_line() -> None:
    text = json.dumps(load(FILE))
    after = edited(text, {"do": "set", "was": '"dropout"', "cells": {"step": "0.1"}})
    assert load(after)["hyperparameters"]["dropout"]["step"] == 0.1
    assert "\n" not in edited(after, {"do": "preset", "name": "vision"})


def test_a_name_that_yaml_would_misread_is_quoted() -> None:
    for name in ("yes", "1e-4", "a: b", "größe", "#", " ", "null", "é\u2028", "{x}", "2024-06-01"):
        after = edited(FILE, {"do": "set", "was": "dropout", "cells": {"name": name}})
        assert list(load(after)["hyperparameters"]) == [
            "label_smoothing",
            "learning_rate",
            name,
            "optimizer",
        ]


def test_a_name_that_stands_there_already_is_refused() -> None:
    with pytest.raises(CannotEdit, match="exists already"):
        edited(FILE, {"do": "set", "was": "dropout", "cells": {"name": "optimizer"}})


@pytest.mark.parametrize(
    "typed", ["1e-", "[", "a, b", "'", "{x", "a # b", "- 1", ": ", "&a", "!!int 3"]
)
def test_what_is_no_value_is_kept_as_written_and_told_by_the_parser(typed: str) -> None:
    after = edited(FILE, {"do": "set", "was": "learning_rate", "cells": {"low": typed}})
    assert load(after)["hyperparameters"]["learning_rate"]["low"] == typed.strip()
    with pytest.raises(InvalidExperiment) as told:
        experiment_file.parse(after)
    assert "hyperparameters.learning_rate.low" in [
        problem.where for problem in told.value.problems
    ]


def test_choices_and_conditions_are_written_without_their_brackets() -> None:
    cells = {"choices": "[16, a, 'b, c'", "when": "optimizer: [sgd, adam]"}
    after = edited(FILE, {"do": "set", "was": "label_smoothing", "cells": cells})
    row = rows(after)["label_smoothing"]
    assert row.choices == "[16, a, 'b, c'", "not a list yet, so kept as it was written"
    assert row.when == "optimizer: [sgd, adam]"
    whole = edited(after, {"do": "set", "was": row.was, "cells": {"choices": "16, a, 'b, c'"}})
    assert load(whole)["hyperparameters"]["label_smoothing"]["choices"] == [16, "a", "b, c"]


def test_a_value_can_differ_by_arm() -> None:
    cells = {"value": "by: label_smoothing, 0.0: a, 0.1: b"}
    after = edited(FILE, {"do": "set", "was": "optimizer", "cells": cells})
    assert load(after)["hyperparameters"]["optimizer"]["value"]["by"] == "label_smoothing"


def test_a_role_takes_along_what_it_can() -> None:
    fixed = edited(FILE, {"do": "set", "was": "learning_rate", "cells": {"role": "fixed"}})
    assert load(fixed)["hyperparameters"]["learning_rate"] == {"role": "fixed", "value": 1e-4}
    back = edited(fixed, {"do": "set", "was": "learning_rate", "cells": {"role": "nuisance"}})
    assert load(back)["hyperparameters"]["learning_rate"] == {"role": "nuisance", "low": 1e-4}
    varied = edited(FILE, {"do": "set", "was": "optimizer", "cells": {"role": "scientific"}})
    assert load(varied)["hyperparameters"]["optimizer"]["choices"] == ["adam"]


def test_the_cells_above_the_rows_are_keys_of_the_file() -> None:
    after = edited(FILE, {"do": "head", "key": "goal", "value": "Is it: better? # yes"})
    assert load(after)["goal"] == "Is it: better? # yes"
    after = edited(after, {"do": "head", "key": "trials", "value": "30"})
    assert "search: {sampler: halton, trials: 30}  # of each arm" in after
    after = edited("experiment: a\n", {"do": "head", "key": "trials", "value": "8"})
    assert load(after) == {"experiment": "a", "search": {"trials": 8}}


@pytest.mark.parametrize(
    "edit",
    [
        {"do": "explode"},
        {"do": "set", "was": "dropout"},
        {"do": "set", "was": "dropout", "cells": {"colour": "red"}},
        {"do": "set", "was": "dropout", "cells": {"low": 3}},
        {"do": "set", "was": "dropout", "cells": {"ordered": "yes"}},
        {"do": "move", "was": "dropout", "by": 7},
        {"do": "head", "key": "project", "value": "x"},
        {"do": ["set"]},
    ],
)
def test_an_edit_that_there_is_not_is_refused(edit: dict[str, Any]) -> None:
    with pytest.raises(InvalidExperiment):
        edited(FILE, edit)


@pytest.mark.parametrize("text", ["a: [", "- 1", "a: &x 1\nb: *x\n", "just words"])
def test_what_is_no_mapping_cannot_be_edited_by_rows(text: str) -> None:
    with pytest.raises(CannotEdit, match="cannot be read"):
        edited(text, {"do": "add"})


def test_a_file_in_which_a_key_stands_twice_is_mended_before_rows_change_it() -> None:
    text = "hyperparameters:\n  a: {role: fixed, value: 1}\n  a: {role: fixed, value: 2}\n"
    for do in ({"do": "set", "was": "a", "cells": {"value": "3"}}, {"do": "add"}):
        with pytest.raises(CannotEdit) as refused:
            edited(text, do)
        assert "'a' appears twice" in str(refused.value.problems[0])


def test_a_row_that_is_gone_is_said() -> None:
    with pytest.raises(CannotEdit, match="no longer"):
        edited(FILE, {"do": "remove", "was": "gone"})


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(max_size=12),
)
ENTRIES = st.dictionaries(
    st.sampled_from(("role", "low", "high", "log", "choices", "value", "when", "natural", "x")),
    st.one_of(
        SCALARS,
        st.lists(SCALARS, max_size=3),
        st.dictionaries(st.text(max_size=5), SCALARS, max_size=2),
    ),
    max_size=5,
)
SPACES = st.dictionaries(st.text(max_size=10), st.one_of(ENTRIES, SCALARS), min_size=1, max_size=4)
CELLS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(("scientific", "nuisance", "fixed")),
        "kind": st.sampled_from(("range", "choices", "value")),
        "low": st.text(max_size=8),
        "choices": st.text(max_size=8),
        "value": st.text(max_size=8),
        "when": st.text(max_size=8),
        "natural_low": st.booleans(),
        "ordered": st.booleans(),
    },
)
STYLES = st.sampled_from((True, False, None))


def _dumped(space: Any, style: bool | None) -> str:
    document = {"project": "p", "hyperparameters": space, "folds": 3}
    return yaml.safe_dump(document, default_flow_style=style, sort_keys=False, allow_unicode=True)


@settings(max_examples=50)
@given(SPACES, CELLS, STYLES, st.data())
def test_any_edit_changes_its_row_and_nothing_else(
    space: dict[str, Any], cells: dict[str, Any], style: bool | None, data: st.DataObject
) -> None:
    text = _dumped(space, style)
    before = load(text)
    assume("\n  ? " not in text)  # see below
    assume(
        before is not None
    )  # YAML 1.1 writes some texts that are numbers or twice the same here
    names = list(before["hyperparameters"])
    found = rows_of(text, space_of(compose(text)))
    assert [load(f"[{row.was}]") for row in found] == [[name] for name in names]
    place = data.draw(st.integers(0, len(names) - 1))
    after = load(edited(text, {"do": "set", "was": found[place].was, "cells": cells}))
    assert list(after["hyperparameters"]) == names
    for name in names[:place] + names[place + 1 :]:
        assert repr(after["hyperparameters"][name]) == repr(before["hyperparameters"][name])
    gone = load(edited(text, {"do": "remove", "was": found[place].was}))
    assert list(gone["hyperparameters"]) == names[:place] + names[place + 1 :]
    assert gone["folds"] == before["folds"]


def test_yaml_that_rows_cannot_change_is_refused_and_not_broken() -> None:
    text = "hyperparameters:\n  ? dropout\n  : low: 1\n"
    with pytest.raises(CannotEdit, match="change it there"):
        edited(text, {"do": "set", "was": "dropout", "cells": {"role": "fixed"}})


@settings(max_examples=50)
@given(st.floats(allow_nan=False) | st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_what_a_cell_shows_is_what_it_writes(value: Any, name: str) -> None:
    text = "hyperparameters: " + flow({name: {"role": "fixed", "value": value}})
    assert load(text) == {"hyperparameters": {name: {"role": "fixed", "value": value}}}
    row = rows_of(text, space_of(compose(text)))[0]
    other = edited(text, {"do": "set", "was": row.was, "cells": {"value": "other"}})
    again = edited(other, {"do": "set", "was": row.was, "cells": {"value": row.value}})
    assert load(again) == load(text)
