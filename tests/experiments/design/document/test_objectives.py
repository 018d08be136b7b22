from __future__ import annotations

import pytest

from experiments.design.document.objectives import is_allowed

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
