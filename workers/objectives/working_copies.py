"""Working copies of the operator's repositories, one for each commit, kept for the next trial."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.design.document.commands import FULL_COMMIT, shown

_FETCH_SECONDS = 900
_COPY = re.compile(r"[0-9a-f]{40}(-[0-9]+)?(\.part)?")
# Of branches and tags only: a commit that somebody merely proposes (refs/pull/...) is not run.
_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_PROTOCOLS = "file:git:http:https:ssh"  # no ext::, which runs programs


class NoWorkingCopy(ValueError):
    """The commit cannot be had; the message says what git said."""


def working_copy(folder: Path, repository: str, commit: str) -> Path:
    """The folder of an unaltered copy of `commit`, made under `folder` when it is not there.

    Processes that ask for the same one wait for each other. A copy whose files a program has
    changed is made anew beside it, so what runs is what the commit says.

    Raises:
        NoWorkingCopy: for a hash that is not the full one, or a commit that is not there.
    """
    if not FULL_COMMIT.fullmatch(commit):
        raise NoWorkingCopy(f"commit {commit!r}: expected the full hash of 40 digits")
    home = folder / hashlib.sha256(repository.encode()).hexdigest()[:16]
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(home / "lock"):
        mirror = home / "mirror.git"
        if not mirror.is_dir():
            _clone(repository, mirror)
        if not _has(mirror, commit):
            _git(mirror, "fetch", "--quiet", "--prune", "origin", *_REFS)
        if not _has(mirror, commit):
            raise NoWorkingCopy(f"{shown(repository)} has no commit {commit} on a branch or tag")
        number = 1
        while True:
            copy = home / (commit if number == 1 else f"{commit}-{number}")
            if not copy.exists():
                _check_out(mirror, copy, commit)
            if _is_unaltered(copy, commit):
                os.utime(copy)  # used just now
                return copy
            number += 1


def unused(folder: Path, *, since: float) -> list[Path]:
    """Copies that no trial has begun in since that time (seconds since 1970)."""
    copies = [path for path in folder.glob("*/*") if _COPY.fullmatch(path.name) and path.is_dir()]
    return sorted(copy for copy in copies if copy.stat().st_mtime < since)


def remove(copy: Path, *, since: float) -> bool:
    """Delete a copy unless it is used again by now; whether it was. Its commit stays in the
    repository's mirror, so that the next trial that asks for it gets a new one.
    """
    with _locked(copy.parent / "lock"):
        if not copy.is_dir() or copy.stat().st_mtime >= since:
            return False
        shutil.rmtree(copy, ignore_errors=True)
        return True


def _clone(repository: str, mirror: Path) -> None:
    draft = mirror.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)
    # Over the protocol also from a folder: its objects that no branch holds stay behind.
    _git(mirror.parent, "clone", "--quiet", "--bare", "--no-local", "--", repository, str(draft))
    draft.rename(mirror)


def _check_out(mirror: Path, copy: Path, commit: str) -> None:
    draft = copy.with_name(f"{copy.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    _git(mirror.parent, "clone", "--quiet", "--no-checkout", "--", str(mirror), str(draft))
    _git(draft, "checkout", "--quiet", "--detach", commit, "--")
    draft.rename(copy)


def _has(mirror: Path, commit: str) -> bool:
    return _run(mirror, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def _is_unaltered(copy: Path, commit: str) -> bool:
    head = _run(copy, "rev-parse", "HEAD")
    changes = _run(copy, "status", "--porcelain", "--untracked-files=no")
    return head.stdout.strip() == commit and changes.returncode == 0 and not changes.stdout.strip()


def _git(folder: Path, *arguments: str) -> None:
    done = _run(folder, *arguments)
    if done.returncode:
        errors = done.stderr.strip().splitlines() or ["no reason given"]
        raise NoWorkingCopy(f"git {arguments[0]} failed: {errors[-1]}")


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
        "LC_ALL": "C",
    }
    try:
        return subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoWorkingCopy(f"git {arguments[0]}: {error}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
