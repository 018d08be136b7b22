from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.document import commands
from experiments.design.document.commands import CommandTemplate, UnsafeValue


def template(*arguments: str) -> CommandTemplate:
    return CommandTemplate("train", "/repository", arguments)


def test_values_are_filled_in_without_loss() -> None:
    filled = template("python", "--lr={lr}", "--n={n}", "--amp={amp}", "{name}").filled(
        {"lr": 0.1 + 0.2, "n": 3, "amp": True, "name": "a b; rm -rf $HOME"}
    )
    want = ["python", "--lr=0.30000000000000004", "--n=3", "--amp=true", "a b; rm -rf $HOME"]
    assert filled == want


@pytest.mark.parametrize("value", ["--output=/etc/passwd", "-x", -0.1])
def test_a_value_never_becomes_an_option(value: Any) -> None:
    with pytest.raises(UnsafeValue, match=r"would be read as an option; .* --name=\{x\}"):
        template("run", "{x}").filled({"x": value})
    assert template("run", "--x={x}").filled({"x": value}) == ["run", f"--x={value}"]


@given(st.text(max_size=20))
def test_whatever_a_value_holds_it_stays_one_argument_and_no_option(value: str) -> None:
    wanted = template("run", "{x}", "--x={x}", "{x}.txt")
    try:
        filled = wanted.filled({"x": value})
    except UnsafeValue:
        assert value.startswith("-") or "\0" in value
        return
    assert len(filled) == 4 and filled[2] == f"--x={value}"
    assert not filled[1].startswith("-") and not filled[3].startswith("-")


def test_a_value_that_is_missing_or_holds_a_nul_is_refused() -> None:
    with pytest.raises(UnsafeValue, match="needs lr, which the trial does not have; it has x"):
        template("run", "{lr}").filled({"x": 1})
    with pytest.raises(UnsafeValue, match="holds a NUL"):
        template("run", "--x={x}").filled({"x": "a\0b"})


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ('arguments = ["x"]', "expected a table with repository and arguments"),
        ('repository = "--upload-pack=x"\narguments = ["x"]', "expected an address or a folder"),
        ('repository = "r"\narguments = "x --y"', "expected a list of texts"),
        ('repository = "r"\narguments = []', "expected a list of texts"),
        ('repository = "r"\narguments = ["{program}"]', "the program itself is no value"),
        ('repository = "r"\narguments = ["x", "{a.__class__}"]', "expected plain names"),
        ('repository = "r"\narguments = ["x", "{a!r:>9}"]', "expected plain names"),
        ('repository = "r"\narguments = ["x", "{a"]', "COMMANDS_FILE"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(
    tmp_path: Path, entry: str, wanted: str
) -> None:
    file = tmp_path / "commands.toml"
    file.write_text(f"[train]\n{entry}\n")
    with (
        override_settings(COMMANDS_FILE=str(file)),
        pytest.raises(ImproperlyConfigured, match=re.escape(wanted)),
    ):
        commands.templates()


def test_a_command_runs_only_when_it_is_listed_and_at_a_full_commit(tmp_path: Path) -> None:
    file = tmp_path / "commands.toml"
    file.write_text('[train]\nrepository = "r"\narguments = ["{python}", "train.py"]\n')
    with override_settings(COMMANDS_FILE=str(file)):
        full = "4f1c2e9" + "0" * 33
        assert commands.problem_of("command:train", [full]) is None
        assert commands.problem_of("command:train", [full, "4f1c2e9"]) == (
            "commit",
            "found 4f1c2e9, expected the full hash of 40 digits",
        )
        where, why = commands.problem_of("command:other", [full]) or ("", "")
        assert (
            where == "command" and why == "other is not on the operator's list, which names train"
        )
    assert commands.templates() == {}


def test_pages_and_lines_show_no_password_of_a_repository() -> None:
    shown = commands.shown("https://bot:secret@git.example.org/team/x.git")
    assert shown == "https://git.example.org/team/x.git"
    assert commands.shown("/srv/git/x@y.git") == "/srv/git/x@y.git"
