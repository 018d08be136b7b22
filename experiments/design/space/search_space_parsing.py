"""Read the `hyperparameters:` part of an experiment file, collecting everything that is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from experiments.design.document.file_fields import (
    NO_VALUES,
    AnyScalar,
    Number,
    Part,
    Positive,
    checked,
    is_scalar,
    key_text,
    required,
    short,
)
from experiments.design.space.search_space import (
    ARM,
    MOST_ARMS,
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
_MOST_STEPS = 2**31
NOTHING: Any = Field(default_factory=list)
_RANGE_KEYS = ("low", "high", "log", "step", "type")
_KEYS_OF = {
    "a range": _RANGE_KEYS,
    "choices": ("choices", "ordered"),
    "a value": ("value",),
}
_NO_ARMS_WHEN_MIXED = (
    "each needs a study of its own, but the scientific hyperparameters have a range, or together "
    f"with the arms more than {MOST_ARMS} combinations; give them fewer choices"
)


class _Entry(Part):
    """One hyperparameter: a role, and a range, choices or a value."""

    role: Role = required("scientific, nuisance or fixed")
    low: Number = 0.0
    high: Number = 1.0
    log: bool = False
    step: Positive = None
    type: Literal["int", "float"] | None = None
    choices: Annotated[
        list[AnyScalar], Field(min_length=2, max_length=MOST_CHOICES, fail_fast=True)
    ] = NOTHING
    ordered: bool = False
    value: Any = None
    natural: Annotated[list[Literal["low", "high"]], Field(fail_fast=True)] = NOTHING
    when: dict[Any, Any] = Field(default_factory=dict)


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
        example = "learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}"
        problems.append(Problem("hyperparameters", f"is missing; give at least one: {example}"))
        return SearchSpace(())
    if len(document) > MOST_HYPERPARAMETERS:
        message = f"must be {MOST_HYPERPARAMETERS} or fewer (found {len(document)})"
        problems.append(Problem("hyperparameters", message))
        return SearchSpace(())
    parsed = [_parse_one(name, entry, problems) for name, entry in document.items()]
    good = tuple(hyperparameter for hyperparameter in parsed if hyperparameter is not None)
    names = {name for name in document if isinstance(name, str)}
    if named:
        good = (Hyperparameter(ARM, "scientific", Choices(tuple(named))), *good)
        names.add(ARM)
    space = SearchSpace(good, named or {}, runs or CodeAndData())
    if named and space.is_mixed:
        problems.append(Problem("arms", _NO_ARMS_WHEN_MIXED))
    check_references(space, names, problems)
    return space


def _parse_one(name: Any, found: Any, problems: list[Problem]) -> Hyperparameter | None:
    where = f"hyperparameters.{key_text(name)}"
    wrong: list[Problem] = []
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        wrong.append(Problem(where, f"must have a name of 1 to {LONGEST_NAME} characters"))
    elif not name.isprintable() or name != name.strip():
        wrong.append(Problem(where, "must have a visible name without space around it"))
    entry = checked(_Entry, found, where, wrong)
    domain = None
    if isinstance(found, Mapping):
        kind = _kind(found, entry, where, wrong)
        shape = [problem for problem in wrong if problem.where != f"{where}.role"]
        if kind and not shape:
            domain = _domain(kind, entry, where, wrong)
    when = {
        scalar_key(other): tuple(among if isinstance(among, list) else [among])
        for other, among in entry.when.items()
    }
    for other, values in when.items():
        if not values or not all(map(is_scalar, values)):
            at = f"{where}.when.{key_text(other)}"
            wrong.append(Problem(at, "must be a value or a list of values"))
    problems.extend(wrong)
    if wrong or domain is None:
        return None
    return Hyperparameter(str(name), entry.role, domain, frozenset(entry.natural), when)


def _kind(
    found: Mapping[str, Any], entry: _Entry, where: str, problems: list[Problem]
) -> str | None:
    """Its kind, one of the three, once its other keys go with it."""
    telling = {"a range": ("low", "high"), "choices": ("choices",), "a value": ("value",)}
    given = [kind for kind, keys in telling.items() if any(key in found for key in keys)]
    if len(given) != 1:
        both = f"Enter one of a range, choices or a value (found {' and '.join(given)})."
        problems.append(Problem(where, both if given else NO_VALUES))
        return None
    kind = given[0]
    role_is_known = all(problem.where != f"{where}.role" for problem in problems)
    if role_is_known and (entry.role == "fixed") is not (kind == "a value"):
        needs = "a value" if entry.role == "fixed" else "a range or choices"
        problems.append(Problem(where, f"the role {entry.role} needs {needs}"))
        return None
    for other in (key for keys in _KEYS_OF.values() for key in keys if keys != _KEYS_OF[kind]):
        if other in found:
            problems.append(Problem(f"{where}.{other}", f"has no meaning beside {kind}"))
    for edge in ("low", "high") if kind == "a range" else ():
        if edge not in found:
            problems.append(Problem(f"{where}.{edge}", "is missing; give a number"))
    if entry.natural and kind != "a range" and not entry.ordered:
        problems.append(Problem(f"{where}.natural", "only a range or ordered choices have edges"))
    return kind


def _domain(kind: str, entry: _Entry, where: str, problems: list[Problem]) -> Domain | None:
    before = len(problems)
    if kind == "a range":
        whole = isinstance(entry.low, int) and isinstance(entry.high, int)
        integer = whole if entry.type is None else entry.type == "int"
        problems += [
            Problem(f"{where}{key}", message) for key, message in _wrong_range(entry, integer)
        ]
        if len(problems) > before:
            return None
        step = None if entry.step is None else float(entry.step)
        return Range(float(entry.low), float(entry.high), entry.log, step, integer)
    if kind == "choices":
        for place, value in enumerate(entry.choices):
            if any(same_scalar(value, other) for other in entry.choices[:place]):
                problems.append(Problem(f"{where}.choices", f"{short(value)} appears twice"))
        return Choices(tuple(entry.choices), entry.ordered)
    return _fixed(entry.value, f"{where}.value", problems)


def _wrong_range(entry: _Entry, integer: bool) -> Iterator[tuple[str, str]]:
    """Errors of a range, each with the key that it stands under."""
    low, high, step = entry.low, entry.high, entry.step
    if low >= high:
        limits = f"(low {short(low)}, high {short(high)})"
        yield "", f'"low" must be less than "high" {limits}; for one value use "value"'
    if entry.log and low <= 0:
        yield ".low", f"must be more than 0 on a log scale (found {short(low)})"
    if integer and not (float(low).is_integer() and float(high).is_integer()):
        yield "", "type int needs whole low and high"
    if integer and max(abs(low), abs(high)) > 2**53:
        yield "", "whole numbers beyond 2**53 cannot be searched exactly"
    width = float(high) - float(low)
    if not math.isfinite(width):
        yield "", "the range is too wide for a float; narrow it"
    if step is None:
        return
    if entry.log:
        yield ".step", "a log scale takes no step; leave one out"
    if integer and not float(step).is_integer():
        yield ".step", "type int needs a whole step"
    if not entry.log and step > width:
        yield ".step", "is wider than the range"
    elif not entry.log and width / step > _MOST_STEPS:
        yield ".step", "makes more than 2**31 values; leave it out or widen it"


def _fixed(value: Any, where: str, problems: list[Problem]) -> Fixed | None:
    if not isinstance(value, Mapping):
        if is_scalar(value):
            return Fixed(value)
        wanted = f"must be text, a finite number, true, false or null (found {short(value)})"
        problems.append(Problem(where, wanted))
        return None
    by = value.get("by")
    values: dict[str, Scalar] = {
        scalar_key(key): member for key, member in value.items() if key != "by"
    }
    if not isinstance(by, str) or not values or len(values) < len(value) - 1:
        problems.append(
            Problem(where, "must be one value, or {by: HYPERPARAMETER, ITS VALUE: VALUE, ...}")
        )
    elif not all(map(is_scalar, values.values())):
        problems.append(Problem(where, "must hold text, numbers, true, false or null"))
    else:
        return Fixed(by=by, values=values)
    return None
