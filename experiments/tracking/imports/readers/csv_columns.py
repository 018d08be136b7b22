"""Columns of a CSV file by their headers: what each is of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from experiments.design.metrics import guess
from experiments.tracking.imports.foreign_runs import ReadOptions, UnreadableSource

# Headers of MLflow's, Optuna's, W&B's and Verdict's own tables, in lower case.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "key": ("run_id", "run id", "id", "trial", "number"),
    "name": ("run_name", "run name", "tags.mlflow.runname", "name", "run"),
    "experiment": ("experiment", "experiment_name"),
    "state": ("state", "status"),
    "started_at": ("started_at", "start_time", "datetime_start", "created"),
    "finished_at": ("finished_at", "end_time", "datetime_complete"),
    "step": ("step", "_step", "global_step", "iteration", "epoch"),
    "time": ("time_ms", "timestamp", "_timestamp", "wall_time"),
}
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "parameter": ("params.", "params_", "param.", "config.", "hparams/"),
    "metric": ("metrics.", "metric."),
    "tag": ("tags.", "user_attrs_"),
}
MOST_COLUMNS = 2000
_LEFT_OUT = ("", "experiment_id", "artifact_uri", "duration", "seconds")


@dataclass(slots=True)
class Columns:
    """Positions of a file's columns: one for each field, and by name for the rest."""

    headers: Sequence[str]
    fields: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)

    @property
    def has_steps(self) -> bool:
        """Steps as rows, instead of runs."""
        return "step" in self.fields


def columns_of(source: str, headers: Sequence[str], options: ReadOptions) -> Columns:
    """Tell the columns apart by their headers.

    Raises:
        UnreadableSource: when a header appears twice, no column is left to read, or a chosen
            column is not there.
    """
    found = Columns(headers)
    _check(source, headers, options)
    lower = [header.lower() for header in headers]
    chosen = {*options.parameters, *options.metrics}
    for name, known in FIELDS.items():
        places = [lower.index(word) for word in known if word in lower]
        free = [at for at in places if headers[at] not in chosen]
        if free:
            found.fields[name] = free[0]
    taken = set(found.fields.values())
    for at, header in enumerate(headers):
        if at not in taken and lower[at] not in _LEFT_OUT:
            _place(found, at, header, options)
    if not found.metrics and not found.parameters:
        raise UnreadableSource.at(
            source, "line 1", "no column of parameters or metrics; name them --param, --metric"
        )
    return found


def _check(source: str, headers: Sequence[str], options: ReadOptions) -> None:
    if len(headers) > MOST_COLUMNS:
        raise UnreadableSource.at(
            source, "line 1", f"{len(headers):,} columns; at most {MOST_COLUMNS:,} are read"
        )
    counts = Counter(headers)
    twice = next((header for header, count in counts.items() if header and count > 1), None)
    if twice is not None:
        raise UnreadableSource.at(source, "line 1", f"the column {twice:.100} appears twice")
    for name in (*options.parameters, *options.metrics):
        if name not in counts:
            listed = ", ".join(headers)
            raise UnreadableSource.at(
                source, "line 1", f"there is no column {name:.100}; there are {listed:.500}"
            )


def _place(found: Columns, at: int, header: str, options: ReadOptions) -> None:
    if header in options.parameters:
        found.parameters[header] = at
    elif header in options.metrics:
        found.metrics[header] = at
    else:
        kind, name = _prefixed(header)
        if not kind:
            judged = guess(header).kind in ("loss", "metric") or _is_score(header)
            known = found.has_steps or judged
            kind = "metric" if known else "parameter"
        into = {"parameter": found.parameters, "metric": found.metrics, "tag": found.tags}[kind]
        into.setdefault(name, at)


def _prefixed(header: str) -> tuple[str, str]:
    for kind, prefixes in _PREFIXES.items():
        for prefix in prefixes:
            if header.startswith(prefix) and len(header) > len(prefix):
                return kind, header[len(prefix) :]
    return "", header


def _is_score(header: str) -> bool:
    """Optuna's columns of objective values; a learning rate is a parameter in a row a run."""
    return header == "value" or header.startswith("values_")
