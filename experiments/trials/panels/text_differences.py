"""Differences of two runs in text: uncommitted changes, experiment files, logged texts.

Everything here was written by programs or people: it is shown as text, and only so much of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from experiments.trials.artifacts.queries.artifacts import KeptFile
from experiments.trials.panels.media_previews import first_bytes
from experiments.trials.table.compare_state import CompareState
from experiments.trials.table.queries.compared_files import LARGEST_TEXT, ComparedFiles
from experiments.trials.table.queries.compared_runs import ComparedRun

MOST_LINES, LONGEST_LINE, MOST_SHOWN = 4_000, 400, 800
FILE = "file:"  # in an address, before the name of a logged text
CHANGES = "Uncommitted changes"
Kind = Literal["added", "removed", "place", "same"]
_KINDS: dict[str, Kind] = {"+": "added", "-": "removed", "@": "place"}


@dataclass(frozen=True, slots=True)
class Line:
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class TextDifference:
    """Lines that two runs' texts differ in; `note` says what they are or why there are none."""

    key: str
    title: str
    first: ComparedRun
    second: ComparedRun
    others: tuple[ComparedRun, ...]
    keys: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...] = ()
    note: str = ""


Differing = Mapping[str, tuple[str, Mapping[int, str]]]


def differing_texts(
    runs: Sequence[ComparedRun], files: ComparedFiles, sources: Mapping[str, str]
) -> Differing:
    """Texts that differ between runs: key of the address -> title, mark of each run's text.

    `sources`: the files of the runs' experiments by name.
    """
    found: dict[str, tuple[str, Mapping[int, str]]] = {
        "code": (CHANGES, {pk: file.sha256 for pk, file in files.changes().items()}),
        "experiment": ("Experiment file", _of_experiments(runs, sources)),
    }
    for name, of_run in sorted(files.texts().items()):
        found[FILE + name] = name, {pk: file.sha256 for pk, file in of_run.items()}
    return {
        key: (title, marks)
        for key, (title, marks) in found.items()
        if len({marks.get(run.id) for run in runs}) > 1
    }


def _of_experiments(runs: Sequence[ComparedRun], sources: Mapping[str, str]) -> dict[int, str]:
    found = {run.id: sources.get(run.experiment, "") for run in runs}
    return {pk: text for pk, text in found.items() if text}


def text_difference(
    runs: Sequence[ComparedRun], files: ComparedFiles, differing: Differing, state: CompareState
) -> TextDifference | None:
    """Differences of the baseline and another run in the text that the address asks for, else in
    the first one that differs; None where none does.
    """
    if not differing:
        return None
    key = state.diff if state.diff in differing else next(iter(differing))
    title, marks = differing[key]
    first = runs[0]
    others = [run for run in runs[1:] if marks.get(run.id) != marks.get(first.id)]
    if not others:  # only runs beside the baseline differ from each other
        others = list(runs[1:])
    second = next((run for run in runs[1:] if run.id == state.other), others[0])
    keys = tuple((other_key, name) for other_key, (name, _) in differing.items())
    shown = TextDifference(key, title, first, second, tuple(others), keys)
    try:
        texts = [_text(key, run, files, marks) for run in (first, second)]
    except OSError:
        return replace(shown, note="The file cannot be read now.")
    lines, note = _lines_between(shown, texts[0], texts[1])
    if len(lines) > MOST_SHOWN:
        note = f"{note} The first {MOST_SHOWN} of {len(lines):,} lines.".strip()
    return replace(shown, lines=tuple(lines[:MOST_SHOWN]), note=note)


def _lines_between(
    shown: TextDifference, before: str | None, after: str | None
) -> tuple[list[Line], str]:
    if before == after:
        return [], "No difference between these two."
    lacking = shown.first if before is None else shown.second if after is None else None
    if shown.key != "code":
        note = f"{lacking.label} has none." if lacking else ""
        return _compared(_lines(before), _lines(after)), note
    if lacking is None:
        note = "Both ran with uncommitted changes. Lines in which the two patches differ:"
        return _compared(_lines(before), _lines(after)), note
    note = f"{lacking.label} ran without uncommitted changes. The other's:"
    return [_patch_line(line) for line in _lines(before or after)], note


def _text(
    key: str, run: ComparedRun, files: ComparedFiles, marks: Mapping[int, str]
) -> str | None:
    """A run's text, None where it has none.

    Raises:
        OSError: when its file cannot be read.
    """
    if key == "experiment":
        return marks.get(run.id)
    found = files.changes() if key == "code" else files.texts()[key.removeprefix(FILE)]
    return _read(found.get(run.id))


def _read(file: KeptFile | None) -> str | None:
    if file is None:
        return None
    return first_bytes(file, LARGEST_TEXT).decode("utf-8", "replace")


def _lines(text: str | None) -> list[str]:
    return [line[:LONGEST_LINE] for line in (text or "").splitlines()[:MOST_LINES]]


def _compared(first: Sequence[str], second: Sequence[str]) -> list[Line]:
    found = list(difflib.unified_diff(first, second, lineterm="", n=3))[2:]
    return [Line(_KINDS.get(line[:1], "same"), line) for line in found]


def _patch_line(line: str) -> Line:
    is_place = line.startswith(("+++ ", "--- ", "diff ", "index "))
    return Line("place" if is_place else _KINDS.get(line[:1], "same"), line)
