from __future__ import annotations

import ast
import textwrap

import pytest

from experiments.design.document.objective_source import TrainingFunctionSource, find_function


def read(body: str, before: str = "") -> TrainingFunctionSource:
    text = f"{before}\ndef train(run):\n{textwrap.indent(textwrap.dedent(body), '    ')}"
    found = find_function("team.train", ast.parse(text), "train")
    assert found is not None
    return found


@pytest.mark.parametrize(
    "body",
    [
        'run.log({"loss": 1.0, "lr": run.params["lr"]}, step=1)',
        'for step in range(run.folds):\n    run.log({"loss": 1.0, "lr": 2.0})',
        'm = {"loss": 1.0}\nm["lr"] = m["loss"]\nrun.log(m, step=0)\nprint(m["lr"])\nreturn',
        'm = {"loss": 1.0}\nwhile m["loss"]:\n    m["lr"] = 1\n    run.log(m)\n    m["lr"] += 1',
    ],
)
def test_a_function_that_logs_plain_names_logs_no_others(body: str) -> None:
    source = read(body)
    assert source.metrics == ("loss", "lr")
    assert source.never_logs("accuracy") and not source.never_logs("loss")


@pytest.mark.parametrize(
    "body",
    [
        "m.update(evaluate())",
        'm |= {"accuracy": 1.0}',
        'm.setdefault("accuracy", 1.0)',
        'm["accuracy"] = 1.0',
        'm["accuracy"], m["loss"] = evaluate()',
        'm[f"accu{1}racy"] = 1.0',
        "evaluate(into=m)",
        "other = m",
        "other = [m]",
        "m = evaluate()",
        'm = {"accuracy": 1.0}',
        "for m in evaluate():\n    pass",
        "def evaluate():\n    fill(m)\nevaluate()",
        "fit(callback=run.log)",
        "log = run.log",
        'r = run\nr.log({"accuracy": 1.0})',
        "evaluate(run)",
        "fit(callbacks=[Report(run)])",
        "fit(callbacks={'report': run})",
        'getattr(run, "log")({"accuracy": 1.0})',
        'run.log(**{"metrics": {"accuracy": 1.0}})',
        'run.log({**m, "accuracy": 1.0})',
        "run.log(dict(accuracy=1.0))",
        "run.log({name: 1.0 for name in names()})",
        'eval("run").log({"accuracy": 1.0})',
        "tracker.log(m)",
        "return 0.5",
    ],
)
def test_never_is_not_said_where_something_else_may_be_logged(body: str) -> None:
    more = textwrap.indent(body, "    ")
    loop = f'm = {{"loss": 1.0}}\nfor step in steps():\n    run.log(m)\n{more}'
    assert not read(loop).never_logs("accuracy")


def test_a_decorator_may_log_what_the_function_does_not() -> None:
    text = '@logs_accuracy\ndef train(run):\n    run.log({"loss": 1.0})'
    found = find_function("team.train", ast.parse(text), "train")
    assert found is not None and not found.never_logs("accuracy")
