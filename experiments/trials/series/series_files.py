"""Series as files: CSV and Parquet, written piece by piece, every double exact.

Columns: trial, metric, step, time_ms (since 1970), value, attempt, on_curve (false for what an
earlier attempt logged and a later one trained again). What is not finite reads nan, inf or
-inf in CSV; a name that a spreadsheet would run as a formula gets an apostrophe in front there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from experiments.trials.series.series_encoding import SeriesColumns

Kind = Literal["csv", "parquet"]
CONTENT_TYPES: dict[Kind, str] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Some points of one metric of one trial's attempt, in logging order."""

    trial: str
    metric: str
    columns: SeriesColumns
    attempt: int = 0
    on_curve: bool = True


def write(
    pieces: Iterable[Piece], kind: Kind, *, any_steps: Callable[[], bool] = lambda: False
) -> Iterator[bytes]:
    """The bytes of a file, in parts; only one part at a time is in memory.

    `any_steps`: whether a step may be no whole number. A Parquet file then has all as doubles.
    """
    from experiments.trials.series import arrow_writers  # here: pyarrow is large, and few write

    if kind == "csv":
        return arrow_writers.write_csv(pieces)
    return arrow_writers.write_parquet(pieces, any_steps)
