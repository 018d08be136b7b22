"""A trial's row as storage and workers read it: plain SQL columns, decoded on demand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution

from experiments.models import trial_encoding as encoding

# In the order of `TrialRow`.
NAMES = (
    "id",
    "study_id",
    "number",
    "state",
    "attempt",
    "started_at",
    "finished_at",
    '"values"',
    "parameters",
    "distributions",
    "user_attributes",
    "system_attributes",
    "reports",
    "failure_kind",
)
COLUMNS = ", ".join(NAMES)
COLUMNS_OF_T = ", ".join(f"t.{name}" for name in NAMES)


@dataclass(frozen=True, slots=True)
class Texts:
    """The columns of a trial that are written key by key, as somebody last saw them."""

    parameters: str = "{}"
    distributions: str = "{}"
    user_attributes: str = "{}"
    system_attributes: str = "{}"


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial as it is stored. `reports_blob` is filled when the trial has finished."""

    id: int
    study_id: int
    number: int
    state: int
    attempt: int
    started_at: dt.datetime | None  # with a time zone, as all times here
    finished_at: dt.datetime | None
    values_text: str | None
    parameters_text: str
    distributions_text: str
    user_attributes_text: str
    system_attributes_text: str
    reports_blob: bytes | memoryview | None
    failure_kind: str

    @property
    def values(self) -> tuple[float, ...] | None:
        """The objectives' values, None when none were told."""
        return encoding.decode_values(self.values_text)

    @property
    def parameters(self) -> dict[str, Any]:
        """Values as the objective sees them, in the order in which they were suggested."""
        found: dict[str, Any] = encoding.decode(self.parameters_text)
        return found

    @property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """Distribution by parameter; shared with other trials, never to be changed."""
        return encoding.decode_distributions(self.distributions_text)

    @property
    def user_attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = encoding.decode(self.user_attributes_text)
        return found

    @property
    def system_attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = encoding.decode(self.system_attributes_text)
        return found

    @property
    def reports(self) -> dict[int, float]:
        """Intermediate value by step, of a finished trial."""
        return encoding.decode_reports(self.reports_blob)

    @property
    def texts(self) -> Texts:
        return Texts(
            self.parameters_text,
            self.distributions_text,
            self.user_attributes_text,
            self.system_attributes_text,
        )


def from_columns(columns: Sequence[Any]) -> TrialRow:
    """The row of a tuple of `COLUMNS`, with the times that SQLite keeps as text read."""
    key, study, number, state, attempt, started, finished, *rest = columns
    return TrialRow(key, study, number, state, attempt, moment(started), moment(finished), *rest)


def moment(value: dt.datetime | str | None) -> dt.datetime | None:
    """A stored time with its zone; databases without zones keep UTC."""
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if value is not None and value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    return value
