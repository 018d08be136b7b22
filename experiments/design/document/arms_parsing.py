"""Read what arms run on beside hyperparameters: `arms:`, `commit:` and `data:` of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from experiments.design.document.file_fields import Name, Part, checked, key_text, required, short
from experiments.design.space.search_space import ARM, MOST_ARMS, CodeAndData
from experiments.errors import Problem

_LONGEST_NAME = 60


def _commit(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{7,64}", value):
        raise ValueError(f"must be 7 to 64 of the digits 0-9 and a-f (found {short(value)})")
    return value


def _quoted(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("reads as a number; put it in quotes")
    return value


Commit = Annotated[str, BeforeValidator(_quoted), AfterValidator(_commit)]
Label = Annotated[Name, BeforeValidator(_quoted)]


def _version(value: Any) -> Any:
    plain = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
    return str(value) if plain else value


class _Data(Part):
    """The data of a training."""

    name: Label = required("what the data is called")
    version: Annotated[Label, BeforeValidator(_version)] = ""
    checksum: Label = ""


class CodeAndDataPart(Part):
    """Code and data of a training, of the whole file or of one arm."""

    commit: Commit = ""
    data: Any = None


def code_and_data(part: CodeAndDataPart, prefix: str, problems: list[Problem]) -> CodeAndData:
    """The keys `commit` and `data`; `prefix` says where they stand, "" at the top."""
    if part.data is None:
        return CodeAndData(part.commit)
    data = checked(_Data, part.data, f"{prefix}data", problems)
    return CodeAndData(
        part.commit, {key: value for key, value in data.model_dump().items() if value}
    )


def parse_arms(arms: Any, runs: CodeAndData, problems: list[Problem]) -> dict[str, CodeAndData]:
    """The `arms:` part: named arms that differ in code or data. Empty when there is none.

    `runs` is what the whole file says, which stands where an arm says nothing.
    """
    if arms is None:
        return {}
    before = len(problems)
    if not isinstance(arms, Mapping) or not 2 <= len(arms) <= MOST_ARMS:
        problems.append(
            Problem(
                "arms",
                f"must be a mapping of 2 to {MOST_ARMS} names, such as "
                "{before: {commit: 4f1c2e9}, after: {commit: 9a0b1c2}}; for one, write commit: "
                "and data: beside project:",
            )
        )
        return {}
    found = {}
    for name, entry in arms.items():
        where = f"arms.{key_text(name)}"
        if not isinstance(name, str) or not 0 < len(name.strip()) <= _LONGEST_NAME:
            message = f"must have a name of 1 to {_LONGEST_NAME} characters"
            problems.append(Problem(where, message))
        part = checked(CodeAndDataPart, entry, where, problems)
        found[str(name)] = code_and_data(part, f"{where}.", problems)
    if len(problems) == before:
        _check_different(found, runs, problems)
    return found


def _check_different(
    arms: Mapping[str, CodeAndData], runs: CodeAndData, problems: list[Problem]
) -> None:
    seen: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
    for name, arm in arms.items():
        whole = arm.over(runs)
        twin = seen.setdefault((whole.commit, tuple(sorted(whole.data.items()))), name)
        if twin != name:
            problems.append(
                Problem(
                    f"arms.{key_text(name)}",
                    f"runs the same code on the same data as {twin}; arms of hyperparameters "
                    "come from scientific ones",
                )
            )


def check_named_arms(
    hyperparameters: Any, named: Mapping[str, CodeAndData], problems: list[Problem]
) -> None:
    """Named arms stand under the name `ARM`, which no hyperparameter may have then."""
    if named and isinstance(hyperparameters, Mapping) and ARM in hyperparameters:
        problems.append(
            Problem(
                f"hyperparameters.{ARM}",
                "is what the names under arms: are called in conditions; choose another name",
            )
        )
