"""Files of trials that nothing records: left by a process that was killed, or by an experiment
that was deleted while this machine's folder was not at hand.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from experiments.errors import Conflict
from experiments.models import Artifact, Trial
from experiments.models.trial import TrialState
from experiments.trials.artifacts.queries.deployables import trials_cited

logger = logging.getLogger(__name__)

TRIALS = "trials"  # the folder of each trial lies in here, under its id
_AT_ONCE = 500
_ID = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that no record names; `path` is relative to the folder of artifacts."""

    trial: int
    path: str
    size: int
    changed_at: dt.datetime


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
    return [each for each in found if each.changed_at < now - older_than]


def of_trials(trials: Iterable[int], *, spared: Collection[int] = ()) -> list[Orphan]:
    """Files in the folders of these trials that no record names; none of trials that run."""
    return [each for part in _parts(trials) for each in _unrecorded(part, spared)]


def remove(orphans: Iterable[Orphan]) -> None:
    """Delete them, and the folders that are empty then."""
    home = _home()
    trials = set()
    for each in orphans:
        trials.add(each.trial)
        try:
            (home.parent / each.path).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s could not be deleted: %s", each.path, error)
    remove_empty_folders(trials)


def remove_empty_folders(trials: Iterable[int]) -> None:
    """Of these trials; one in which something lies stays."""
    for trial in trials:
        with suppress(OSError):
            (_home() / str(trial)).rmdir()


def _unrecorded(trials: list[int], spared: Collection[int]) -> Iterator[Orphan]:
    # The files first: what is recorded while this looks is known by the time it asks.
    files = {trial: _files(trial) for trial in trials}
    recorded = set(Artifact.objects.filter(trial__in=trials).values_list("path", flat=True))
    everything = [each.path for found in files.values() for each in found]
    recorded |= set(Artifact.objects.filter(path__in=everything).values_list("path", flat=True))
    running = set(
        Trial.objects.filter(pk__in=trials, state=TrialState.RUNNING).values_list("pk", flat=True)
    )
    for trial, found in files.items():
        if trial not in running and trial not in spared:
            yield from (each for each in found if each.path not in recorded)


def _files(trial: int) -> list[Orphan]:
    found = []
    with suppress(OSError), os.scandir(_home() / str(trial)) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False):
                continue
            about = entry.stat(follow_symlinks=False)
            changed = dt.datetime.fromtimestamp(about.st_mtime, dt.UTC)
            found.append(Orphan(trial, f"{TRIALS}/{trial}/{entry.name}", about.st_size, changed))
    return sorted(found, key=lambda each: each.path)


def _folders() -> list[int]:
    """Ids of the trials that have a folder here."""
    with suppress(OSError), os.scandir(_home()) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return sorted(int(name) for name in names if _ID.fullmatch(name))
    return []


def _home() -> Path:
    return Path(settings.ARTIFACTS_DIR).resolve() / TRIALS


def _parts(trials: Iterable[int]) -> Iterator[list[int]]:
    """So many at once that a database takes them in one question."""
    everything = list(trials)
    for start in range(0, len(everything), _AT_ONCE):
        yield everything[start : start + _AT_ONCE]
