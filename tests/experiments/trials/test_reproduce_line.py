from __future__ import annotations

import json
import shlex
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from experiments.trials.reproduce_line import reproduce_line

SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), st.text()
)


def line(**changes: Any) -> str:
    values: dict[str, Any] = {
        "objective": "team.digits:train",
        "params": {"learning_rate": 0.001},
        "train_seed": 1,
        "split_seed": 2,
        "metric": "validation_accuracy",
        "direction": "maximize",
        "score": 0.5,
    }
    return reproduce_line(**{**values, **changes})


def options(text: str) -> dict[str, str]:
    """What a shell makes of the line's second command."""
    setup, _, command = text.partition(" && ")
    assert setup == "make setup"
    python, flag, module, *words = shlex.split(command)
    assert (python, flag, module) == (".venv/bin/python", "-m", "workers.reproduce")
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def test_the_line_reads_as_one_command() -> None:
    assert line(commit="abc123") == (
        "make setup && .venv/bin/python -m workers.reproduce --objective=team.digits:train "
        """'--params={"learning_rate":0.001}' --train-seed=1 --split-seed=2 """
        "--metric=validation_accuracy --direction=maximize --commit=abc123 --score=0.5"
    )


@given(st.dictionaries(st.text(), SCALARS, max_size=4))
def test_any_parameters_pass_through_a_shell_unchanged(params: dict[str, Any]) -> None:
    text = line(params=params)
    assert json.loads(options(text)["params"]) == params
    assert text.isascii()
    assert "\n" not in text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_bit_of_the_score_is_lost(score: float) -> None:
    assert float(options(line(score=score))["score"]).hex() == score.hex()


def test_what_is_not_known_is_not_in_the_line() -> None:
    assert set(options(line(score=None))) == {
        "objective",
        "params",
        "train-seed",
        "split-seed",
        "metric",
        "direction",
    }


def test_what_differs_from_the_usual_is_in_the_line() -> None:
    found = options(line(search_seed=-3, last_step=7, threads=4))
    assert (found["search-seed"], found["last-step"], found["threads"]) == ("-3", "7", "4")


def test_folds_budget_and_the_rule_of_a_fold_are_in_the_line() -> None:
    rule = {"metric": "loss", "maximize": False, "patience": 3}
    found = options(line(folds=5, budget=9, early_stopping=rule))
    assert (found["folds"], found["budget"]) == ("5", "9")
    assert json.loads(found["early-stopping"]) == rule
