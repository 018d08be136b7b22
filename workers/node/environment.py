"""Environment of a trial: code, packages, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

_GIT_SECONDS = 10


def describe(folder: Path | None = None, device: str = "cpu") -> dict[str, Any]:
    """The environment as JSON values, with the same keys everywhere.

    `folder` is where the code lies (the current folder by default). Nothing here fails when git,
    a repository or a device is missing: what is not known is None.
    """
    return {
        **commit(folder),
        "python": platform.python_version(),
        "packages": packages(),
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "usable_cpus": _usable_cpus(),
        "memory_mb": psutil.virtual_memory().total // 2**20,
        "device": device,
    }


def commit(folder: Path | None = None) -> dict[str, Any]:
    """`commit`: the full hash of HEAD; `dirty`: whether tracked files differ from it.

    Both None outside a repository or without git.
    """
    where = folder or Path.cwd()
    head = _git(where, "rev-parse", "--verify", "HEAD")
    changes = _git(where, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": head.strip() if head else None,
        "dirty": None if changes is None or not head else bool(changes.strip()),
    }


@cache
def packages() -> dict[str, str]:
    """Versions of all installed distributions by name, sorted."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a broken installation has none
            found.setdefault(name.lower(), distribution.version)
    return dict(sorted(found.items()))


def _usable_cpus() -> int | None:
    """CPUs that this process may use, fewer in a container or a batch job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        # Reading must not take the lock that someone's commit waits for.
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _processor() -> str | None:
    """The model of the processor: results may differ in the last bit between models."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None
