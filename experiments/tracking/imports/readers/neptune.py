"""Neptune: the folders that neptune-exporter wrote before the service ended in March 2026.

`data/<project>/<run>_part_<n>.parquet` (or `part_<n>.parquet` with many runs, by its first
versions) has a row for each value, `files/<project>/…` what was uploaded. Columns of values are
named by type, steps are decimals.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignRun,
    ForeignRuns,
    LocalFile,
    ParameterValue,
    ReadOptions,
    UnreadableSource,
    parents_first,
)
from experiments.tracking.imports.readers.local_files import (
    existing_folder,
    files_below,
    is_within,
    stamp_of,
)
from experiments.trials.series.series_encoding import SeriesColumns

_PART = re.compile(r"(?P<run>.+)_part_\d+\.parquet")
_VALUES = {
    "float": "float_value",
    "int": "int_value",
    "string": "string_value",
    "bool": "bool_value",
    "datetime": "datetime_value",
    "string_set": "string_set_value",
}
_FILES = ("file", "file_series", "file_set", "artifact")
_PARENT = "sys/forking/parent"
_TAGS = ("sys/tags", "sys/group_tags")
_OTHER_FIELDS = (*_TAGS, "sys/name", "sys/description", _PARENT)
_SCHEMA = pa.schema(
    [
        ("project_id", pa.string()),
        ("run_id", pa.string()),
        ("attribute_path", pa.string()),
        ("attribute_type", pa.string()),
        ("step", pa.decimal128(18, 6)),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("string_value", pa.string()),
        ("bool_value", pa.bool_()),
        ("datetime_value", pa.timestamp("ms", tz="UTC")),
        ("string_set_value", pa.list_(pa.string())),
        ("file_value", pa.struct([("path", pa.string())])),
    ]
)
_NAMES = _SCHEMA.names[:4]


@dataclass(slots=True)
class _Export:
    """A run in the export: its id and project there, the parts that hold it, and its parent."""

    run_id: str
    project: str
    parts: list[Path] = field(default_factory=list)
    parent: str = ""


def read(source: str, options: ReadOptions) -> ForeignRuns:
    """Open the export of one or more projects.

    Raises:
        UnreadableSource: when there is no such folder, or no export in it.
    """
    folder = existing_folder(source)
    every = [file.path for file in files_below(folder)]
    parts = [path for path in every if path.suffix == ".parquet"]
    if not parts:
        raise UnreadableSource.at(
            source, "", "No export of Neptune lies in this folder: it has no .parquet file."
        )
    remarks = [
        f"{path.name}: its export was not finished" for path in every if path.suffix == ".tmp"
    ]
    exports = parents_first(
        _exports(parts, remarks),  # two projects may have runs of one id
        lambda export: f"{export.project}\0{export.run_id}",
        lambda export: f"{export.project}\0{export.parent}",
    )
    if not exports:
        raise UnreadableSource.at(source, "", remarks[0])
    roots = [place for place in (folder / "files", folder.parent / "files") if place.is_dir()]
    runs = _runs(exports, roots, remarks)
    return ForeignRuns(folder.resolve().name, runs, len(exports), remarks)


def _exports(parts: Sequence[Path], remarks: list[str]) -> list[_Export]:
    found: dict[tuple[str, str], _Export] = {}
    for path in parts:
        try:
            missing = set(_NAMES) - set(pq.read_schema(path).names)
            if missing:
                remarks.append(f"{path.name}: no export of Neptune, without {min(missing)}")
                continue
            table = pq.read_table(path, schema=_SCHEMA, columns=[*_NAMES, "string_value"])
        except (pa.ArrowException, OSError, ValueError) as error:
            first = str(error).partition("\n")[0][:200]
            remarks.append(f"{path.name}: it cannot be read ({first})")
            continue
        names = table.group_by(["project_id", "run_id"]).aggregate([]).to_pylist()
        for row in names:
            key = (str(row["project_id"]), str(row["run_id"]))
            found.setdefault(key, _Export(key[1], key[0])).parts.append(path)
        parents = table.filter(pc.equal(table["attribute_path"], _PARENT)).to_pylist()
        for row in parents:
            key = (str(row["project_id"]), str(row["run_id"]))
            found[key].parent = row["string_value"] or ""
    return list(found.values())


def _runs(
    exports: Sequence[_Export], roots: Sequence[Path], remarks: list[str]
) -> Iterator[ForeignRun]:
    for export in exports:
        left_out: list[str] = []
        try:
            table = pa.concat_tables([_table(path, export) for path in export.parts])
            run = _run(export, table, roots, left_out)
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            remarks.append(f"run {export.run_id}: it cannot be read ({error})")
            continue
        yield run


def _table(path: Path, export: _Export) -> Any:
    """The rows of one run in a part."""
    if _PART.fullmatch(path.name):
        return pq.read_table(path, schema=_SCHEMA)
    return pq.read_table(path, schema=_SCHEMA, filters=[("run_id", "=", export.run_id)])


def _run(export: _Export, table: Any, roots: Sequence[Path], left_out: list[str]) -> ForeignRun:
    series = table.filter(pc.equal(table["attribute_type"], "float_series"))
    others = table.filter(pc.not_equal(table["attribute_type"], "float_series")).to_pylist()
    values: dict[str, Any] = {}
    files: dict[str, LocalFile] = {}
    more: Counter[str] = Counter()
    for row in others:
        name, kind = str(row["attribute_path"]), str(row["attribute_type"])
        if kind in _VALUES:
            value = row.get(_VALUES[kind])
            if value is not None:
                values[name] = value
        elif kind in _FILES:
            found = _files(row, name, roots)
            if not found:
                left_out.append(f"{name}: its file is not in the export")
            files |= {file.name: file for file in found}
        else:
            more[f"{name}: {kind.replace('_', ' ')}"] += 1
    left_out += [f"{name} ({count} values)" for name, count in more.items()]
    curves = _curves(series)
    return _described(export, values, curves, list(files.values()), left_out)


def _described(
    export: _Export,
    values: Mapping[str, Any],
    curves: Curves,
    files: Sequence[LocalFile],
    left_out: Sequence[str],
) -> ForeignRun:
    """A run of what Neptune's own fields (`sys/…`) say of it, and its parameters."""
    own = {
        name: value for name, value in values.items() if name.startswith(("sys/", "monitoring/"))
    }
    tags = {
        str(tag): "true" for name in ("sys/tags", "sys/group_tags") for tag in own.get(name, ())
    }
    tags |= {
        name: _text(value)
        for name, value in own.items()
        if name not in ("sys/tags", "sys/group_tags", "sys/name", "sys/description", _PARENT)
    }
    return ForeignRun(
        key=export.run_id,
        scope=export.project,
        name=str(own.get("sys/name") or export.run_id),
        experiment=export.project,
        state="failed" if own.get("sys/failed") is True else "complete",
        parameters={name: _parameter(value) for name, value in values.items() if name not in own},
        tags=tags,
        curves=lambda: curves,
        started_at=_moment(own.get("sys/creation_time")),
        finished_at=_moment(own.get("sys/ping_time")),
        user=str(own.get("sys/owner", "")),
        notes=str(own.get("sys/description", "")),
        parent=export.parent,
        files=files,
        stamp=stamp_of(export.parts),
        left_out=left_out,
    )


def _curves(series: Any) -> Curves:
    """Curves of the rows of float series; rows without a step count on from 0."""
    rows: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(series["attribute_path"].to_pylist()):
        rows[name].append(number)
    values = np.asarray(series["float_value"], dtype=np.float64)
    steps = np.asarray(pc.cast(series["step"], pa.float64()), dtype=np.float64)
    times = np.asarray(pc.fill_null(pc.cast(series["timestamp"], pa.int64()), 0), dtype=np.int64)
    found: dict[str, SeriesColumns] = {}
    for name, numbers in rows.items():
        at = np.array(numbers)
        own = steps[at]
        if np.isnan(own).any():
            own = np.arange(len(own), dtype=np.float64)
        whole = bool(np.all((own == np.floor(own)) & (np.abs(own) < 2**53)))
        label = re.sub("^monitoring/", "system/", name)
        found[label] = SeriesColumns(own.astype(np.int64) if whole else own, values[at], times[at])
    return found


def _files(row: Mapping[str, Any], name: str, roots: Sequence[Path]) -> list[LocalFile]:
    """Files of a row that lie in the export; a path that leads out of it names none."""
    path = (row.get("file_value") or {}).get("path")
    if not path:
        return []
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    if row.get("step") is not None:
        parts.append(f"step_{float(row['step']):g}")
    for root in roots:
        place = root / path
        if not is_within(place, root) or place.is_symlink():
            continue
        if place.is_dir():
            return list(files_below(place, "/".join(parts) + "/"))
        if place.is_file():
            end = place.suffix if not parts[-1].endswith(place.suffix) else ""
            return [LocalFile("/".join(parts) + end, place)]
    return []


def _parameter(value: Any) -> ParameterValue:
    if isinstance(value, (str, int, float, bool)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _moment(value: Any) -> dt.datetime | None:
    if not isinstance(value, dt.datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
