"""Typed readers of environment variables.

Each reader takes a variable's name and what it means when unset, and raises
``ImproperlyConfigured`` with a line that names the variable, the value found and what would be
right. An empty value counts as unset, so a line ``NAME=`` in an env file changes nothing.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_names_read: set[str] = set()


def names_read() -> frozenset[str]:
    """The variables asked for so far in this process; ``.env.example`` is held to this."""
    return frozenset(_names_read)


def env_text(name: str, default: str) -> str:
    """The variable as it is, without surrounding blanks."""
    value = _raw(name)
    return default if value is None else value


def env_bool(name: str, default: bool) -> bool:
    """1, true, yes, on or 0, false, no, off, in any case."""
    value = _raw(name)
    if value is None:
        return default
    if value.lower() in TRUE_WORDS:
        return True
    if value.lower() in FALSE_WORDS:
        return False
    raise _wrong(name, value, "1 or 0 (or true or false)")


def env_int(name: str, default: int, *, minimum: int, maximum: int | None = None) -> int:
    """A whole number between minimum and maximum, both included."""
    value = _raw(name)
    if value is None:
        return default
    wanted = f"a whole number of at least {minimum}"
    if maximum is not None:
        wanted = f"a whole number from {minimum} to {maximum}"
    try:
        number = int(value)
    except ValueError:
        raise _wrong(name, value, wanted) from None
    if number < minimum or (maximum is not None and number > maximum):
        raise _wrong(name, value, wanted)
    return number


def env_list(
    name: str,
    default: list[str],
    *,
    wanted: str,
    accepts: Callable[[str], bool] = lambda item: " " not in item,
) -> list[str]:
    """Items separated by commas, blanks around them dropped.

    Raises:
        ImproperlyConfigured: when an item is not accepted; ``wanted`` says what would be.
    """
    value = _raw(name)
    if value is None:
        return default
    items = [item.strip() for item in value.split(",") if item.strip()]
    for item in items:
        if not accepts(item):
            raise _wrong(name, item, wanted)
    return items


def env_url(name: str, default: str, *, schemes: tuple[str, ...]) -> str:
    """A URL with one of the schemes. Its password is never repeated in the error."""
    value = _raw(name)
    if value is None:
        return default
    scheme = urlsplit(value).scheme
    if scheme not in schemes or not value.startswith(f"{scheme}://"):
        found = f"{scheme}://..." if "://" in value else "a value without ://"
        raise _wrong(name, found, "a URL that starts with " + _or([f"{s}://" for s in schemes]))
    return value


def env_log_level(name: str, default: str) -> str:
    """One of Python's level names, in any case."""
    value = _raw(name)
    if value is None:
        return default
    if value.upper() not in LOG_LEVELS:
        raise _wrong(name, value, _or(list(LOG_LEVELS)))
    return value.upper()


def env_folder(name: str, default: Path) -> Path:
    """A folder that exists afterwards (made with mode 0700) and can be written to."""
    folder = Path(_raw(name) or default).expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise _wrong(name, str(folder), f"a folder this user can write to ({reason})") from None
    return folder


def env_secret(name: str, *, file: Path, minimum_length: int) -> str:
    """The variable, or what lies in ``file``, which is made (mode 0600) when it is missing."""
    value = _raw(name)
    if value is None:
        value = _secret_in_file(name, file)
    if len(value) < minimum_length:
        raise ImproperlyConfigured(
            f"{name}: {len(value)} characters are too few; expected at least {minimum_length} "
            f"random ones, or leave it unset and one is generated in {file}"
        )
    return value


def dotted_name(item: str) -> bool:
    """Test whether it reads like a Python module or attribute path."""
    return DOTTED_NAME.fullmatch(item) is not None


def web_origin(item: str) -> bool:
    """Test whether it is scheme and host alone, as browsers send in the Origin header."""
    parts = urlsplit(item)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and parts.path == ""


def path_prefix(path: str) -> bool:
    """True for an empty path and a plain one without a final slash, such as /team/verdict."""
    return re.fullmatch(r"(/[A-Za-z0-9_-]+)*", path) is not None


def network(item: str) -> bool:
    """Test whether it is an IP address or network without host bits, such as 10.0.0.0/8."""
    try:
        ipaddress.ip_network(item)
    except ValueError:
        return False
    return True


def _secret_in_file(name: str, file: Path) -> str:
    try:
        if not file.exists():
            _write_once(file, secrets.token_urlsafe(48))
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{name}: cannot use the key file {file}: {error}") from None


def _write_once(file: Path, text: str) -> None:
    """Whole or not at all, and never over another process's file."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="ascii") as draft:
        draft.write(text)  # NamedTemporaryFile makes files with mode 0600
        draft.flush()
        os.fsync(draft.fileno())
        try:
            file.hardlink_to(draft.name)
        except FileExistsError:
            return


def _raw(name: str) -> str | None:
    _names_read.add(name)
    value = os.environ.get(name, "").strip()
    return value or None


def _wrong(name: str, found: str, wanted: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name}: found {found!r}; expected {wanted}")


def _or(items: list[str]) -> str:
    return f"{', '.join(items[:-1])} or {items[-1]}" if len(items) > 1 else items[0]
