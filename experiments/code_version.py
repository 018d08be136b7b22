"""Which commit of the code this process runs."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from django.conf import settings

FOLDER = Path(__file__).resolve().parent.parent


@cache
def commit() -> str:
    """The full commit hash, `-dirty` added when files differ from it; "" when unknown.

    The setting VERDICT_COMMIT stands over it, for images that carry no repository.
    """
    if settings.VERDICT_COMMIT:
        return str(settings.VERDICT_COMMIT)
    head = _git("rev-parse", "HEAD")
    if not head:
        return ""
    return f"{head}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else head


def is_running(wanted: str, running: str) -> bool:
    """Whether `running`, as `commit` tells it, is the `wanted` commit, which may be abbreviated.

    Code with files that differ from their commit is no commit; nor is what is unknown.
    """
    return bool(wanted) and not running.endswith("-dirty") and running.startswith(wanted)


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
