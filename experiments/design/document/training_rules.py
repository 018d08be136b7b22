"""Rules of one trial: early stopping, budget, folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience, PatienceRule
from experiments.design.document.fidelity import Fidelity, FidelityName
from experiments.design.document.file_fields import Name, Number, Part, checked, required, short
from experiments.design.metrics import Metric, guess
from experiments.design.space.search_space import Fixed, Hyperparameter, SearchSpace, same_scalar
from experiments.errors import Problem

MOST_FOLDS = 100


class _EarlyStopping(Part):
    """The `early_stopping:` part."""

    metric: Name | None = None
    patience: Annotated[int, Field(ge=1, le=1_000_000)] = required("how many evaluations to wait")
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    rule: PatienceRule = "since_best"


class _Fidelity(Part):
    """The `fidelity:` part."""

    name: FidelityName = required("epochs, data_fraction or width")
    min: Number = required("the smallest budget")
    max: Number = required("the whole budget")


def parse_early_stopping(
    found: Any, declared: Mapping[str, Metric], problems: list[Problem]
) -> EarlyStopping | None:
    """The `early_stopping:` part, None when there is none."""
    if found is None:
        return None
    before = len(problems)
    part = checked(_EarlyStopping, found, "early_stopping", problems)
    metric, maximize = _watched(part.metric, declared, problems)
    if len(problems) > before:
        return None
    return EarlyStopping(metric, maximize, Patience(part.patience, part.min_delta, part.rule))


def _watched(
    name: str | None, declared: Mapping[str, Metric], problems: list[Problem]
) -> tuple[str, bool | None]:
    """A metric's name and whether more of it is better."""
    if name is None:
        return "", None
    where = "early_stopping.metric"
    metric = declared.get(name) or guess(name)
    if metric.split == "test":
        problems.append(
            Problem(where, f"{short(name)} is a test metric: it would choose what it should judge")
        )
    if metric.direction is None:
        problems.append(Problem(where, f"declare {short(name)} under metrics: with its direction"))
    return name, metric.direction == "maximize"


def parse_fidelity(found: Any, folds: int, problems: list[Problem]) -> Fidelity | None:
    """The `fidelity:` part, None when there is none."""
    if found is None:
        return None
    before = len(problems)
    part = checked(_Fidelity, found, "fidelity", problems)
    if len(problems) == before:
        problems += [
            Problem(f"fidelity.{key}", wrong)
            for key in ("min", "max")
            if (wrong := _wrong_budget(part.name, getattr(part, key)))
        ]
    if len(problems) == before and part.min >= part.max:
        message = f"must be less than max (min {part.min}, max {part.max})"
        problems.append(Problem("fidelity.min", message))
    if folds:
        problems.append(
            Problem("fidelity", "folds take the whole budget each; leave out fidelity or folds")
        )
    return None if len(problems) > before else Fidelity(part.name, part.min, part.max)


def _wrong_budget(name: FidelityName, value: float) -> str | None:
    if name == "data_fraction":
        good = 0 < value <= 1
        return None if good else f"must be more than 0, at most 1 (found {short(value)})"
    good = isinstance(value, int) and 1 <= value <= 2**31
    return None if good else f"must be a whole number, at least 1 (found {short(value)})"


def with_budget(
    space: SearchSpace, fidelity: Fidelity | None, problems: list[Problem]
) -> SearchSpace:
    """The space in which the budget is a fixed hyperparameter with its largest value.

    So a configuration says on which budget it stands, and is run on the same one again.
    """
    if fidelity is None:
        return space
    whole_budget = Fixed(fidelity.high)
    if fidelity.name not in space:
        budget = Hyperparameter(fidelity.name, "fixed", whole_budget)
        return replace(space, hyperparameters=(*space.hyperparameters, budget))
    domain = space[fidelity.name].domain
    if not isinstance(domain, Fixed) or not same_scalar(domain.value, fidelity.high):
        problems.append(
            Problem(
                f"hyperparameters.{fidelity.name}",
                f"is the fidelity, whose max is {fidelity.high}; leave it out here, "
                "or fix it at that value",
            )
        )
    return space
