"""Known-good configurations that an experiment file wants tried first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.design.document.file_fields import MOST_FIRST, key_text, short
from experiments.design.space.domains import refusal
from experiments.design.space.search_space import (
    Arm,
    Fixed,
    Scalar,
    SearchSpace,
    same_scalar,
    searched_domain,
)
from experiments.errors import Problem


def parse_first(
    first: Any, named: Any, space: SearchSpace, problems: list[Problem]
) -> tuple[dict[str, Scalar], ...]:
    """The `first:` part: each configuration names every hyperparameter that its arms search.

    `named`: the file's hyperparameters, those included that `space` leaves out for an error.
    """
    if first is None:
        return ()
    if not isinstance(first, list) or len(first) > MOST_FIRST:
        problems.append(Problem("first", f"must be a list of at most {MOST_FIRST} configurations"))
        return ()
    broken = (
        {str(name) for name in named if name not in space} if isinstance(named, Mapping) else set()
    )
    for index, configuration in enumerate(first):
        where = f"first.{index + 1}"
        if not isinstance(configuration, Mapping):
            problems.append(Problem(where, "must be a mapping of hyperparameters to values"))
            continue
        for name, value in configuration.items():
            _check_value(space, broken, name, value, f"{where}.{key_text(name)}", problems)
        if not problems:
            _check_covers(space, configuration, where, problems)
    return tuple(
        dict(configuration) for configuration in first if isinstance(configuration, Mapping)
    )


def _check_value(
    space: SearchSpace,
    broken: set[str],
    name: Any,
    value: Any,
    where: str,
    problems: list[Problem],
) -> None:
    if str(name) in broken:
        return  # said already, where it stands
    if name not in space:
        problems.append(Problem(where, "no hyperparameter of that name is searched"))
    elif isinstance(space[name].domain, Fixed):
        problems.append(Problem(where, "is fixed; leave it out"))
    elif reason := refusal(searched_domain(space[name]), value):
        problems.append(Problem(where, f"{short(value)} {reason}"))


def _check_covers(
    space: SearchSpace, first: Mapping[str, Any], where: str, problems: list[Problem]
) -> None:
    arms = first_arms(space, first)
    if not arms:
        problems.append(Problem(where, "there is no arm with these values together"))
    for arm in arms:
        missing = [
            hyperparameter.name
            for hyperparameter in arm.searched
            if hyperparameter.name not in first
        ]
        if missing:
            condition = f" (needed where {arm.label})" if arm.label else ""
            problems.append(Problem(where, f"says nothing about {', '.join(missing)}{condition}"))
            return


def first_arms(space: SearchSpace, first: Mapping[str, Any]) -> tuple[Arm, ...]:
    """The arms in which a known-good configuration is tried: those it does not contradict."""
    return tuple(
        arm
        for arm in space.arms()
        if all(
            name not in first or same_scalar(first[name], value)
            for name, value in arm.values.items()
        )
    )
