"""Storage of trials' files: a folder of this machine, or any store behind the setting STORAGES.

Whatever the store, a file is first written whole into the folder of artifacts of the machine that
made it. That folder is the store itself, unless ARTIFACTS_STORE names another one: then files are
sent there, and what lies in the folder are working copies of the trials that run here.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages

logger = logging.getLogger(__name__)

BLOCK = 2**20
ALIAS = "artifacts"


class StorageAway(OSError):
    """The store does not answer, or refuses; the message says why."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it lies in the store; `path` is the one that records name."""

    path: str
    size: int
    changed_at: dt.datetime


class ArtifactStorage(Protocol):
    """Operations of a store. All raise FileNotFoundError for a file that is not there, and
    another OSError when the store cannot be reached.
    """

    @property
    def is_remote(self) -> bool:
        """True where files are sent to a store that every node reaches."""

    def put(self, path: str, source: Path) -> None:
        """Send a whole file; one that was begun and broke off goes on where it stopped."""

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on, in blocks; the file is opened with the first one."""

    def size_of(self, path: str) -> int: ...

    def remove(self, paths: Iterable[str]) -> None:
        """Delete files; one that is gone already is no error."""

    def files_in(self, folder: str) -> list[StoredFile]:
        """The files that lie in a folder itself."""

    def folders_in(self, folder: str) -> list[str]:
        """Names of the folders in a folder."""


class LocalFolder(FileSystemStorage):
    """The folder of artifacts of this machine, or one that all nodes share."""

    is_remote = False

    def put(self, path: str, source: Path) -> None:
        target = local_path(path)
        if source != target:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source.replace(target)

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        with local_path(path).open("rb") as file:
            file.seek(start)
            while block := file.read(BLOCK):
                yield block

    def size_of(self, path: str) -> int:
        found = local_path(path)
        if not found.is_file():
            raise FileNotFoundError(2, "there is no such file", path)
        return found.stat().st_size

    def remove(self, paths: Iterable[str]) -> None:
        remove_local(paths)

    def files_in(self, folder: str) -> list[StoredFile]:
        return local_files(folder)

    def folders_in(self, folder: str) -> list[str]:
        return local_folders(folder)


def storage() -> ArtifactStorage:
    """The store that the settings name."""
    return cast(ArtifactStorage, storages[ALIAS])


def local_path(path: str) -> Path:
    """Path of a file, or of its working copy, in this machine's folder of artifacts.

    Raises:
        ValueError: for a path that leads out of it.
    """
    folder = Path(settings.ARTIFACTS_DIR).resolve()
    found = (folder / path).resolve()
    if not found.is_relative_to(folder):
        raise ValueError(f"{path} does not lie in the folder of artifacts")
    return found


def remove_local(paths: Iterable[str]) -> None:
    """Delete files of this machine's folder. What cannot be deleted is logged and left."""
    for path in paths:
        try:
            local_path(path).unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            logger.warning("%s could not be deleted: %s", path, error)


def remove_empty(folder: str) -> None:
    """Delete a folder of this machine's folder, unless something lies in it."""
    with suppress(OSError, ValueError):
        local_path(folder).rmdir()


def local_files(folder: str) -> list[StoredFile]:
    """The files in a folder of this machine's folder of artifacts."""
    found = []
    with suppress(FileNotFoundError), os.scandir(local_path(folder)) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                about = entry.stat(follow_symlinks=False)
                changed = dt.datetime.fromtimestamp(about.st_mtime, dt.UTC)
                found.append(StoredFile(f"{folder}/{entry.name}", about.st_size, changed))
    return sorted(found, key=lambda file: file.path)


def local_folders(folder: str) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(local_path(folder)) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    return []


def fetch(path: str, *, size: int, sha256: str) -> None:
    """Make a working copy of a remote file here; one that broke off goes on where it stopped.

    Raises:
        OSError: when the store has no such file, is away, or holds other bytes than the record
            says.
    """
    target = local_path(path)
    if not storage().is_remote or (target.is_file() and target.stat().st_size == size):
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target.with_suffix(".fetched")
    with draft.open("ab") as file:
        for block in storage().read(path, file.tell()):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if digest_of(draft) != sha256:
        draft.unlink()
        raise OSError(f"{path}: the store holds other bytes than were recorded")
    draft.replace(target)


def checked(parts: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    """The same blocks, the last of them only when the checksum of all is right.

    Raises:
        OSError: in its place when it is not, so that a transfer of it breaks off.
    """
    digest, last = hashlib.sha256(), b""
    for block in parts:
        digest.update(block)
        if last:
            yield last
        last = block
    if digest.hexdigest() != sha256:
        raise OSError("the file holds other bytes than were recorded")
    if last:
        yield last


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
