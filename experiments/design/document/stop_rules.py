"""What an experiment file says about when a whole search ends before its budget is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.design.catalogue import TERMINATORS
from experiments.design.document.file_fields import is_number, mapping, short, unknown_keys
from experiments.design.document.search_methods import Chosen, parse_method
from experiments.errors import Problem

# Rules that are numbers; trials and no_improvement_for count trials of all arms together.
_NUMBERS = ("trials", "minutes", "gpu_hours", "no_improvement_for")
_WHOLE = ("trials", "no_improvement_for")
# Of a study whose arm ended before its budget was used: why.
STOPPED_ATTRIBUTE = "verdict:stopped"
STOP_KEYS = (*_NUMBERS, "terminator")


def parse_stop(document: Mapping[str, Any], problems: list[Problem]) -> dict[str, float]:
    """The rules that are numbers, by name; whichever holds first ends the search."""
    stop = mapping(document, "stop", problems)
    unknown_keys(stop, STOP_KEYS, "stop.", problems)
    rules = {}
    for key in _NUMBERS:
        if key not in stop:
            continue
        value = stop[key]
        if not is_number(value) or value <= 0:
            problems.append(Problem(f"stop.{key}", f"found {short(value)}, want a number above 0"))
        elif key in _WHOLE and not float(value).is_integer():
            problems.append(Problem(f"stop.{key}", f"found {short(value)}, want a whole number"))
        else:
            rules[key] = float(value)
    return rules


def parse_terminator(
    document: Mapping[str, Any], folds: int, problems: list[Problem]
) -> Chosen | None:
    """Optuna's terminator: `true`, a name, or a name with options; None when there is none.

    `true` takes the regret bound where there are folds to tell the error from, else EMMR, which
    needs none.
    """
    stop = document.get("stop")
    given = stop.get("terminator") if isinstance(stop, Mapping) else None
    if given is None or given is False:
        return None
    if given is True:
        given = "regret_bound" if folds else "emmr"
    where = "stop.terminator"
    chosen = parse_method(given, where, TERMINATORS, problems)
    if chosen.known and chosen.name == "regret_bound" and not folds:
        problems.append(
            Problem(where, "regret_bound takes the error from folds; say folds: 5, or take emmr")
        )
    return chosen if chosen.known else None
