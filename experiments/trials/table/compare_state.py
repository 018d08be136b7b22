"""State of a comparison of runs, all of which its address holds.

`run` (several, or joined by commas) the ids of runs, `experiment` (several) the experiments whose
candidate or best run takes part, `baseline` the id of the run that others are compared with, `all`
whether rows that agree are shown too, `values` which value of a metric is compared, `diff` what
differences in text are shown of, `with` the run that they are of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from django.http import QueryDict

MOST_RUNS = 50
Values = Literal["best", "last"]  # at the run's best step, or at its last one
KEYS = ("run", "experiment", "baseline", "all", "values", "diff", "with")


@dataclass(frozen=True, slots=True)
class CompareState:
    """State of a comparison; `runs` and `experiments` may be more than are compared."""

    runs: tuple[int, ...] = ()
    experiments: tuple[str, ...] = ()
    baseline: int | None = None
    everything: bool = False
    values: Values = "best"
    diff: str = ""
    other: int | None = None


def read_compare_state(query: QueryDict) -> CompareState:
    """The state that an address asks for; what it cannot mean is left out."""
    texts = [part for text in query.getlist("run") for part in text.split(",")]
    values = query.get("values", "")
    return CompareState(
        runs=tuple(dict.fromkeys(run_id for text in texts if (run_id := _id(text)) is not None)),
        experiments=tuple(dict.fromkeys(filter(None, query.getlist("experiment")))),
        baseline=_id(query.get("baseline", "")),
        everything=query.get("all") == "1",
        values=cast(Values, values) if values in get_args(Values) else "best",
        diff=query.get("diff", ""),
        other=_id(query.get("with", "")),
    )


def _id(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdecimal() and len(text) < 16 else None
