"""Path of the private Redis socket: one rule for launcher, web, workers and commands."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

# sockaddr_un holds 107 bytes on Linux and 103 on macOS.
LONGEST_PATH = 100
SHORT_FOLDERS = Path("/tmp")
PREFIX = "verdict-"


def socket_path(data: Path) -> Path:
    """The socket in the data folder, or in a short folder under /tmp when the path is too long.

    The short folder's name is derived from the data folder and the user, so every process of
    one installation finds the same one. Nothing is created here.
    """
    path = data / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return SHORT_FOLDERS / f"{PREFIX}{os.getuid()}-{digest}" / "redis.sock"


def prepare_folder(path: Path) -> None:
    """Make the socket's folder, private to this user.

    Raises:
        PermissionError: when someone else made a folder of that name or may write in it.
    """
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.parent == SHORT_FOLDERS and folder.name.startswith(PREFIX):
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{folder} is not private to this user; remove it and try again")


def remove_folder(path: Path) -> None:
    """Remove what ``prepare_folder`` made under /tmp, once Redis has removed its socket."""
    if path.parent.parent == Path("/tmp") and path.parent.name.startswith("verdict-"):
        with contextlib.suppress(OSError):
            path.parent.rmdir()
