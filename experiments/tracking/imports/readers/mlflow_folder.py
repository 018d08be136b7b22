"""MLflow's file store: `mlruns/<experiment>/<run>/{meta.yaml,params,metrics,tags,artifacts}`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignRun,
    ForeignRuns,
    Points,
    UnreadableSource,
    curve,
    parents_first,
)
from experiments.tracking.imports.readers.local_files import (
    artifacts_below,
    files_below,
    folders_in,
    read_bytes,
    read_text,
    stamp_of,
)
from experiments.tracking.imports.readers.mlflow_runs import PARENT, STATE_NUMBERS, MLflowRun
from experiments.trials.series.series_encoding import SeriesColumns

MAX_METRIC_BYTES = 2**30
META = "meta.yaml"
# CSafeLoader is PyYAML's safe loader written in C, which some builds come without.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class _Place:
    """A run's folder, with what the order of runs needs."""

    folder: Path
    experiment: str
    parent: str


def read_folder(folder: Path) -> ForeignRuns:
    """Open the folder `mlruns`, or one that holds it.

    Raises:
        UnreadableSource: when no experiment of MLflow lies in it.
    """
    root = folder / "mlruns" if (folder / "mlruns").is_dir() else folder
    remarks: list[str] = []
    places: list[_Place] = []
    experiments = [path for path in folders_in(root) if (path / META).is_file()]
    if not experiments:
        raise UnreadableSource.at(
            str(folder),
            "",
            "No experiment of MLflow lies in this folder; name the folder mlruns itself.",
        )
    deleted = 0
    for path in experiments:
        meta = _meta(path, remarks)
        if meta.get("lifecycle_stage", "active") != "active":
            deleted += 1
            continue
        places += _places(path, _text(meta.get("name")) or path.name)
    if deleted or (root / ".trash").is_dir():
        remarks.append("Deleted experiments are left out.")
    ordered = parents_first(places, lambda place: place.folder.name, lambda place: place.parent)
    return ForeignRuns(root.resolve().name, _runs(ordered, remarks), len(ordered), remarks)


def _places(experiment: Path, name: str) -> Iterator[_Place]:
    for folder in folders_in(experiment):
        if (folder / META).is_file():
            yield _Place(folder, name, _value(folder / "tags" / PARENT))


def _value(path: Path) -> str:
    try:
        return read_text(path)
    except OSError:
        return ""


def _meta(folder: Path, remarks: list[str]) -> dict[str, object]:
    """The head of a run or an experiment; empty, with a remark, for one that cannot be read."""
    path = folder / META
    try:
        found = yaml.load(read_text(path), Loader=_Loader)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        remarks.append(f"{folder.parent.name}/{folder.name}/{META}{line} cannot be read.")
        return {"broken": True}
    return found if isinstance(found, dict) else {}


def _runs(places: list[_Place], remarks: list[str]) -> Iterator[ForeignRun]:
    deleted = 0
    for place in places:
        meta = _meta(place.folder, remarks)
        if meta.get("lifecycle_stage", "active") == "active":
            yield _run(place, meta).foreign()
        else:
            deleted += 1
    if deleted:
        remarks.append(f"{deleted} deleted runs are left out.")


def _run(place: _Place, meta: dict[str, object]) -> MLflowRun:
    folder = place.folder
    left_out: list[str] = []
    values = [list(files_below(folder / part)) for part in ("params", "tags", "metrics")]
    files = artifacts_below(folder / "artifacts", left_out)
    address = _text(meta.get("artifact_uri"))
    if not files and "://" in address and not address.startswith("file:"):
        left_out.append(f"files at {address}")
    if meta.get("broken"):
        left_out.append(f"name, state and times: its {META} cannot be read")
    status = meta.get("status")
    every = [file.path for part in (*values, files) for file in part]
    return MLflowRun(
        run_id=folder.name,
        name=_text(meta.get("run_name")),
        experiment=place.experiment,
        status=STATE_NUMBERS.get(status, "") if isinstance(status, int) else _text(status),
        start_ms=_whole(meta.get("start_time")),
        end_ms=_whole(meta.get("end_time")),
        user=_text(meta.get("user_id")),
        parameters={file.name: _value(file.path) for file in values[0]},
        tags={file.name: _value(file.path) for file in values[1]},
        curves=lambda: _curves(folder / "metrics", left_out),
        files=files,
        stamp=stamp_of([folder / META, *every]),
        left_out=left_out,
    )


def _text(value: object) -> str:
    """A text or a number of a file's; nothing else, whose text may be longer than memory."""
    return str(value) if isinstance(value, (str, int, float)) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _curves(folder: Path, left_out: list[str]) -> Curves:
    found: dict[str, SeriesColumns] = {}
    for file in files_below(folder):
        try:
            found[file.name] = _curve(read_bytes(file.path, MAX_METRIC_BYTES), file.name, left_out)
        except OSError:
            left_out.append(f"metric {file.name}: its file cannot be read")
    return found


def _curve(content: bytes, name: str, left_out: list[str]) -> SeriesColumns:
    """The points of a metric's file, one line each: time in ms, value, step."""
    lines = content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
    tokens = content.split()
    if len(tokens) == 3 * lines:
        try:
            return Points(
                list(map(int, tokens[2::3])),
                list(map(float, tokens[1::3])),
                list(map(int, tokens[0::3])),
            ).columns()
        except (ValueError, OverflowError):
            pass
    return _curve_by_line(content, name, left_out)


def _curve_by_line(content: bytes, name: str, left_out: list[str]) -> SeriesColumns:
    """The same of a file with broken lines, or with more or fewer fields a line.

    Lines without a step are of MLflow before 1.0; fields after the step name a data set.
    """
    points: list[tuple[float, float, int]] = []
    for number, line in enumerate(content.splitlines(), 1):
        tokens = line.split()
        try:
            step = int(tokens[2]) if len(tokens) > 2 else 0
            if abs(step) >= 2**63:
                raise ValueError
            points.append((step, float(tokens[1]), int(tokens[0])))
        except (ValueError, IndexError):
            if tokens:
                left_out.append(f"metric {name}, line {number}: not time, value and step")
    return curve(points)
