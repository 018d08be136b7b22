"""The client's file under the oldest Python that it promises, 3.9."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.client.fake_server import FakeServer
from tests.client.starting import FILE

OLDEST = (3, 9)
PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
import verdict
run = verdict.init("digits", url=sys.argv[2], token="t", config={"lr": .1, "opt": {"name": "x"}})
verdict.log({"loss": 1.0, ("a", 1): 2})
if os.fork() == 0:
    verdict.log({"loss": .5}, step=7)
    os._exit(0)
os.wait()
run._files = verdict._Files(run, run._sender.server_for_files())
run._files._send = lambda *_: True
run.log_table("table", {"a": [1, 2], "b": [3, 4]})
run.log_histogram("weights", [1.0, float("nan"), 2.0])
run.log_confusion_matrix([0, 1, 1], [0, 1, 0])
run.log_roc_curve([0, 1, 1], [.1, .9, .2])
run.log_pr_curve([0, 1, 2], [[.8, .1, .1], [.2, .5, .3], [.1, .1, .8]])
run.log_file(sys.executable)
run.summary["machine"] = "a"
verdict.finish()
print(*sys.version_info[:2])
"""


def interpreters() -> list[str]:
    """The Python of these tests, and each 3.9 that is installed here (also by pyenv)."""
    found = [
        interpreter
        for interpreter in [shutil.which("python3.9")]
        if interpreter and "shims" not in interpreter
    ]
    found += map(str, Path.home().glob(".pyenv/versions/3.9*/bin/python"))
    return [sys.executable, *found]


def test_the_file_is_written_in_the_grammar_of_the_oldest_python_that_its_package_takes() -> None:
    package = tomllib.loads((FILE.parent / "pyproject.toml").read_text())["project"]
    assert package["requires-python"] == f">={OLDEST[0]}.{OLDEST[1]}"
    ast.parse(FILE.read_text(), feature_version=OLDEST)


@pytest.mark.parametrize("python", interpreters())
def test_a_run_is_logged_whole_under_each_python(server: FakeServer, python: str) -> None:
    done = subprocess.run(
        [
            python,
            "-W",
            "error",
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            PROGRAM,
            str(FILE.parent),
            server.url,
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert server.points == [(0, {"loss": 1.0, "a/1": 2.0}), (7, {"loss": 0.5})]
    (ending,) = server.bodies("/finish")
    assert (ending["state"], ending["summary"]) == ("complete", {"machine": "a"})
