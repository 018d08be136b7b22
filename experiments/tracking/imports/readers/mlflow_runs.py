"""Runs of MLflow, read from its folder, its database or its server into foreign runs.

Parameters and tags are kept as MLflow has them, as text; those of its own tags that say something
that Verdict has a field for (name, parent, notes, commit, user) become that field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignFile,
    ForeignRun,
    ForeignState,
    moment,
)

# States by the word that databases and servers use; folders write the number.
STATES: dict[str, ForeignState] = {
    "RUNNING": "running",
    "SCHEDULED": "running",
    "FINISHED": "complete",
    "FAILED": "failed",
    "KILLED": "cancelled",
}
STATE_NUMBERS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
PARENT, NAME, NOTES = "mlflow.parentRunId", "mlflow.runName", "mlflow.note.content"
COMMIT, USER = "mlflow.source.git.commit", "mlflow.user"
_LARGEST = 1.7976931348623157e308  # MLflow's databases hold infinity as this


@dataclass(frozen=True, slots=True)
class MLflowRun:
    """A run of MLflow without its points, which `curves` reads."""

    run_id: str
    name: str
    experiment: str
    status: str
    start_ms: int | None
    end_ms: int | None
    user: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    curves: Callable[[], Curves]
    files: Iterable[ForeignFile] = ()
    stamp: str = ""
    left_out: Sequence[str] = field(default_factory=list)

    @property
    def parent(self) -> str:
        """Id of the run that it is nested in, or nothing."""
        return self.tags.get(PARENT, "")

    def foreign(self) -> ForeignRun:
        """The run in the shape that all readers make."""
        fields = (PARENT, NAME, NOTES, COMMIT, USER)
        return ForeignRun(
            key=self.run_id,
            name=self.name or self.tags.get(NAME, ""),
            experiment=self.experiment,
            state=STATES.get(self.status, "complete"),
            parameters=dict(self.parameters),
            tags={key: text for key, text in self.tags.items() if key not in fields},
            curves=self.curves,
            started_at=moment(self.start_ms),
            finished_at=moment(self.end_ms),
            user=self.user or self.tags.get(USER, ""),
            notes=self.tags.get(NOTES, ""),
            commit=self.tags.get(COMMIT, ""),
            parent=self.parent,
            files=self.files,
            stamp=self.stamp,
            left_out=self.left_out,
        )


def value_of(number: float | None, is_nan: object = False) -> float:
    """A metric's value as it was logged, from how MLflow's database holds it."""
    if is_nan or number is None:
        return float("nan")
    return float("inf") * (1 if number > 0 else -1) if abs(number) >= _LARGEST else float(number)
