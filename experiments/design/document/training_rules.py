"""What an experiment file says about one trial: when it ends early, its budget, its folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from experiments.analysis.curves.early_stopping import (
    PATIENCE_RULES,
    EarlyStopping,
    Patience,
    PatienceRule,
)
from experiments.design.document.fidelity import FIDELITY_NAMES, Fidelity, FidelityName
from experiments.design.document.file_fields import is_number, mapping, short, unknown_keys, whole
from experiments.design.metrics import Metric, guess
from experiments.design.space.search_space import Fixed, Hyperparameter, SearchSpace, same_scalar
from experiments.errors import Problem

MOST_FOLDS = 100
_EARLY_STOPPING_KEYS = ("metric", "patience", "min_delta", "rule")
_FIDELITY_KEYS = ("name", "min", "max")


def parse_early_stopping(
    document: Mapping[str, Any], declared: Mapping[str, Metric], problems: list[Problem]
) -> EarlyStopping | None:
    """The `early_stopping:` part, None when there is none."""
    if document.get("early_stopping") is None:
        return None
    found = mapping(document, "early_stopping", problems)
    before = len(problems)
    unknown_keys(found, _EARLY_STOPPING_KEYS, "early_stopping.", problems)
    patience = whole(found, "early_stopping.patience", problems, low=1, high=1_000_000)
    min_delta = found.get("min_delta", 0.0)
    if not is_number(min_delta) or min_delta < 0:
        problems.append(
            Problem(
                "early_stopping.min_delta", f"found {short(min_delta)}, want a number, 0 or more"
            )
        )
    rule = found.get("rule", "since_best")
    if rule not in PATIENCE_RULES:
        problems.append(
            Problem(
                "early_stopping.rule",
                f"found {short(rule)}, want one of {', '.join(PATIENCE_RULES)}",
            )
        )
    metric, maximize = _watched(found.get("metric"), declared, problems)
    if len(problems) > before:
        return None
    held = Patience(patience, float(min_delta), cast(PatienceRule, rule))
    return EarlyStopping(metric, maximize, held)


def _watched(
    name: Any, declared: Mapping[str, Metric], problems: list[Problem]
) -> tuple[str, bool | None]:
    """A metric's name and whether more of it is better."""
    where = "early_stopping.metric"
    if name is None:
        return "", None
    if not isinstance(name, str) or not name:
        problems.append(Problem(where, f"found {short(name)}, want the name of a metric"))
        return "", None
    metric = declared.get(name) or guess(name)
    if metric.split == "test":
        problems.append(
            Problem(where, f"{short(name)} is a test metric: it would choose what it should judge")
        )
    if metric.direction is None:
        problems.append(Problem(where, f"declare {short(name)} under metrics: with its direction"))
    return name, metric.direction == "maximize"


def parse_folds(document: Mapping[str, Any], problems: list[Problem]) -> int:
    """How many folds, 0 when there are none."""
    if document.get("folds") is None:
        return 0
    return whole(document, "folds", problems, low=2, high=MOST_FOLDS)


def parse_fidelity(
    document: Mapping[str, Any], folds: int, problems: list[Problem]
) -> Fidelity | None:
    """The `fidelity:` part, None when there is none."""
    if document.get("fidelity") is None:
        return None
    found = mapping(document, "fidelity", problems)
    before = len(problems)
    unknown_keys(found, _FIDELITY_KEYS, "fidelity.", problems)
    name = found.get("name")
    if name not in FIDELITY_NAMES:
        problems.append(
            Problem(
                "fidelity.name", f"found {short(name)}, want one of {', '.join(FIDELITY_NAMES)}"
            )
        )
        return None
    for key in ("min", "max"):
        if wrong := _wrong_budget(name, found.get(key)):
            problems.append(Problem(f"fidelity.{key}", wrong))
    if len(problems) == before and found["min"] >= found["max"]:
        problems.append(Problem("fidelity.min", f"{found['min']} is not below max {found['max']}"))
    if folds:
        problems.append(
            Problem("fidelity", "folds take the whole budget each; leave out fidelity or folds")
        )
    if len(problems) > before:
        return None
    return Fidelity(cast(FidelityName, name), found["min"], found["max"])


def _wrong_budget(name: str, value: Any) -> str | None:
    if value is None:
        return "is missing"
    if name == "data_fraction":
        good = is_number(value) and 0 < value <= 1
        return None if good else f"found {short(value)}, want a fraction above 0, at most 1"
    good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 2**31
    return None if good else f"found {short(value)}, want a whole number, 1 or more"


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
