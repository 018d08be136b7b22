"""Command lines that experiments may run: templates that the operator names, values filled in.

A template is a list of arguments, run without a shell in a working copy of one repository:

    [train]
    repository = "https://git.example.org/team/digits.git"
    arguments = ["{python}", "train.py", "--learning-rate={learning_rate}", "--seed={train_seed}"]

An experiment names it with `command: train` and a full commit hash. No page can change what lies
in the file, and no value can become an option or another argument.
"""

from __future__ import annotations

import logging
import re
import shlex
import string
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)

PREFIX = "command:"
NAME = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
FULL_COMMIT = re.compile(r"[0-9a-f]{40}")
_KEYS = {"repository", "arguments"}


class UnsafeValue(ValueError):
    """A value could be read as an option, or a template asks for one that is not there."""


@dataclass(frozen=True, slots=True)
class CommandTemplate:
    """One entry of the operator's file."""

    name: str
    repository: str
    arguments: tuple[str, ...]

    @property
    def address(self) -> str:
        """The repository as pages show it."""
        return shown(self.repository)

    @property
    def line(self) -> str:
        """The arguments in one line, for people to read."""
        return shlex.join(self.arguments)

    def filled(self, values: Mapping[str, Any]) -> list[str]:
        """The arguments with their values.

        Raises:
            UnsafeValue: for a value that would turn an argument into an option, that holds a NUL
                character, or that is missing.
        """
        return [self._filled(argument, values) for argument in self.arguments]

    def _filled(self, template: str, values: Mapping[str, Any]) -> str:
        pieces = []
        for text, name, _, _ in string.Formatter().parse(template):
            pieces.append(text)
            if name is None:
                continue
            if name not in values:
                raise UnsafeValue(
                    f"command {self.name}: {template} needs {name}, which the trial does not "
                    f"have; it has {', '.join(sorted(values))}"
                )
            pieces.append(as_text(values[name]))
        argument = "".join(pieces)
        if "\0" in argument:
            raise UnsafeValue(f"command {self.name}: the value of {template} holds a NUL")
        if argument.startswith("-") and not template.startswith("-"):
            raise UnsafeValue(
                f"command {self.name}: {argument!r} would be read as an option; the operator can "
                f"write --name={template} in the template"
            )
        return argument


def as_text(value: Any) -> str:
    """A parameter as an argument: floats without loss, true and false in small letters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def shown(repository: str) -> str:
    """Its address without user and password, as pages and messages show it."""
    return re.sub(r"^([a-z+]+://)[^/]*@", r"\1", repository)


def name_of(objective: str) -> str | None:
    """The template that an objective names, None for a Python function."""
    return objective.removeprefix(PREFIX) if objective.startswith(PREFIX) else None


def templates() -> dict[str, CommandTemplate]:
    """The operator's templates by name; none without a file.

    Raises:
        ImproperlyConfigured: for a file that cannot be read or says something else.
    """
    if not settings.COMMANDS_FILE:
        return {}
    path = Path(settings.COMMANDS_FILE)
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"COMMANDS_FILE {path}: {error}") from None


def listed() -> list[CommandTemplate]:
    """The operator's templates in the order of their file; none while it cannot be read."""
    try:
        return list(templates().values())
    except ImproperlyConfigured as error:
        logger.error("%s", error)
        return []


def parse(document: Mapping[str, Any]) -> dict[str, CommandTemplate]:
    """Raises ValueError that names the entry and what it should be."""
    found = {}
    for name, entry in document.items():
        if not NAME.fullmatch(name) or not isinstance(entry, dict) or set(entry) != _KEYS:
            raise ValueError(f"[{name}]: expected a table with repository and arguments")
        repository, arguments = entry["repository"], entry["arguments"]
        if not isinstance(repository, str) or not repository or repository.startswith("-"):
            raise ValueError(f"[{name}] repository: expected an address or a folder")
        _check(name, arguments)
        found[name] = CommandTemplate(name, repository, tuple(arguments))
    return found


def _check(name: str, arguments: Any) -> None:
    wrong = f"[{name}] arguments: expected a list of texts"
    if not isinstance(arguments, Sequence) or isinstance(arguments, str) or not arguments:
        raise ValueError(wrong)
    for place, argument in enumerate(arguments):
        if not isinstance(argument, str) or "\0" in argument:
            raise ValueError(wrong)
        fields = list(string.Formatter().parse(argument))
        names = [field for _, field, _, _ in fields if field is not None]
        plain = all(not form and not convert for _, _, form, convert in fields)
        if not plain or not all(NAME.fullmatch(word) for word in names):
            raise ValueError(
                f"[{name}] {argument}: expected plain names such as {{learning_rate}}"
            )
        if place == 0 and names and argument != "{python}":
            raise ValueError(f"[{name}] {argument}: the program itself is no value of a trial")


def problem_of(objective: str, commits: Sequence[str]) -> tuple[str, str] | None:
    """Problem that keeps a command from running, with its key in the file."""
    name = name_of(objective)
    try:
        known = templates()
    except ImproperlyConfigured as error:
        logger.error("%s", error)
        return "command", "the operator's list cannot be read; the server's log says why"
    if name not in known:
        return "command", (
            f"{name} is not on the operator's list, which names {', '.join(known) or 'none'}"
        )
    for commit in commits:
        if not FULL_COMMIT.fullmatch(commit):
            found = f"found {commit}, " if commit else "is missing: a command runs at one; "
            return "commit", f"{found}expected the full hash of 40 digits"
    return None
