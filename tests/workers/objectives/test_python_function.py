from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.objectives.python_function import ObjectiveError, is_allowed, load

PART = st.from_regex(r"[a-z_]{1,4}", fullmatch=True)
TRAIN_ONCE = """
import sys
from workers.objectives.python_function import load
sys.path.append(sys.argv[1])
print(load("edited:train", ["edited"])(None))
"""
MODULE = st.lists(PART, min_size=1, max_size=4).map(".".join)


@given(MODULE, MODULE)
def test_a_module_is_allowed_by_itself_and_by_what_it_lies_under(module: str, other: str) -> None:
    assert is_allowed(module, [module])
    assert is_allowed(f"{module}.{other}", [module])


@given(MODULE, PART)
def test_a_longer_name_with_the_same_beginning_is_not_allowed(module: str, more: str) -> None:
    assert not is_allowed(module + more, [module])


def test_nothing_is_allowed_by_an_empty_list_or_an_empty_name() -> None:
    assert not is_allowed("os", [])
    assert not is_allowed("os", [""])


@pytest.mark.parametrize("text", ["", "a", "a:", ":f", "a:b.c", "a..b:f", "a b:f", "../a:f"])
def test_what_is_no_module_and_function_is_refused(text: str) -> None:
    with pytest.raises(ObjectiveError, match=r"expected package\.module:function"):
        load(text, ["a"])


def test_an_edit_within_the_second_of_the_last_run_is_what_the_next_process_runs(
    tmp_path: Path,
) -> None:
    module = tmp_path / "edited.py"
    now = int(time.time())
    for answer in (1, 2):
        module.write_text(f"def train(run):\n    return {answer}\n")
        os.utime(module, (now + answer / 10, now + answer / 10))
        told = subprocess.run(
            [sys.executable, "-c", TRAIN_ONCE, str(tmp_path)],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout == f"{answer}\n"


def test_a_refused_module_is_not_even_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not_for_you.py").write_text("def train(run): ...")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ObjectiveError, match="not under the allowed modules"):
        load("not_for_you:train", ["team"])
    assert "not_for_you" not in sys.modules


def test_a_function_of_an_allowed_module_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team_one.py").write_text("def train(run):\n    return run * 2")
    monkeypatch.syspath_prepend(tmp_path)
    assert load("team_one:train", ["team_one"])(21) == 42


def test_a_function_from_elsewhere_is_refused_and_its_home_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team_two.py").write_text("from subprocess import run\nwidth = 3")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ObjectiveError, match="defined in subprocess"):
        load("team_two:run", ["team_two"])
    with pytest.raises(ObjectiveError, match="no such function"):
        load("team_two:width", ["team_two"])


def test_a_module_that_misses_another_says_so_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team_three.py").write_text("import a_library_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_library_nobody_has"):
        load("team_three:train", ["team_three"])
    with pytest.raises(ObjectiveError, match="no module team_four"):
        load("team_four:train", ["team_four"])
