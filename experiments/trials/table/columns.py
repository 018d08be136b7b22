"""Columns of a runs table: their names, what they hold, whether rows can be sorted by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments.trials.table.filter_language import InvalidFilter, field_of

Kind = Literal["run", "state", "number", "score", "duration", "moment", "text", "chips", "hash"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `key` is a field of the filter language, `detail` tells alike titles apart."""

    key: str
    title: str
    kind: Kind
    detail: str = ""
    sorts: bool = True
    groups: bool = False  # rows can be grouped by it
    help: str = ""
    edits: bool = False  # people change it where it stands

    @property
    def is_number(self) -> bool:
        return self.kind in ("number", "score", "duration")


RUN = Column("number", "run", "run")
FACTS = (
    Column("state", "state", "state", groups=True),
    Column("experiment", "experiment", "text", groups=True),
    Column("arm", "arm", "text", groups=True, help="One assignment of the scientific parameters"),
    Column("score", "score", "score", help="The official metric's best value"),
    Column("best_step", "at step", "number", help="Step of the best checkpoint"),
    Column("seconds", "time", "duration"),
    Column("start_time", "started", "moment"),
    Column("end_time", "ended", "moment"),
    Column("name", "name", "text", groups=True, edits=True),
    Column("tags", "tags", "chips", sorts=False, edits=True),
    Column("note", "note", "text", edits=True),
    Column("finding", "findings", "chips", sorts=False),
    Column("code", "code", "hash", groups=True, help="First digits of its code's digest"),
    Column("data", "data", "text", sorts=False, help="Datasets that the run read"),
    Column("configuration", "configuration", "hash", groups=True, help="Everything but the seeds"),
    Column("device", "device", "text", groups=True),
    Column("worker", "worker", "text", groups=True),
    Column("origin", "origin", "text", groups=True),
    Column("train_seed", "training seed", "number"),
    Column("split_seed", "split seed", "number", groups=True),
    Column("search_seed", "search seed", "number", groups=True),
    Column("attempt", "attempt", "number"),
    Column("evaluations", "evaluations", "number"),
    Column("peak_memory_mb", "memory, MB", "number"),
    Column("failure", "failure", "text"),
)
_BY_KEY = {fact.key: fact for fact in FACTS}
_DETAILS = {"metric": "last", "best": "best", "at_best": "at best step"}


def column_of(key: str, *, metric: str = "") -> Column | None:
    """The column of a key; None for one that there is none of. `metric`: what scores are of."""
    if key == "score" and metric:
        return Column("score", metric, "score", detail="best", help="The official metric")
    if key in _BY_KEY:
        return _BY_KEY[key]
    try:
        field = field_of(key)
    except InvalidFilter:
        return None
    if field.entity in _DETAILS and field.name:
        return Column(key, field.name, "number", detail=_DETAILS[field.entity])
    if field.entity == "parameter" and field.name:
        return Column(key, field.name, "number", groups=True)
    if field.entity == "tag" and field.name:
        return Column(key, field.name, "text", detail="tag", groups=True)
    return None
