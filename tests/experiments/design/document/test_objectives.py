from __future__ import annotations

from pathlib import Path

import pytest

from experiments.design.document.objectives import is_allowed, refusal

ALLOWED = ["workers.problems", "team.training"]


@pytest.mark.parametrize(
    "objective",
    ["workers.problems.digits:train", "workers.problems:train", "team.training.deep.er:go"],
)
def test_what_lies_under_an_allowed_prefix_may_run(objective: str) -> None:
    assert is_allowed(objective, ALLOWED)


@pytest.mark.parametrize(
    "objective",
    [
        "os:system",
        "workers.problems_of_others:train",
        "workers:train",
        "workers.problems.digits",
        "workers.problems.digits:train.__globals__",
        "workers.problems.digits:_private",
        "workers.problems..digits:train",
        "workers.problems.digits:",
        ":train",
        "",
    ],
)
def test_anything_else_may_not(objective: str) -> None:
    assert not is_allowed(objective, ALLOWED)


def test_a_private_function_is_refused_for_its_underscore() -> None:
    assert "_train begins with an underscore" in refusal("team.training:_train", ALLOWED)
    assert "not on the operator's list" in refusal("other.digits:train", ALLOWED)
    assert refusal("team.training:train", ALLOWED) == ""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("async def train(run): ...", "async function"),
        ("def train(run):\n    for step in range(3):\n        yield step", "generator function"),
        ("def train(run):\n    return (yield from run)", "generator function"),
        ("def train(run):\n    def batches():\n        yield 1\n    list(batches())", ""),
        ("@runs\ndef train(run):\n    yield 1", ""),
        ("from elsewhere import train", ""),
        ("def train(run:", ""),
    ],
)
def test_functions_that_do_nothing_when_called_are_refused_without_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "team_of_this_test"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "digits.py").write_text(source)
    found = refusal("team_of_this_test.digits:train", ["team_of_this_test"])
    assert said in found if said else found == ""
