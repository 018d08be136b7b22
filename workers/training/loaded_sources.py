"""Detection of changes on disk to imported code."""

from __future__ import annotations

import contextlib
import os
import site
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

Stamp = tuple[int, int]  # time of the last change in ns, size
_CLOCK = 20_000_000  # ns by which the clock of file systems may lag


@cache
def installations() -> tuple[str, ...]:
    """Folders of Python and of installed packages: they change with the environment only."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(name) for name in names]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(
        {name for folder in folders if folder for name in (folder, os.path.realpath(folder))}
    )


class LoadedSources:
    """Source files of imported modules, as they were when they were imported.

    `stamps` holds them by file; None for one that may have changed since. Others may be given.
    """

    def __init__(self, stamps: Mapping[str, Stamp | None] | None = None) -> None:
        self._elsewhere = tuple(f"{folder}{os.sep}" for folder in installations())
        self.stamps: dict[str, Stamp | None] = dict(stamps or {})
        self._modules = 0
        self._noted_at = time.time_ns()
        self.note()

    def note(self) -> None:
        """Note the modules imported since the last call."""
        if len(sys.modules) == self._modules:
            return
        self._modules = len(sys.modules)
        for file in self._files():
            if file not in self.stamps:
                stamp = _stamp(file)
                # Changed since the last call, and maybe since it was read: never taken as known.
                changed_since = stamp is not None and stamp[0] > self._noted_at - _CLOCK
                self.stamps[file] = None if changed_since else stamp
        self._noted_at = time.time_ns()

    def changed(self) -> bool:
        """Test whether an imported file has changed on disk."""
        return any(stamp is None or _stamp(file) != stamp for file, stamp in self.stamps.items())

    def _files(self) -> Iterator[str]:
        for module in list(sys.modules.values()):
            spec = getattr(module, "__spec__", None)
            # `__file__` may be anything: torch.ops has one and was loaded from no file.
            file = spec.origin if isinstance(spec, ModuleSpec) and spec.has_location else None
            if file is None or not file.endswith(".py"):
                continue
            if not file.startswith(self._elsewhere):  # asked first: links are slow to follow
                real = os.path.realpath(file)
                if not real.startswith(self._elsewhere):
                    yield real


def _stamp(file: str) -> Stamp | None:
    with contextlib.suppress(OSError):
        status = Path(file).stat()
        return status.st_mtime_ns, status.st_size
    return None
