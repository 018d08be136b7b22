from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience
from experiments.design.objective_code import ObjectiveCode, PackageCode
from experiments.trials.table.queries.reproduce import reproduce_line
from workers import reproduce
from workers.reproduce import compare, run_again
from workers.training.code_on_disk import digest_of, git, read_code
from workers.training.messages import Job

ROOT = Path(__file__).parents[2]
FUNCTIONS = "tests.workers.training_functions"
PARAMS = {"epochs": 3, "dropout": 0.3, "learning_rate": 0.0123}


def words(**changes: Any) -> list[str]:
    """The arguments of a reproduce line."""
    values: dict[str, Any] = {
        "objective": f"{FUNCTIONS}:complete",
        "params": {},
        "train_seed": 1,
        "split_seed": 2,
        "metric": "validation_accuracy",
        "direction": "maximize",
        "score": 0.3,
    }
    line = reproduce_line(**{**values, **changes})
    return shlex.split(line.partition("workers.reproduce ")[2])


def recorded_score(**params: Any) -> float:
    job = Job(
        "recorded",
        "workers.problems.digits:train",
        ("workers",),
        params,
        1,
        2,
        "validation_loss",
        "minimize",
    )
    score, _ = run_again(job, None)
    assert score.value is not None
    return score.value


def test_a_line_pasted_into_a_shell_gives_the_same_score(tmp_path: Path) -> None:
    score = recorded_score(**PARAMS)
    line = reproduce_line(
        objective="workers.problems.digits:train",
        params=PARAMS,
        train_seed=1,
        split_seed=2,
        metric="validation_loss",
        direction="minimize",
        score=score,
        code=read_code(["workers"])[0],
    )
    # The tests run in an environment that has been set up, in whatever state of the repository.
    before, _, command = line.rpartition("make setup && ")
    assert before in ("", f"git checkout --detach {git(ROOT, 'rev-parse', 'HEAD').strip()} && ")
    pasted = command.replace(".venv/bin/python", shlex.quote(sys.executable), 1)
    done = subprocess.run(
        ["sh", "-c", pasted], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"validation_loss: {score!r}, recorded {score!r}: same\n"
    assert done.stderr == ""


def test_it_needs_neither_django_nor_a_database() -> None:
    code = (
        "import sys\nfrom workers import reproduce\n"
        f"code = reproduce.main({words()!r})\n"
        "print(code, [m for m in ('django', 'celery', 'redis', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads are the process's: a test must not limit those of the next."""
    monkeypatch.setattr(reproduce, "set_threads", lambda threads: None)


def test_another_score_is_told_with_the_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(words(score=0.25)) == 1
    out = capsys.readouterr().out
    assert out == (
        "validation_accuracy: 0.3, recorded 0.25: differs by +0.05 (20.00% of the recorded one)\n"
    )


def test_no_score_of_the_test_split_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(words()) == 0
    captured = capsys.readouterr()
    assert "test" not in captured.out
    assert "0.25" not in captured.out + captured.err


@pytest.mark.parametrize("early_stopping", [None, {"patience": 2, "min_delta": 0.001}])
def test_a_run_over_folds_is_run_over_the_same_folds(
    capsys: pytest.CaptureFixture[str], early_stopping: dict[str, Any] | None
) -> None:
    job = Job(
        "recorded", "workers.problems.svm:descend", ("workers",), {"epochs": 12}, 1, 2,
        "validation_accuracy", "maximize", folds=3,
        early_stopping=early_stopping and EarlyStopping(
            "validation_accuracy", True, Patience(**early_stopping)
        ),
    )  # fmt: skip
    score, _ = run_again(job, None)
    told = {"metric": "validation_accuracy", "maximize": True, "rule": "since_best"}
    arguments = words(
        objective="workers.problems.svm:descend",
        params={"epochs": 12},
        folds=3,
        early_stopping=early_stopping and {**told, **early_stopping},
        score=score.value,
    )
    assert reproduce.main(arguments) == reproduce.SAME
    assert "same" in capsys.readouterr().out
    assert reproduce.main([argument for argument in arguments if "folds" not in argument]) == 1


def test_a_budget_is_what_the_run_is_told() -> None:
    function = f"{FUNCTIONS}:tells_its_budget"
    for budget in (9, 0.25):
        assert reproduce.main(words(objective=function, budget=budget, score=budget)) == 0


@pytest.mark.parametrize("rule", ["[1]", "{}", '{"metric": "x", "maximize": true, "patience": 0}'])
def test_a_rule_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], rule: str) -> None:
    with pytest.raises(SystemExit):
        reproduce.main([*words(), f"--early-stopping={rule}"])
    assert "no early-stopping rule" in capsys.readouterr().err


def test_a_run_that_had_been_ended_is_ended_at_the_same_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    objective = f"{FUNCTIONS}:logs_until_ended"
    assert reproduce.main(words(objective=objective, last_step=4, score=0.75)) == 0
    assert "0.75, recorded 0.75: same" in capsys.readouterr().out


def test_a_returned_number_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    objective = f"{FUNCTIONS}:returns_a_number"
    arguments = words(objective=objective, params={"width": 3}, split_seed=12, score=3.0)
    assert reproduce.main(arguments) == 0


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises", "the learning rate is"),
        ("missing", "no such function"),
        ("logs_something_else", "names seen: loss, test_accuracy, val_acc"),
    ],
)
def test_a_run_that_fails_says_why(
    function: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce.main(words(objective=f"{FUNCTIONS}:{function}")) == 2
    assert said in capsys.readouterr().err


def test_nothing_recorded_is_nothing_to_differ_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(words(objective=f"{FUNCTIONS}:never_finite", score=None)) == 0
    assert "no finite score, nothing recorded" in capsys.readouterr().out


def test_other_code_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    other = ObjectiveCode("f" * 64, (PackageCode("tests"),))
    assert reproduce.main(words(code=other)) == 0
    here = digest_of(["tests"])
    assert f"warning: recorded with code {'f' * 64}, this is {here}" in capsys.readouterr().err
    assert reproduce.main([*words(), f"--commit={'f' * 40}"]) == 0, "a line of an earlier version"
    assert f"warning: recorded at commit {'f' * 40}" in capsys.readouterr().err


@pytest.mark.parametrize("params", ["[1]", "{", "3"])
def test_parameters_that_are_no_object_are_refused(
    params: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [w for w in words() if not w.startswith("--params")]
    with pytest.raises(SystemExit) as raised:
        reproduce.main([*arguments, f"--params={params}"])
    assert raised.value.code == 2
    assert "--params" in capsys.readouterr().err


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, FINITE)
def test_same_means_the_same_float(score: float, recorded: float) -> None:
    same, text = compare(score, recorded)
    assert same == (score == recorded)
    assert text.endswith(": same") == same
    assert repr(score) in text
    assert repr(recorded) in text
