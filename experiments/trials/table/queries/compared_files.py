"""Files of runs in a comparison: media by name and step, texts that can be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Case, When

from experiments.models import Artifact
from experiments.trials.artifacts.queries.artifacts import LOGGED, KeptFile, kept

MOST_FILES = 5_000  # newest of all runs together
LARGEST_TEXT = 256 * 1024
DIFF = "diff"  # the kind of a file with uncommitted changes
TEXTS = (
    *(".txt", ".log", ".md", ".json", ".yaml", ".yml", ".toml", ".py", ".cfg", ".ini", ".csv"),
    *(".tsv", ".xml", ".sh", ".sql"),
)
MEDIA = ("image", "figure", "table", "text", "histogram")


@dataclass(frozen=True, slots=True)
class ComparedFiles:
    """Logged files and uncommitted changes of runs; `cut` when there are more."""

    files: tuple[KeptFile, ...]
    cut: bool

    def changes(self) -> dict[int, KeptFile]:
        """Uncommitted changes of each run's newest attempt."""
        found: dict[int, KeptFile] = {}
        for file in self.files:
            if file.kind == DIFF and (
                file.trial_id not in found or file.attempt > found[file.trial_id].attempt
            ):
                found[file.trial_id] = file
        return found

    def texts(self) -> dict[str, dict[int, KeptFile]]:
        """Texts by name and run, each run's of the largest step."""
        found: dict[str, dict[int, KeptFile]] = {}
        for file in self.files:
            is_text = file.kind == "text" or file.name.lower().endswith(TEXTS)
            if file.kind != DIFF and is_text and file.size <= LARGEST_TEXT:
                other = found.setdefault(file.name, {}).get(file.trial_id)
                if other is None or place(file) > place(other):
                    found[file.name][file.trial_id] = file
        return found

    def media(self) -> dict[tuple[str, str], dict[int, list[KeptFile]]]:
        """Media by name and kind, then by run, in the order of their steps."""
        found: dict[tuple[str, str], dict[int, list[KeptFile]]] = {}
        for file in self.files:
            if file.kind in MEDIA:
                of_name = found.setdefault((file.name, file.kind), {})
                of_name.setdefault(file.trial_id, []).append(file)
        for of_name in found.values():
            for files in of_name.values():
                files.sort(key=place)
        return dict(sorted(found.items()))


def place(file: KeptFile) -> float:
    """Place of a file among the steps of its name; without a step it is the first."""
    return float("-inf") if file.step is None else file.step


def compared_files(ids: Sequence[int]) -> ComparedFiles:
    """Files of runs, the uncommitted changes of all before media of any. One query."""
    changes_first = Case(When(kind=DIFF, then=0), default=1)
    rows = Artifact.objects.filter(trial_id__in=ids, kind__in=(*LOGGED, DIFF))
    rows = rows.order_by(changes_first, "-pk")
    found = [kept(row) for row in rows[: MOST_FILES + 1]]
    return ComparedFiles(tuple(found[:MOST_FILES]), len(found) > MOST_FILES)


def marks_of(files: Mapping[int, KeptFile]) -> dict[int, str]:
    """The first digits of each file's SHA-256: equal for equal content."""
    return {pk: file.sha256[:10] for pk, file in files.items()}
