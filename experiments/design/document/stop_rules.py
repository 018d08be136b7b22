"""Stop rules of a search: when it ends before its budget is used."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from experiments.design.catalogue import TERMINATORS
from experiments.design.document.file_fields import Part, Positive, short
from experiments.design.document.search_methods import Chosen, parse_method
from experiments.errors import Problem

# Of a study whose arm ended before its budget was used: why.
STOPPED_ATTRIBUTE = "verdict:stopped"
OUTLOOK_ATTRIBUTE = "verdict:outlook"  # why its terminator has not ended an arm


def _whole(value: Any) -> Any:
    if value is not None and not float(value).is_integer():
        raise ValueError(f"must be a whole number (found {short(value)})")
    return value


class StopPart(Part):
    """The `stop:` part; whichever rule holds first ends the search.

    `trials` and `no_improvement_for` count trials of all arms together.
    """

    trials: Annotated[Positive, AfterValidator(_whole)] = None
    minutes: Positive = None
    gpu_hours: Positive = None
    no_improvement_for: Annotated[Positive, AfterValidator(_whole)] = None
    terminator: Any = None

    def numbers(self) -> dict[str, float]:
        """The rules that are numbers, by name."""
        found = self.model_dump(exclude={"terminator"}, exclude_none=True)
        return {key: float(value) for key, value in found.items()}


def parse_terminator(given: Any, folds: int, problems: list[Problem]) -> Chosen | None:
    """Optuna's terminator: `true`, a name, or a name with options; None when there is none.

    `true` takes the regret bound where there are folds to tell the error from, else EMMR, which
    needs none.
    """
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
