from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from experiments.design import code_version


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("rate = 1\n")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "begin")
    monkeypatch.setattr(code_version, "FOLDER", tmp_path)
    monkeypatch.setattr(code_version, "_known", None)
    monkeypatch.setattr(code_version, "_watched", code_version._watched.__wrapped__)
    monkeypatch.setattr(settings, "VERDICT_COMMIT", "")
    return tmp_path


def test_the_commit_is_told_anew_when_sources_change(repository: Path) -> None:
    first = _git(repository, "rev-parse", "HEAD")
    assert code_version.commit() == first
    (repository / "train.py").write_text("rate = 2\n")
    assert code_version.commit() == f"{first}-dirty"
    _git(repository, "commit", "-q", "-a", "-m", "faster")
    second = _git(repository, "rev-parse", "HEAD")
    assert code_version.commit() == second != first


def test_git_is_not_asked_again_while_nothing_changes(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = code_version.commit()
    watched = code_version._watched()
    monkeypatch.setattr(code_version, "_watched", lambda: watched)
    monkeypatch.setattr(code_version, "_ask", lambda: pytest.fail("asked again"))
    assert code_version.commit() == known
    os.utime(repository / "train.py", ns=(1, 1))
    with pytest.raises(pytest.fail.Exception):
        code_version.commit()


def test_an_image_without_a_repository_says_its_commit_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "VERDICT_COMMIT", "abc")
    assert code_version.commit() == "abc"
