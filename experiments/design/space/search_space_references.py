"""Conditions and values per arm: whether what a hyperparameter refers to can decide over it.

Deep Learning Tuning Playbook, "Identifying scientific, nuisance, and fixed hyperparameters": a
hyperparameter that exists only under some values of another is another one under each of them.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from experiments.design.document.file_fields import key_text, short
from experiments.design.space.search_space import (
    MOST_ARMS,
    Choices,
    Fixed,
    Hyperparameter,
    Range,
    Scalar,
    SearchSpace,
    scalar_key,
)
from experiments.errors import Problem


def check_references(space: SearchSpace, named: AbstractSet[str], problems: list[Problem]) -> None:
    """Add what is wrong with `when:` and `value: {by: ...}` to `problems`.

    Only scientific and fixed hyperparameters may decide: each of their values has its own study.
    named: all names of the file, those included that were left out of `space` for an error.
    """
    before = len(problems)
    for hyperparameter in space.hyperparameters:
        where = f"hyperparameters.{hyperparameter.name}"
        domain = hyperparameter.domain
        if isinstance(domain, Fixed) and domain.by:
            _check_reference(
                space, hyperparameter.name, domain.by, f"{where}.value.by", named, problems
            )
            if domain.by in space:
                _check_keys(space[domain.by], domain, where, problems)
        for name, among in hyperparameter.when.items():
            at = f"{where}.when.{key_text(name)}"
            _check_reference(space, hyperparameter.name, name, at, named, problems)
            if name in space:
                _check_among(space[name], among, at, problems)
    if len(problems) == before and all(other in space for other in named):
        _check_circles(space, problems)
        _check_arms(space, problems)


def _check_reference(
    space: SearchSpace,
    own: str,
    name: str,
    where: str,
    named: AbstractSet[str],
    problems: list[Problem],
) -> None:
    if name not in named:
        problems.append(Problem(where, f"there is no hyperparameter {short(name)}"))
    elif name == own:
        problems.append(Problem(where, "refers to itself"))
    elif name in space and space[name].role == "nuisance":
        problems.append(
            Problem(
                where,
                f"{name} is a nuisance hyperparameter; only scientific and fixed ones "
                "can decide what exists, because each of their values has its own study: "
                f"make {name} scientific with choices, and each is an arm",
            )
        )
    elif name in space and isinstance(space[name].domain, Range):
        problems.append(
            Problem(where, f"{name} has a range; give it choices, so that each value is an arm")
        )
    elif name in space and space[name].role == "scientific" and space.is_mixed:
        problems.append(
            Problem(
                where,
                f"{name} is drawn in one mixed space, where points cannot lack a dimension: "
                "quasi-random points would no longer fill it evenly. Give the scientific "
                f"hyperparameters choices with at most {MOST_ARMS} combinations, so that each "
                "is an arm with a study of its own",
            )
        )


def _check_keys(other: Hyperparameter, domain: Fixed, where: str, problems: list[Problem]) -> None:
    """The keys of `value: {by: other, ...}` are the values of the other one, each once."""
    if isinstance(other.domain, Range):
        return
    values = other.domain.values if isinstance(other.domain, Choices) else ()
    wanted: dict[str, Any] = {}
    for value in values:
        if scalar_key(value) in wanted:
            problems.append(
                Problem(
                    f"{where}.value",
                    f"cannot tell the choices {short(wanted[scalar_key(value)])} and "
                    f"{short(value)} of {other.name} apart",
                )
            )
        wanted[scalar_key(value)] = value
    for key, value in wanted.items():
        if key not in domain.values:
            problems.append(
                Problem(f"{where}.value", f"says nothing for {other.name} = {short(value)}")
            )
    for key in domain.values if wanted else ():
        if key not in wanted:
            problems.append(
                Problem(
                    f"{where}.value.{key_text(key)}",
                    f"is no value of {other.name}; expected {short(list(wanted), 200)}",
                )
            )


def _check_among(
    other: Hyperparameter, among: tuple[Scalar, ...], where: str, problems: list[Problem]
) -> None:
    if not isinstance(other.domain, Choices):
        return
    for value in among:
        if not other.domain.holds(value):
            problems.append(
                Problem(
                    where, f"{short(value)} is none of {short(list(other.domain.values), 200)}"
                )
            )


def _check_circles(space: SearchSpace, problems: list[Problem]) -> None:
    """Refuse conditions that wait for one another: such hyperparameters never exist."""
    waiting = {hyperparameter.name: hyperparameter for hyperparameter in space.hyperparameters}
    while ready := [
        name
        for name, hyperparameter in waiting.items()
        if not hyperparameter.needs & waiting.keys()
    ]:
        for name in ready:
            del waiting[name]
    for name in waiting:
        problems.append(
            Problem(
                f"hyperparameters.{name}",
                f"depends on itself by way of {', '.join(sorted(waiting[name].needs))}",
            )
        )


def _check_arms(space: SearchSpace, problems: list[Problem]) -> None:
    """Every hyperparameter exists in some arm, and has a value wherever it exists."""
    arms = space.arms()
    found = {name for arm in arms for name in (*arm.values, *arm.fixed)}
    found |= {searched.name for arm in arms for searched in arm.searched}
    for hyperparameter in space.hyperparameters:
        where = f"hyperparameters.{hyperparameter.name}"
        if hyperparameter.name not in found and not problems:
            problems.append(Problem(where, "exists in no arm: its condition never holds"))
    for arm in arms:
        known = {**arm.fixed, **arm.values}
        for fixed in space.of_role("fixed"):
            domain = fixed.domain
            if (
                isinstance(domain, Fixed)
                and fixed.exists_under(known)
                and not domain.has_value_under(known)
            ):
                problems.append(
                    Problem(
                        f"hyperparameters.{fixed.name}.value",
                        f"says nothing where {arm.label or 'it is needed'}"
                        + ("" if domain.by in known else f", as {domain.by} does not exist there"),
                    )
                )
                return
