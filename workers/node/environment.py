"""Environment of a trial: Verdict's version, packages, machine."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from experiments.design import code_version


def describe(device: str = "cpu") -> dict[str, Any]:
    """The environment as JSON values, with the same keys everywhere.

    Nothing here fails when git, a repository or a device is missing: what is not known is None.
    """
    return {
        "verdict": code_version.commit() or None,
        "interpreter": sys.executable,
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


def _processor() -> str | None:
    """The model of the processor: results may differ in the last bit between models."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None
