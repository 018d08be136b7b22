"""Files of trials that nothing records: left by a process that was killed, or by an experiment
that was deleted while this machine's folder was not at hand. Where files are sent to a store, the
working copies on this machine are among them once nobody trains with them any more.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from experiments.errors import Conflict
from experiments.models import Artifact, Trial
from experiments.models.trial import TrialState
from experiments.trials.artifacts.queries.deployables import trials_cited
from experiments.trials.artifacts.storage import (
    StoredFile,
    local_files,
    local_folders,
    remove_empty,
    remove_local,
    storage,
)

TRIALS = "trials"  # the folder of each trial lies in here, under its id
_AT_ONCE = 500
_ID = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that no record names, in the store or (`is_local`) on this machine alone."""

    trial: int
    path: str
    size: int
    changed_at: dt.datetime
    is_local: bool = False


def find(*, older_than: dt.timedelta, now: dt.datetime) -> list[Orphan]:
    """Files that no record names and nobody is about to record: their trial does not run, no
    decision cites it, and they are older than that.

    Raises:
        Conflict: when files lie there and the database knows no trial at all: most likely it is
            not the database that they belong to.
    """
    folders = _folders()
    if folders and not Trial.objects.exists():
        raise Conflict(
            "This database knows no trial, yet files of trials lie here. Is DATABASE_URL that of "
            "the server they belong to?"
        )
    found = of_trials(folders, spared=trials_cited())
    return [orphan for orphan in found if orphan.changed_at < now - older_than]


def of_trials(trials: Iterable[int], *, spared: Collection[int] = ()) -> list[Orphan]:
    """Files in the folders of these trials that no record names; none of trials that run."""
    return [orphan for part in _parts(trials) for orphan in _unrecorded(part, spared)]


def remove(orphans: Iterable[Orphan]) -> None:
    """Delete them, and the folders that are empty then.

    Raises:
        StorageAway: when the store cannot be reached.
    """
    found = list(orphans)
    storage().remove([orphan.path for orphan in found if not orphan.is_local])
    remove_local([orphan.path for orphan in found if orphan.is_local])
    remove_empty_folders({orphan.trial for orphan in found})


def remove_local_folder(trial: int) -> None:
    """Delete all that lies on this machine of a trial."""
    remove_local([file.path for file in local_files(f"{TRIALS}/{trial}")])
    remove_empty_folders([trial])


def remove_empty_folders(trials: Iterable[int]) -> None:
    """Of these trials on this machine; one in which something lies stays."""
    for trial in trials:
        remove_empty(f"{TRIALS}/{trial}")


def _unrecorded(trials: list[int], spared: Collection[int]) -> Iterator[Orphan]:
    # The files first: what is recorded while this looks is known by the time it asks.
    files = {trial: _stored(trial) for trial in trials}
    recorded = set(Artifact.objects.filter(trial__in=trials).values_list("path", flat=True))
    everything = [file.path for found in files.values() for file in found]
    recorded |= set(Artifact.objects.filter(path__in=everything).values_list("path", flat=True))
    running = set(
        Trial.objects.filter(pk__in=trials, state=TrialState.RUNNING).values_list("pk", flat=True)
    )
    for trial, found in files.items():
        if trial not in running:
            if trial not in spared:
                yield from (file for file in found if file.path not in recorded)
            if storage().is_remote:
                yield from _local(trial)


def _stored(trial: int) -> list[Orphan]:
    return [_orphan(trial, file) for file in storage().files_in(f"{TRIALS}/{trial}")]


def _local(trial: int) -> list[Orphan]:
    return [_orphan(trial, file, is_local=True) for file in local_files(f"{TRIALS}/{trial}")]


def _orphan(trial: int, file: StoredFile, *, is_local: bool = False) -> Orphan:
    return Orphan(trial, file.path, file.size, file.changed_at, is_local)


def _folders() -> list[int]:
    """Ids of the trials that have a folder in the store or here."""
    names = {*storage().folders_in(TRIALS), *local_folders(TRIALS)}
    return sorted(int(name) for name in names if _ID.fullmatch(name))


def _parts(trials: Iterable[int]) -> Iterator[list[int]]:
    """So many at once that a database takes them in one question."""
    everything = list(trials)
    for start in range(0, len(everything), _AT_ONCE):
        yield everything[start : start + _AT_ONCE]
