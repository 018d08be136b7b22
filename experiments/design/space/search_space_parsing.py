"""Read the `hyperparameters:` part of an experiment file, collecting everything that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from experiments.design.document.file_fields import is_number, key_text, short
from experiments.design.space.search_space import (
    ARM,
    MOST_ARMS,
    ROLES,
    Choices,
    CodeAndData,
    Domain,
    Fixed,
    Hyperparameter,
    Range,
    Role,
    Scalar,
    SearchSpace,
    same_scalar,
    scalar_key,
)
from experiments.design.space.search_space_references import check_references
from experiments.errors import Problem

MOST_HYPERPARAMETERS = 200
LONGEST_NAME = 200
MOST_CHOICES = 1000
_RANGE_KEYS = ("low", "high", "log", "step", "type")
_KEYS = ("role", *_RANGE_KEYS, "choices", "ordered", "value", "natural", "when")
_EDGES = ("low", "high")
_MOST_STEPS = 2**31
_NO_ARMS_WHEN_MIXED = (
    "each needs a study of its own, but the scientific hyperparameters have a range, or together "
    f"with the arms more than {MOST_ARMS} combinations; give them fewer choices"
)


def parse_search_space(
    document: Any,
    problems: list[Problem],
    *,
    named: Mapping[str, CodeAndData] | None = None,
    runs: CodeAndData | None = None,
) -> SearchSpace:
    """The search space of an experiment file; what is wrong is added to `problems`.

    Hyperparameters with something wrong are left out of the result. `named` are arms that differ
    in code or data, `runs` is what all others run on.
    """
    if not isinstance(document, Mapping) or not document:
        problems.append(
            Problem(
                "hyperparameters",
                "want at least one, such as learning_rate: {role: nuisance, low: 1e-4, "
                "high: 1e-1, log: true}",
            )
        )
        return SearchSpace(())
    if len(document) > MOST_HYPERPARAMETERS:
        problems.append(
            Problem(
                "hyperparameters", f"found {len(document)}, want {MOST_HYPERPARAMETERS} or fewer"
            )
        )
        return SearchSpace(())
    parsed = [_parse_one(name, entry, problems) for name, entry in document.items()]
    good = tuple(each for each in parsed if each is not None)
    names = {name for name in document if isinstance(name, str)}
    if named:
        good = (Hyperparameter(ARM, "scientific", Choices(tuple(named))), *good)
        names.add(ARM)
    space = SearchSpace(good, named or {}, runs or CodeAndData())
    if named and space.is_mixed:
        problems.append(Problem("arms", _NO_ARMS_WHEN_MIXED))
    check_references(space, names, problems)
    return space


def _parse_one(name: Any, entry: Any, problems: list[Problem]) -> Hyperparameter | None:
    where = f"hyperparameters.{key_text(name)}"
    found: list[Problem] = []
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        found.append(Problem(where, f"want a name of 1 to {LONGEST_NAME} characters"))
    elif not name.isprintable() or name != name.strip():
        found.append(Problem(where, "want a name of visible characters, no space around it"))
    if not isinstance(entry, Mapping):
        found.append(Problem(where, "want a mapping with a role and a range, choices or a value"))
        problems.extend(found)
        return None
    for key in entry:
        if key not in _KEYS:
            found.append(
                Problem(f"{where}.{key_text(key)}", f"unknown key; want one of {', '.join(_KEYS)}")
            )
    role = entry.get("role")
    if role not in ROLES:
        had = "is missing" if role is None else f"found {short(role)}"
        found.append(Problem(f"{where}.role", f"{had}; want one of {', '.join(ROLES)}"))
    domain = _domain(entry, where, role, found)
    natural = _natural(entry, where, domain, found)
    when = _when(entry, where, found)
    problems.extend(found)
    if found or domain is None:
        return None
    return Hyperparameter(str(name), cast(Role, role), domain, natural, when)


def _domain(
    entry: Mapping[str, Any], where: str, role: Any, problems: list[Problem]
) -> Domain | None:
    given = [
        kind
        for kind, keys in (("range", _EDGES), ("choices", ("choices",)), ("value", ("value",)))
        if any(key in entry for key in keys)
    ]
    if len(given) != 1:
        had = "found " + " and ".join(given) if given else "found none"
        problems.append(
            Problem(where, f"{had}; want exactly one of low and high, choices, or value")
        )
        return None
    if role in ROLES and (role == "fixed") is not (given[0] == "value"):
        want = "a value" if role == "fixed" else "low and high, or choices"
        problems.append(Problem(where, f"the role {role} needs {want}"))
        return None
    misplaced = {"range": ("ordered",), "choices": _RANGE_KEYS, "value": (*_RANGE_KEYS, "ordered")}
    for key in misplaced[given[0]]:
        if key in entry:
            problems.append(Problem(f"{where}.{key}", f"has no meaning beside {given[0]}"))
    if given[0] == "range":
        return _range(entry, where, problems)
    return (
        _choices(entry, where, problems)
        if given[0] == "choices"
        else _fixed(entry["value"], where, problems)
    )


def _range(entry: Mapping[str, Any], where: str, problems: list[Problem]) -> Range | None:
    before = len(problems)
    for edge in _EDGES:
        if edge not in entry:
            problems.append(Problem(f"{where}.{edge}", "is missing; want a number"))
        elif not is_number(entry[edge]):
            problems.append(
                Problem(f"{where}.{edge}", f"found {short(entry[edge])}, want a finite number")
            )
    log = entry.get("log", False)
    if not isinstance(log, bool):
        problems.append(Problem(f"{where}.log", f"found {short(log)}, want true or false"))
    if entry.get("type", "float") not in ("int", "float"):
        problems.append(
            Problem(f"{where}.type", f"found {short(entry['type'])}, want int or float")
        )
    if len(problems) > before:
        return None
    low, high = entry["low"], entry["high"]
    whole = isinstance(low, int) and isinstance(high, int)
    integer = entry["type"] == "int" if "type" in entry else whole
    _check_edges(low, high, log=log, integer=integer, where=where, problems=problems)
    step = _step(entry, where, log=log, integer=integer, problems=problems)
    if len(problems) > before:
        return None
    return Range(float(low), float(high), log, step, integer)


def _check_edges(
    low: float, high: float, *, log: bool, integer: bool, where: str, problems: list[Problem]
) -> None:
    if low >= high:
        problems.append(
            Problem(
                where,
                f"low {short(low)} is not below high {short(high)}; for one value use value",
            )
        )
    if log and low <= 0:
        problems.append(
            Problem(f"{where}.low", f"a log scale cannot hold {short(low)}; want more than 0")
        )
    if integer and not (float(low).is_integer() and float(high).is_integer()):
        problems.append(Problem(where, "type int needs whole low and high"))
    if integer and max(abs(low), abs(high)) > 2**53:
        problems.append(Problem(where, "whole numbers beyond 2**53 cannot be searched exactly"))
    if not math.isfinite(float(high) - float(low)):
        problems.append(Problem(where, "the range is too wide for a float; narrow it"))


def _step(
    entry: Mapping[str, Any], where: str, *, log: bool, integer: bool, problems: list[Problem]
) -> float | None:
    step = entry.get("step")
    if step is None:
        return None
    if not is_number(step) or step <= 0:
        problems.append(Problem(f"{where}.step", f"found {short(step)}, want a number above 0"))
        return None
    if log:
        problems.append(Problem(f"{where}.step", "a log scale takes no step; leave one out"))
    if integer and not float(step).is_integer():
        problems.append(Problem(f"{where}.step", "type int needs a whole step"))
    width = float(entry["high"]) - float(entry["low"])
    if not log and step > width:
        problems.append(Problem(f"{where}.step", "is wider than the range"))
    elif not log and width / step > _MOST_STEPS:
        problems.append(
            Problem(f"{where}.step", "makes more than 2**31 values; leave it out or widen it")
        )
    return float(step)


def _scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 1000
    if isinstance(value, float):
        return math.isfinite(value)
    return (
        value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63)
    )


def _choices(entry: Mapping[str, Any], where: str, problems: list[Problem]) -> Choices | None:
    values = entry["choices"]
    ordered = entry.get("ordered", False)
    before = len(problems)
    if not isinstance(ordered, bool):
        problems.append(Problem(f"{where}.ordered", f"found {short(ordered)}, want true or false"))
    if not isinstance(values, list) or not 2 <= len(values) <= MOST_CHOICES:
        problems.append(Problem(f"{where}.choices", f"want a list of 2 to {MOST_CHOICES} values"))
        return None
    for value in values:
        if not _scalar(value):
            problems.append(
                Problem(
                    f"{where}.choices",
                    f"found {short(value)}, want text, finite numbers, true, false or null",
                )
            )
            return None
    for position, value in enumerate(values):
        if any(same_scalar(value, other) for other in values[:position]):
            problems.append(Problem(f"{where}.choices", f"{short(value)} stands there twice"))
    return None if len(problems) > before else Choices(tuple(values), ordered)


def _fixed(value: Any, where: str, problems: list[Problem]) -> Fixed | None:
    if isinstance(value, Mapping):
        by = value.get("by")
        values = {scalar_key(key): each for key, each in value.items() if key != "by"}
        if not isinstance(by, str) or not values or len(values) < len(value) - 1:
            problems.append(
                Problem(
                    f"{where}.value",
                    "want one value, or {by: HYPERPARAMETER, ITS VALUE: VALUE, ...}",
                )
            )
            return None
        if not all(_scalar(each) for each in values.values()):
            problems.append(Problem(f"{where}.value", "want text, numbers, true, false or null"))
            return None
        return Fixed(by=by, values=values)
    if not _scalar(value):
        problems.append(
            Problem(
                f"{where}.value",
                f"found {short(value)}, want text, a finite number, true, false or null",
            )
        )
        return None
    return Fixed(value)


def _natural(
    entry: Mapping[str, Any], where: str, domain: Domain | None, problems: list[Problem]
) -> frozenset[str]:
    natural = entry.get("natural", [])
    if not isinstance(natural, list) or any(edge not in _EDGES for edge in natural):
        problems.append(Problem(f"{where}.natural", "want a list with low, high or both"))
        return frozenset()
    if natural and not (
        isinstance(domain, Range) or (isinstance(domain, Choices) and domain.ordered)
    ):
        problems.append(Problem(f"{where}.natural", "only a range or ordered choices have edges"))
    return frozenset(natural)


def _when(
    entry: Mapping[str, Any], where: str, problems: list[Problem]
) -> dict[str, tuple[Scalar, ...]]:
    when = entry.get("when", {})
    if not isinstance(when, Mapping):
        problems.append(Problem(f"{where}.when", "want a mapping such as {optimizer: sgd}"))
        return {}
    conditions = {}
    for name, among in when.items():
        values = among if isinstance(among, list) else [among]
        if not values or not all(_scalar(value) for value in values):
            at = f"{where}.when.{key_text(name)}"
            problems.append(Problem(at, "want a value or a list of values"))
            continue
        conditions[scalar_key(name)] = tuple(values)
    return conditions
