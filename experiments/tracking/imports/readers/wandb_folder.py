"""W&B's folders of runs: `wandb/offline-run-<time>-<id>/run-<id>.wandb`, and `run-…` as well.

The format is read here and not by the package `wandb`, which has no reader in Python any more
(0.31).
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignFile,
    ForeignRun,
    ForeignRuns,
    ForeignState,
    ParameterValue,
    Points,
    ReadOptions,
    UnreadableSource,
    milliseconds_of,
    moment,
)
from experiments.tracking.imports.readers.local_files import (
    artifacts_below,
    existing_folder,
    files_below,
    stamp_of,
)
from experiments.tracking.imports.readers.messages import message
from experiments.tracking.imports.readers.wandb_records import records

_MEDIA = "._type"  # ends the name of what tells the kind of an image, a histogram, …
_MAX_TEXT = 500
_RECORDS_BEFORE_RUN = 100  # it is the first or second that says whose run it is


def read(source: str, options: ReadOptions) -> ForeignRuns:
    """Open all runs below a folder; parts of a resumed run are one run. Ids are a project's own.

    Raises:
        UnreadableSource: when there is no such folder, or no run in it.
    """
    folder = existing_folder(source)
    parts: dict[str, list[Path]] = defaultdict(list)
    for file in files_below(folder):
        name = file.path.name
        if name.startswith("run-") and name.endswith(".wandb"):
            parts[name.removeprefix("run-").removesuffix(".wandb")].append(file.path)
    if not parts:
        raise UnreadableSource.at(
            source, "", "No run of W&B lies in this folder: there is no file run-….wandb."
        )
    remarks: list[str] = []
    runs = [(run_id, own) for run_id, paths in parts.items() for own in _by_project(paths)]
    return ForeignRuns(folder.resolve().name, _runs(runs, remarks), len(runs), remarks)


def _by_project(paths: Sequence[Path]) -> list[list[Path]]:
    """Files of one run's id, in a list a project; one that names none goes with that before it."""
    if len(paths) == 1:
        return [[*paths]]
    found: dict[str, list[Path]] = {}
    project = ""
    for path in paths:
        project = _project_of(path) or project
        found.setdefault(project, []).append(path)
    return list(found.values())


def _project_of(path: Path) -> str:
    parse = message("Record").FromString
    with contextlib.suppress(UnreadableSource, OSError, DecodeError):
        for content in itertools.islice(records(path, []), _RECORDS_BEFORE_RUN):
            record = parse(content)
            if record.HasField("run"):
                return _text(record.run.project)
    return ""


def _runs(runs: Sequence[tuple[str, Sequence[Path]]], remarks: list[str]) -> Iterator[ForeignRun]:
    for run_id, paths in runs:
        run = _Run(run_id)
        try:
            for path in paths:
                run.read(path)
        except UnreadableSource as error:
            remarks += [f"{paths[0].name}: {problem.message}" for problem in error.problems]
            continue
        except OSError as error:
            remarks.append(f"{paths[0].name}: {error.strerror}")
            continue
        files = {
            file.name: file
            for path in paths
            for file in artifacts_below(path.parent / "files", run.left_out)
        }
        stamp = stamp_of([*paths, *(file.path for file in files.values())])
        yield run.foreign(list(files.values()), stamp)


class _Run:
    """A run while its records are read."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.head: Any = message("Run")()
        self.environment: Any = message("Environment")()
        self.config: dict[str, bytes] = {}
        self.summary: dict[str, bytes] = {}
        self.points: dict[str, Points] = defaultdict(Points)
        self.media: set[str] = set()
        self.texts: set[str] = set()
        self.left_out: list[str] = []
        self.exit_code: int | None = None
        self.last = (0, 0)  # step and time of the last history
        self.machine_steps = 0

    def read(self, path: Path) -> None:
        """Take in the records of a file.

        Raises:
            UnreadableSource: when it is no file of W&B's.
            OSError: when it cannot be read.
        """
        self.exit_code = None
        parse = message("Record").FromString
        for number, content in enumerate(records(path, self.left_out)):
            try:
                self._take(parse(content))
            except (DecodeError, ValueError, OverflowError, RecursionError):
                self.left_out.append(f"{path.name}: record {number}, which cannot be read")

    def _take(self, record: Any) -> None:
        if record.HasField("history"):
            self._take_history(record.history)
        elif record.HasField("summary"):
            _update(self.summary, record.summary)
        elif record.HasField("config"):
            _update(self.config, record.config)
        elif record.HasField("run"):
            self.head = record.run
            _update(self.config, record.run.config)
            _update(self.summary, record.run.summary)
        elif record.HasField("stats"):
            time = _milliseconds(record.stats.time)
            for item in record.stats.item:
                number = _number(item.json)
                if number is not None:
                    self.points[f"system/{_name(item)}"].add(self.machine_steps, number, time)
            self.machine_steps += 1
        elif record.HasField("environment"):
            self.environment.MergeFrom(record.environment)
        elif record.HasField("exit"):
            self.exit_code = record.exit.code

    def _take_history(self, history: Any) -> None:
        step, time = history.step.number, self.last[1]
        found: list[tuple[str, float]] = []
        for item in history.item:
            name, number = _name(item), _number(item.json)
            if number is None:
                found += self._other(name, item.json)
            elif name == "_step":
                step = int(number)
            elif name == "_timestamp":
                time = milliseconds_of(number)
            elif name != "_runtime":
                found.append((name, number))
        self.last = (step, time)
        for name, number in found:
            points = self.points[name]
            points.steps.append(step)
            points.values.append(number)
            points.times_ms.append(time)

    def _other(self, name: str, content: bytes) -> Iterator[tuple[str, float]]:
        """Numbers inside a value that is none itself; media and text are noted."""
        for inner, value in _flat(name, json.loads(content)):
            if inner.endswith(_MEDIA):
                self.media.add(inner.removesuffix(_MEDIA))
            elif isinstance(value, (int, float)):
                yield inner, float(value)
            elif isinstance(value, str):
                self.texts.add(inner)

    def foreign(self, files: Sequence[ForeignFile], stamp: str) -> ForeignRun:
        """The run in the shape that all readers make."""
        head, environment = self.head, self.environment
        summary = _parsed(self.summary)
        curves, tags = self._curves(summary), self._tags(summary)
        started = moment(_milliseconds(head.start))
        git = head.git if head.git.commit else environment.git
        return ForeignRun(
            key=self.run_id,
            scope=_text(head.project),
            name=_text(head.name),
            experiment=_text(head.project),
            state=self._state(),
            parameters={
                name: _parameter(value)
                for name, value in _parsed(self.config).items()
                if name.partition(".")[0] != "_wandb"
            },
            tags=tags,
            curves=lambda: curves,
            started_at=started,
            finished_at=moment(self.last[1]) if self.exit_code is not None else None,
            user=_text(environment.username),
            notes=_text(head.notes),
            commit=_text(git.commit),
            files=files,
            stamp=stamp,
            left_out=self._all_left_out(),
        )

    def _state(self) -> ForeignState:
        if self.exit_code is None:  # it still runs, or was killed
            return "running"
        return "failed" if self.exit_code else "complete"

    def _curves(self, summary: Mapping[str, object]) -> Curves:
        """Curves of numbers; a number that only the summary has is one point, at the last step."""
        step, time = self.last
        for name, value in summary.items():
            if name not in self.points and isinstance(value, (int, float)) and name[:1] != "_":
                number = _number(str(value).encode())
                self.points[name].add(step, float(value) if number is None else number, time)
        media = tuple(f"{name}." for name in self.media)
        return {
            name: points.columns()
            for name, points in self.points.items()
            if not name.startswith(media)
        }

    def _tags(self, summary: Mapping[str, object]) -> dict[str, str]:
        """W&B's tags, each "true", its groups, and text of the summary."""
        head = self.head
        named = {
            "group": head.group,
            "job_type": head.job_type,
            "sweep": head.sweep,
            "program": self.environment.program,
        }
        media = tuple(f"{name}." for name in self.media)
        found = {
            name: value[:_MAX_TEXT]
            for name, value in summary.items()
            if isinstance(value, str) and not name.startswith(("_", *media)) and _MEDIA not in name
        }
        found |= {name: _text(value) for name, value in named.items() if value}
        return found | {_text(tag): "true" for tag in head.tags}

    def _all_left_out(self) -> list[str]:
        media = [f"{name}: an image, table, histogram or other media" for name in self.media]
        texts = [f"{name}: text, of which the last is kept" for name in self.texts]
        return [*self.left_out, *sorted(media), *sorted(texts)]


def _name(item: Any) -> str:
    nested = item.nested
    if len(nested) == 1:
        return str(nested[0], "utf-8", "replace")
    return _text(b".".join(nested) or item.key)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _number(content: bytes) -> float | None:
    """A value that is a number, NaN, infinity or a truth value; None for any other."""
    try:
        return float(content)
    except ValueError:
        return {b"true": 1.0, b"false": 0.0}.get(content)


def _milliseconds(time: Any) -> int:
    return int(time.seconds * 1000 + time.nanos // 1_000_000)


def _update(values: dict[str, bytes], updates: Any) -> None:
    """Apply a record's removals and updates to values in JSON by name."""
    for item in updates.remove:
        for name in _known(values, _name(item)):
            del values[name]
    for item in updates.update:
        name, content = _name(item), item.json
        if content[:1] == b"{":  # in place of all that was below this name
            for below in _known(values, name):
                del values[below]
        values[name] = content


def _known(values: dict[str, bytes], name: str) -> list[str]:
    return [key for key in values if key == name or key.startswith(f"{name}.")]


def _parsed(values: Mapping[str, bytes]) -> dict[str, object]:
    """The values by name, objects taken apart; one that is no JSON is left out."""
    found: dict[str, object] = {}
    for name, content in values.items():
        with contextlib.suppress(ValueError, RecursionError):
            found.update(_flat(name, json.loads(content)))
    return found


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, value


def _parameter(value: object) -> ParameterValue:
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return json.dumps(value)
