"""A package that pip built as a wheel and installed: its trial, and the line of it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import override_settings

from experiments.models import Environment, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import experiments
from experiments.trials.table.queries.reproduce import line_of
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "team-wheel"
version = "1.4.2"
[tool.setuptools]
packages = ["teamwheel"]
"""
TRAIN = """
def train(run):
    for step in range(1, 4):
        run.log({"validation_accuracy": run.params["learning_rate"] / step}, step=step)
"""
FILE = """
project: digits
experiment: from-a-wheel
goal: Does an installed package train?
objective: teamwheel:train
search: {sampler: halton, trials: 1, seed: 5}
hyperparameters: {learning_rate: {role: nuisance, low: 0.1, high: 0.9}}
"""


def call(*words: str, folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def python(tmp_path: Path) -> str:
    """Interpreter of an environment of its own, with Verdict and the team's wheel installed."""
    source = tmp_path / "source"
    (source / "teamwheel").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "teamwheel" / "__init__.py").write_text(TRAIN)
    offline = ("--quiet", "--no-index", "--no-deps")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    call(*pip, "wheel", *offline, "--no-build-isolation", "-w", "wheels", ".", folder=source)
    (wheel,) = (source / "wheels").glob("*.whl")
    call(sys.executable, "-m", "venv", "--without-pip", "env", folder=tmp_path)
    interpreter = tmp_path / "env" / "bin" / "python"
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    ours = sysconfig.get_path("purelib")
    (packages / "verdict.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    call(*pip, "--python", str(interpreter), "install", *offline, str(wheel), folder=tmp_path)
    return str(interpreter)


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_wheel_is_trained_recorded_and_reproduced_in_an_empty_shell(
    python: str, start_worker: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    cast.project()
    with override_settings(OBJECTIVES=["teamwheel"]):
        experiment = experiments.create(access=cast.access(cast.person("ada")), text=FILE)
    worker = start_worker(objectives="teamwheel", slots=1, python=python)
    ended = Trial.objects.filter(state__in=[TrialState.COMPLETE, TrialState.FAILED])
    wait_until(ended.exists, worker=worker)
    trial = ended.select_related("environment", "configuration").get()
    assert trial.state == TrialState.COMPLETE, trial.failure_reason
    assert isinstance(trial.environment, Environment)
    (package,) = json.loads(trial.environment.document)["code"]["packages"]
    (wheel,) = (tmp_path / "source" / "wheels").glob("*.whl")
    assert (package["distribution"], package["version"]) == ("team-wheel", "1.4.2")
    assert package["origin"] == wheel.as_uri()
    assert "commit" not in package
    worker.terminate()

    empty = tmp_path / "empty"
    empty.mkdir()
    line = line_of(experiment, trial)
    assert "pip install" in line
    done = subprocess.run(["sh", "-c", line], cwd=empty, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"validation_accuracy: {trial.value}, recorded {trial.value}: same\n"
    assert "warning: recorded" not in done.stderr
    assert (empty / "installed-code" / "teamwheel" / "__init__.py").exists()
