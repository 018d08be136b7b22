"""Read what arms run on beside hyperparameters: `arms:`, `commit:` and `data:` of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from experiments.design.document.file_fields import key_text, short, unknown_keys
from experiments.design.space.search_space import ARM, MOST_ARMS, CodeAndData
from experiments.errors import Problem

_KEYS = ("commit", "data")
_DATA_KEYS = ("name", "version", "checksum")
_LONGEST_NAME = 60
_LONGEST = 200


def parse_code_and_data(
    found: Mapping[str, Any], prefix: str, problems: list[Problem]
) -> CodeAndData:
    """The keys `commit` and `data` of a mapping; `prefix` says where it stands, "" at the top."""
    return CodeAndData(
        _commit(found.get("commit"), f"{prefix}commit", problems),
        _data(found.get("data"), f"{prefix}data", problems),
    )


def parse_arms(
    document: Mapping[str, Any], runs: CodeAndData, problems: list[Problem]
) -> dict[str, CodeAndData]:
    """The `arms:` part: named arms that differ in code or data. Empty when there is none.

    `runs` is what the whole file says, which stands where an arm says nothing.
    """
    arms = document.get("arms")
    if arms is None:
        return {}
    before = len(problems)
    if not isinstance(arms, Mapping) or not 2 <= len(arms) <= MOST_ARMS:
        problems.append(
            Problem(
                "arms",
                f"want a mapping of 2 to {MOST_ARMS} names, such as "
                "{before: {commit: 4f1c2e9}, after: {commit: 9a0b1c2}}; for one, write commit: "
                "and data: beside project:",
            )
        )
        return {}
    found = {}
    for name, entry in arms.items():
        where = f"arms.{key_text(name)}"
        if not isinstance(name, str) or not 0 < len(name.strip()) <= _LONGEST_NAME:
            problems.append(Problem(where, f"want a name of 1 to {_LONGEST_NAME} characters"))
        if not isinstance(entry, Mapping | None):
            problems.append(Problem(where, "want a mapping with commit, data or both"))
            continue
        unknown_keys(entry or {}, _KEYS, f"{where}.", problems)
        found[str(name)] = parse_code_and_data(entry or {}, f"{where}.", problems)
    if len(problems) == before:
        _check_different(found, runs, problems)
    return found


def _check_different(
    arms: Mapping[str, CodeAndData], runs: CodeAndData, problems: list[Problem]
) -> None:
    seen: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
    for name, each in arms.items():
        whole = each.over(runs)
        twin = seen.setdefault((whole.commit, tuple(sorted(whole.data.items()))), name)
        if twin != name:
            problems.append(
                Problem(
                    f"arms.{key_text(name)}",
                    f"runs the same code on the same data as {twin}; arms of hyperparameters "
                    "come from scientific ones",
                )
            )


def _commit(value: Any, where: str, problems: list[Problem]) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        problems.append(Problem(where, "reads as a number; put the commit in quotes"))
        return ""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{7,64}", value):
        problems.append(
            Problem(where, f"found {short(value)}, want 7 to 64 of the digits 0-9 and a-f")
        )
        return ""
    return value


def _data(value: Any, where: str, problems: list[Problem]) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problems.append(
            Problem(where, 'want a mapping such as {name: digits, version: "2", checksum: ...}')
        )
        return {}
    unknown_keys(value, _DATA_KEYS, f"{where}.", problems)
    found = {}
    for key in _DATA_KEYS:
        entry = value.get(key)
        if entry is None:
            continue
        if key == "version" and isinstance(entry, int) and 0 <= entry < 10**9:
            entry = str(int(entry))
        if isinstance(entry, int | float):
            problems.append(Problem(f"{where}.{key}", "reads as a number; put it in quotes"))
        elif not isinstance(entry, str) or not 0 < len(entry.strip()) <= _LONGEST:
            problems.append(
                Problem(f"{where}.{key}", f"found {short(entry)}, want 1 to {_LONGEST} characters")
            )
        else:
            found[key] = entry.strip()
    if value.get("name") is None:
        problems.append(Problem(f"{where}.name", "is missing"))
    return found


def check_named_arms(
    document: Mapping[str, Any], named: Mapping[str, CodeAndData], problems: list[Problem]
) -> None:
    """Named arms stand under the name `ARM`, which no hyperparameter may have then."""
    hyperparameters = document.get("hyperparameters")
    if named and isinstance(hyperparameters, Mapping) and ARM in hyperparameters:
        problems.append(
            Problem(
                f"hyperparameters.{ARM}",
                "is what the names under arms: are called in conditions; choose another name",
            )
        )
