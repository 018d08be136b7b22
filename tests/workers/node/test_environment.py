from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from workers.node import environment


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("first")
    git(tmp_path, "add", "train.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_the_commit_is_the_full_hash_of_a_clean_checkout(repository: Path) -> None:
    found = environment.commit(repository)
    assert found == {"commit": git(repository, "rev-parse", "HEAD").strip(), "dirty": False}
    assert len(found["commit"]) == 40


def test_a_changed_file_makes_it_dirty_and_a_new_one_does_not(repository: Path) -> None:
    (repository / "notes.txt").write_text("new")
    assert environment.commit(repository)["dirty"] is False
    (repository / "train.py").write_text("second")
    assert environment.commit(repository)["dirty"] is True


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert environment.commit(tmp_path) == {"commit": None, "dirty": None}


def test_without_a_repository_or_git_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.commit(tmp_path) == {"commit": None, "dirty": None}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.commit(tmp_path) == {"commit": None, "dirty": None}


def test_the_record_is_json_and_names_packages_and_machine() -> None:
    record = environment.describe(device="cuda:0")
    assert json.loads(json.dumps(record)) == record
    assert record["packages"]["numpy"] == np.__version__
    assert record["device"] == "cuda:0"
    assert 1 <= record["usable_cpus"] <= record["cpus"]
    assert record["memory_mb"] > 0
