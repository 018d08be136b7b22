"""Files and folders of a source on this machine: nothing outside of it is ever read.

Symbolic links are left out, whatever they point to, so that a folder from elsewhere cannot have
this machine's own files copied into a project.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.tracking.imports.foreign_runs import LocalFile, UnreadableSource

MAX_FILES = 10_000  # of one run; more is a data set
MAX_TEXT_BYTES = 2**20  # of a file that holds one value


def files_below(
    folder: Path, prefix: str = "", links: list[str] | None = None
) -> Iterator[LocalFile]:
    """Regular files below a folder by name; names of symbolic links go to `links`."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(folder / entry.name, f"{name}/", links)
        elif entry.is_file(follow_symlinks=False):
            yield LocalFile(name, folder / entry.name)
        elif links is not None and entry.is_symlink():
            links.append(name)


def artifacts_below(folder: Path, left_out: list[str], prefix: str = "") -> list[LocalFile]:
    """A run's files below a folder, `MAX_FILES` at most; `left_out` is told of more."""
    found: list[LocalFile] = []
    links: list[str] = []
    for file in files_below(folder, prefix, links):
        if len(found) == MAX_FILES:
            left_out.append(f"files after the first {MAX_FILES}")
            break
        found.append(file)
    left_out += [f"file {name}: a symbolic link" for name in links]
    return found


def folders_in(folder: Path) -> list[Path]:
    """Folders in a folder by name, links left out."""
    return sorted(
        folder / entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)
    )


def is_within(path: Path, folder: Path) -> bool:
    """Tell if a path, links on it followed, lies in a folder."""
    return path.resolve().is_relative_to(folder.resolve())


def read_bytes(path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """The content of a regular file, at most `limit` bytes of it; a link is not followed.

    Raises:
        OSError: when the file cannot be read, or is none.
    """
    with open(path, "rb", opener=_without_links) as file:
        return file.read(limit)


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """The same as UTF-8 text; other bytes become the replacement character."""
    return read_bytes(path, limit).decode("utf-8", "replace")


def _without_links(path: str, flags: int) -> int:
    found = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(f"{path} is no regular file.")
    return found


def stamp_of(files: Iterable[Path]) -> str:
    """A digest of files' names, sizes and times of change; empty where one is gone."""
    found = hashlib.sha256()
    for path in files:
        try:
            status = path.lstat()
        except OSError:
            return ""
        found.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return found.hexdigest()


def existing_folder(source: str) -> Path:
    """The folder that a source names.

    Raises:
        UnreadableSource: when there is none.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        raise UnreadableSource.at(source, "", "There is no such folder.")
    return path
