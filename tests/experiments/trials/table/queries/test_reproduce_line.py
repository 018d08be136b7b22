from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.objective_code import ObjectiveCode, PackageCode
from experiments.trials.table.queries.reproduce import reproduce_line

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
    """What a shell makes of the line's last command."""
    python, flag, module, *words = shlex.split(text.rpartition(" && ")[2])
    assert (python, flag, module) == ("python", "-m", "workers.reproduce")
    return dict(word.removeprefix("--").split("=", 1) for word in words)


RUN = (
    """'--params={"learning_rate":0.001}' --train-seed=1 --split-seed=2 """
    "--metric=validation_accuracy --direction=maximize"
)


def code(*packages: PackageCode) -> ObjectiveCode:
    return ObjectiveCode("d1", packages)


def test_a_bundled_problem_is_checked_out_and_set_up_in_verdicts_own_repository() -> None:
    own = PackageCode("workers", "d1", commit="4f1c2e9")
    assert line(objective="workers.problems.svm:train", code=code(own)) == (
        "git checkout --detach 4f1c2e9 && make setup && .venv/bin/python -m workers.reproduce "
        f"--objective=workers.problems.svm:train {RUN} --packages=workers --code=d1 --score=0.5"
    )


def test_a_teams_package_is_checked_out_with_its_changes_and_found_in_its_folder() -> None:
    team = PackageCode("team", "d1", commit="4f1c2e9", folder="services/digits/src", changed=True)
    library = PackageCode("lib", "d2", commit="4f1c2e9", folder="libs")
    elsewhere = PackageCode("far", "d3", commit="9a0b1c2", folder="private")
    text = line(
        code=code(team, library, elsewhere),
        diff="attempt-1-code.diff",
        interpreter="/opt/my env/bin/python",
    )
    assert text == (
        "git checkout --detach 4f1c2e9 && git apply attempt-1-code.diff && "
        "'/opt/my env/bin/python' -m workers.reproduce --path=services/digits/src:libs "
        f"--objective=team.digits:train {RUN} --packages=team,lib,far --code=d1 --score=0.5"
    )


@pytest.mark.parametrize(
    ("wheel", "requirement"),
    [
        ({}, "team-digits==1.2"),
        ({"origin": "file:///wheels/t.whl"}, "'team-digits @ file:///wheels/t.whl'"),
        (
            {"origin": "https://git.example.org/t.git", "commit": "4f1c2e9"},
            "'team-digits @ git+https://git.example.org/t.git@4f1c2e9'",
        ),
    ],
)
def test_a_wheel_is_installed_beside_the_environment_and_not_into_it(
    wheel: dict[str, str], requirement: str
) -> None:
    held = PackageCode("team", "d1", distribution="team-digits", version="1.2", **wheel)
    assert line(code=code(held)).startswith(
        f"python -m pip install --quiet --no-deps --target installed-code {requirement} && "
        "python -m workers.reproduce --path=installed-code --objective=team.digits:train "
    )


def test_a_command_is_run_in_the_clone_with_its_arguments_as_the_operator_lists_them() -> None:
    program = ObjectiveCode(packages=(PackageCode("lines", commit="4f1c2e9"),))
    text = line(objective="", command=["{python}", "train.py"], code=program)
    assert text == (
        "git checkout --detach 4f1c2e9 && python -m workers.reproduce "
        f"""'--command=["{{python}}","train.py"]' {RUN} --score=0.5"""
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
