"""Objectives imported in a process of their own, as a worker does before an experiment starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from workers.node.objective_checks import inspected

SOURCES = {
    "__init__": "",
    "digits": (
        "def train(run, warmup=5):\n"
        "    '''Trains a network.\n\n"
        "    Args:\n        run: the run\n        dropout: a share\n    '''\n"
        "    rate = run.params['learning_rate'] * run.params.get('decay', 0.5)\n"
        "    run.log({'validation_accuracy': rate}, step=1)\n\n\n"
        "def needs_data(run, data): ...\n\n\n"
        "def takes_nothing(): ...\n"
    ),
    "broken": "import a_library_nobody_has\n\n\ndef train(run): ...\n",
    "leaves": "import os\n\nprint('going')\nos._exit(7)\n",
    "exits": "import sys\n\nsys.exit('no licence')\n",
    "hangs": "import time\n\ntime.sleep(60)\n",
}


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "our_team"
    folder.mkdir()
    for name, text in SOURCES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(settings, "OBJECTIVES", ["our_team"])
    return folder


def _of(objective: str, seconds: float = 30.0) -> dict[str, Any]:
    return inspected({"objective": objective}, dict(os.environ), seconds)


def test_an_objective_that_takes_a_run_passes_with_what_its_source_declares(team: Path) -> None:
    found = _of("our_team.digits:train")
    assert found["fault"] == ""
    source = found["source"]
    assert source["metrics"] == ["validation_accuracy"] and not source["logs_more"]
    declared = {
        hyperparameter["name"]: hyperparameter["default"]
        for hyperparameter in source["hyperparameters"]
    }
    assert declared == {"warmup": 5, "learning_rate": None, "decay": 0.5, "dropout": None}


@pytest.mark.parametrize(
    ("objective", "said", "nearest"),
    [
        ("our_team.digts:train", "no module our_team.digts", "our_team.digits:train"),
        ("our_team.digits:trian", "no such function", "our_team.digits:train"),
        ("our_team.digits:needs_data", "missing a required argument: 'data'", ""),
        ("our_team.digits:takes_nothing", "write def takes_nothing(run)", ""),
        ("our_team.broken:train", "raises ModuleNotFoundError: No module named 'a_library", ""),
        ("our_team.exits:train", "raises SystemExit: no licence", ""),
        ("our_team.leaves:train", "ends the process: with code 7", ""),
        ("os:system", "not under the allowed modules (our_team)", ""),
    ],
)
def test_an_objective_that_cannot_run_says_why_with_the_nearest_name(
    team: Path, objective: str, said: str, nearest: str
) -> None:
    found = _of(objective)
    assert said in found["fault"] and found["nearest"] == nearest


def test_an_import_that_raises_is_told_with_its_traceback(team: Path) -> None:
    assert "import a_library_nobody_has" in _of("our_team.broken:train")["log"]


def test_an_import_that_hangs_is_ended_at_the_time_limit(team: Path) -> None:
    assert _of("our_team.hangs:train", 1.0)["fault"] == "its import takes longer than 1 s"


def test_offers_are_functions_that_take_a_run_and_nothing_is_imported_for_them(
    team: Path,
) -> None:
    found = inspected({}, dict(os.environ))["offers"]
    assert [offer["objective"] for offer in found] == [
        "our_team.broken:train",
        "our_team.digits:train",
    ]
    assert found[1]["summary"] == "Trains a network."
