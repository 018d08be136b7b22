"""TensorBoard: every folder with event files is a run, as TensorBoard itself has it.

Two writers spread a run over folders, which come together again: Keras's callback writes
`train` and `validation` below a run's folder, PyTorch's `SummaryWriter` a folder for each of
`add_hparams` and for each line of `add_scalars`. Any other folder below a run's is nested in it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from google.protobuf.message import DecodeError

from experiments.tracking.imports.foreign_runs import (
    ForeignRun,
    ForeignRuns,
    ForeignState,
    ReadOptions,
    UnreadableSource,
    moment,
)
from experiments.tracking.imports.readers.event_files import HPARAMS, Events, records
from experiments.tracking.imports.readers.local_files import (
    existing_folder,
    files_below,
    stamp_of,
)
from experiments.tracking.imports.readers.messages import message

_EVENT_FILE = re.compile(r"tfevents")
_SPLITS = frozenset({"train", "validation", "val", "eval", "test"})
_TIME = re.compile(r"\d{9,}(\.\d+)?")  # the folder that add_hparams makes
_STATES: dict[int | None, ForeignState] = {2: "failed", 3: "running"}
_PEEKED = 32
_MAX_TEXT = 5_000


@dataclass(slots=True)
class _RunFolder:
    """A run: its folder's name in the source, and its event files with their names' prefix."""

    name: str
    files: list[tuple[Path, str]] = field(default_factory=list)


def read(source: str, options: ReadOptions) -> ForeignRuns:
    """Open all runs below a folder, or those of one event file.

    Raises:
        UnreadableSource: when there is no such folder or no event file in it.
    """
    folder = existing_folder(source)
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files_below(folder):
        if _EVENT_FILE.search(file.path.name):
            found[str(PurePosixPath(file.name).parent)].append(file.path)
    if not found:
        raise UnreadableSource.at(
            source, "", "No event file of TensorBoard (…tfevents…) lies in this folder."
        )
    name = folder.resolve().name
    runs = _grouped(found)
    remarks: list[str] = []
    return ForeignRuns(name, _runs(runs, name, remarks), len(runs), remarks)


def _grouped(found: Mapping[str, Sequence[Path]]) -> list[_RunFolder]:
    """Runs of folders with event files, those of one run together; outer folders first."""
    runs: dict[str, _RunFolder] = {}
    for name in sorted(found, key=lambda name: PurePosixPath(name).parts):
        path = PurePosixPath(name)
        own, prefix = name, ""
        if path.name in _SPLITS:
            own, prefix = str(path.parent), f"{path.name}/"
        elif str(path.parent) in found and name != ".":
            joined = _joined(path.name, found[name])
            own, prefix = (name, "") if joined is None else (str(path.parent), joined)
        run = runs.setdefault(own, _RunFolder(own))
        run.files += [(file, prefix) for file in sorted(found[name])]
    return list(runs.values())


def _joined(folder: str, files: Sequence[Path]) -> str | None:
    """The prefix under which a folder belongs to the run around it; None for a run of its own."""
    parse = message("Event").FromString
    try:
        for content in islice(records(min(files), []), _PEEKED):
            for value in parse(content).summary.value:
                tag = value.tag.decode("utf-8", "replace")
                if tag.startswith(HPARAMS):
                    return "" if _TIME.fullmatch(folder) else None
                main = f"{tag.replace('/', '_')}_"
                return f"{folder[len(main) :]}/" if folder.startswith(main) else None
    except (OSError, DecodeError):
        pass
    return None


def _runs(runs: Sequence[_RunFolder], source: str, remarks: list[str]) -> Iterator[ForeignRun]:
    known: set[str] = set()
    for folder in runs:
        left_out: list[str] = []
        events = Events(left_out)
        for path, prefix in folder.files:
            try:
                events.read(path, prefix)
            except OSError as error:
                left_out.append(f"{path.name}: {error.strerror}")
        events.close()
        if events.empty:
            remarks += [f"{folder.name}: {reason}" for reason in left_out]
            continue
        known.add(folder.name)
        yield _run(folder, source, events, known)


def _run(folder: _RunFolder, source: str, events: Events, known: set[str]) -> ForeignRun:
    curves = events.curves()
    around = [
        str(folder_name)
        for folder_name in PurePosixPath(folder.name).parents
        if folder.name != "."
    ]
    return ForeignRun(
        key=folder.name,
        name=source if folder.name == "." else folder.name,
        state=_STATES.get(events.status, "complete"),
        parameters=events.parameters,
        tags={name: text[:_MAX_TEXT] for name, text in events.texts.items()},
        curves=lambda: curves,
        started_at=moment(events.first_ms),
        finished_at=moment(events.last_ms),
        parent=next((folder_name for folder_name in around if folder_name in known), ""),
        stamp=stamp_of(path for path, _ in folder.files),
        left_out=events.left_out,
    )
