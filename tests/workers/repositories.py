"""Small git repositories for the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path


def new_repository(folder: Path) -> Path:
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(repository: Path, text: str) -> str:
    (repository / "train.py").write_text(text)
    git(repository, "add", "train.py")
    git(repository, "commit", "-q", "-m", "x")
    return git(repository, "rev-parse", "HEAD")
