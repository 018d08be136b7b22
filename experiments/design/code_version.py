"""Commit of Verdict itself, in the version that this process runs."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from django.conf import settings

import experiments

FOLDER = Path(experiments.__file__).resolve().parent.parent

_known: tuple[tuple[int, ...], str] | None = None


def commit() -> str:
    """The full commit hash, `-dirty` added when files differ from it; "" when unknown.

    Asked anew when a commit was made or a source file changed, as training processes then begin
    anew, too. The setting VERDICT_COMMIT stands over it, for images that carry no repository.
    """
    if settings.VERDICT_COMMIT:
        return str(settings.VERDICT_COMMIT)
    global _known
    stamps = _stamps()
    if _known is None or _known[0] != stamps:
        _known = stamps, _ask()
    return _known[1]


def _stamps() -> tuple[int, ...]:
    """Times of the last change of a repository and its sources, ns; 0 for what is not there.

    Far cheaper than to ask git.
    """
    return tuple(map(_changed_at, _watched()))


def _changed_at(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@cache
def _watched() -> tuple[Path, ...]:
    folder = _git("rev-parse", "--absolute-git-dir")
    if not folder:
        return ()
    repository = [Path(folder, name) for name in ("HEAD", "index", "logs/HEAD")]
    sources = _git("ls-files", "--", "*.py", ":!tests", ":!benchmarks").splitlines()
    return tuple(repository + [FOLDER / source for source in sources])


def _ask() -> str:
    head = _git("rev-parse", "HEAD")
    if not head:
        return ""
    return f"{head}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else head


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
