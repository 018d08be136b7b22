"""Files that programs log: media, tables, text and any others, stored as files of their trial."""

from __future__ import annotations

import hashlib
import math
import os
import re
import uuid
from collections.abc import Iterable
from functools import partial
from pathlib import PurePosixPath
from typing import Literal, get_args

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from experiments.errors import Conflict, NotFound, Problem, VerdictError
from experiments.models import Artifact, Decision, ModelVersion, Trial
from experiments.models.project import Role
from experiments.team.queries.access import Access
from experiments.trials.artifacts.queries import artifacts as queries
from experiments.trials.artifacts.queries.artifacts import LOGGED, KeptFile
from experiments.trials.artifacts.services.artifacts import NewFile, remove_files, send
from experiments.trials.artifacts.storage import local_path, remove_local, storage
from experiments.trials.lifecycle.services.attempts import require_attempt
from experiments.web.uploads import Draft, Place

LoggedKind = Literal["file", "image", "figure", "table", "text", "histogram"]
assert get_args(LoggedKind) == LOGGED
MAX_NAME = 300
MOST_FILES = 10_000  # of one trial
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")


class TooLarge(VerdictError):
    """The file is larger than may be stored."""

    status = 413


class BadFile(VerdictError):
    """The file is not the one that was announced, or cannot be stored under that name."""

    status = 422


def new_path(trial_id: int, name: str) -> str:
    """A path for a file of a trial that none has; `name` gives no more than its suffix."""
    suffix = PurePosixPath(name).suffix
    known = suffix.lower() if _SUFFIX.fullmatch(suffix) else ""
    return f"trials/{trial_id}/file-{uuid.uuid4().hex}{known}"


def check_name(name: str) -> None:
    """Pass for a name as files have them in folders, such as model/weights.pt.

    Raises:
        BadFile: for any other.
    """
    parts = name.split("/")
    printable = name.isprintable() and "\\" not in name
    if not 0 < len(name) <= MAX_NAME or not printable or not {"", ".", ".."}.isdisjoint(parts):
        wanted = f"expected up to {MAX_NAME} characters, folders parted by /, without . and .."
        raise BadFile(f"{name!r:.100} is no name of a file.", [Problem("name", wanted)])


def store(
    *,
    trial_id: int,
    name: str,
    parts: Iterable[bytes],
    kind: LoggedKind = "file",
    step: float | None = None,
) -> KeptFile:
    """Store a file of a trial from a stream, in place of an earlier one of the same name and step.

    Raises:
        BadFile, TooLarge, Conflict, NotFound: as `keep` does.
        OSError: when the disk or the store does not take it.
    """
    check_name(name)
    path = new_path(trial_id, name)
    largest = queries.room(trial_id)
    size, digest = 0, hashlib.sha256()
    whole = local_path(path)
    whole.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with whole.open("xb") as file:
            for part in parts:
                size += len(part)
                if size > largest:
                    raise TooLarge(too_large(largest))
                digest.update(part)
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        whole.unlink(missing_ok=True)
        raise
    return keep(
        trial_id=trial_id,
        name=name,
        file=NewFile(path, size, digest.hexdigest(), step),
        kind=kind,
    )


def place_in(project_id: int) -> Place:
    """Limits of an upload to a project's trial, as `experiments.web.uploads` asks for them."""
    left = queries.left_in(project_id)
    most = min(left, queries.largest_file())
    return Place(project_id, most=most, left=left, message=too_large(most))


def take(
    *,
    trial_id: int,
    name: str,
    draft: Draft,
    kind: LoggedKind = "file",
    step: float | None = None,
) -> KeptFile:
    """Store an upload that has arrived whole. Raises as `keep` does."""
    try:
        check_name(name)
        path = new_path(trial_id, name)
        whole = local_path(path)
        whole.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.path.replace(whole)
    finally:
        draft.close()
    new = NewFile(path, draft.size, draft.sha256, step)
    return keep(trial_id=trial_id, name=name, file=new, kind=kind)


def keep(
    *,
    trial_id: int,
    name: str,
    file: NewFile,
    kind: LoggedKind = "file",
    attempt: int | None = None,
) -> KeptFile:
    """Store and record a file that lies at its path in this machine's folder of artifacts.

    `attempt`: that of a worker's trial that logs it, which has to hold the trial.

    Raises:
        BadFile: for a bad name or step.
        TooLarge: beyond FILE_MEGABYTES, or PROJECT_FILES_GIGABYTES of the project.
        Conflict: when a decision cites what it would replace or add to, or the trial has too many
            files.
        TrialFenced, TrialFinished, NotFound: when the attempt does not hold the trial.
        OSError: when the store does not take it.
    """
    try:
        _check(name, kind, file, largest=queries.room(trial_id))
        send(file.path)
        with transaction.atomic():
            if attempt is not None:
                require_attempt(trial_id=trial_id, attempt=attempt)
            recorded = _record(trial_id, name, kind, file, attempt)
    except BaseException as error:
        if attempt is None or isinstance(error, VerdictError):  # else a worker tries again
            remove_files([file.path])
        raise
    if storage().is_remote:
        remove_local([file.path])
    return recorded


def delete(*, access: Access, trial_id: int, file_ids: Iterable[int]) -> None:
    """Delete files that a program logged.

    Raises:
        Conflict: when a decision cites their trial's experiment.
        NotFound: for a trial of another project, or without such a file.
        NotAllowed: for someone who may not edit.
    """
    access.require(Role.EDITOR)
    wanted = set(file_ids)
    with transaction.atomic():
        found = Artifact.objects.filter(
            pk__in=wanted,
            kind__in=LOGGED,
            trial_id=trial_id,
            trial__study__project_id=access.project_id,
        )
        paths = list(found.values_list("path", flat=True))
        if len(paths) != len(wanted):
            raise NotFound("There is no such file.")
        _check_uncited(trial_id)
        found.delete()
        transaction.on_commit(partial(remove_files, paths))


def too_large(most: int) -> str:
    """Limit that a file exceeds, in words."""
    if most < settings.FILE_MEGABYTES * 2**20:
        return (
            f"The project's files may take {settings.PROJECT_FILES_GIGABYTES} GiB together, and "
            f"{most / 2**20:,.1f} MiB of that are left; delete files, or have "
            "PROJECT_FILES_GIGABYTES raised."
        )
    return f"A file may have {settings.FILE_MEGABYTES:,} MiB at most (FILE_MEGABYTES)."


def _check(name: str, kind: str, file: NewFile, *, largest: int) -> None:
    check_name(name)
    if kind not in LOGGED:
        raise BadFile(f"{kind!r:.50} is no kind of file; expected one of {', '.join(LOGGED)}.")
    if file.step is not None and not math.isfinite(file.step):
        raise BadFile("A step is a finite number.", [Problem("step", "expected a finite number")])
    if file.size > largest:
        raise TooLarge(too_large(largest))


def _record(trial_id: int, name: str, kind: str, file: NewFile, attempt: int | None) -> KeptFile:
    # Two that log the same name at once come one after the other.
    if not Trial.objects.select_for_update(no_key=True).filter(pk=trial_id).exists():
        raise NotFound(f"There is no trial with id {trial_id}.")
    same = Artifact.objects.filter(trial_id=trial_id, kind=kind, name=name, step=file.step)
    if file.step is None:
        same = Artifact.objects.filter(trial_id=trial_id, kind=kind, name=name, step__isnull=True)
    before = same.first()
    if before and (before.sha256, before.attempt) == (file.sha256, attempt):
        transaction.on_commit(partial(remove_files, [file.path]))
        return queries.kept(before)
    if before is not None:
        _check_uncited(trial_id)
        before.delete()
        transaction.on_commit(partial(remove_files, [before.path]))
    elif Artifact.objects.filter(trial_id=trial_id).count() >= MOST_FILES:
        raise Conflict(f"A trial has {MOST_FILES:,} files at most; log fewer.")
    else:
        _check_unadopted(trial_id, name)
    row = Artifact.objects.create(
        trial_id=trial_id,
        kind=kind,
        name=name,
        step=file.step,
        path=file.path,
        size=file.size,
        sha256=file.sha256,
        attempt=attempt,
    )
    return queries.kept(row)


def _check_uncited(trial_id: int) -> None:
    cites = Q(experiment__studies__trials=trial_id)
    cites |= Q(replication__experiment__studies__trials=trial_id)
    if Decision.objects.filter(cites).exists():
        raise Conflict("A decision cites this trial's experiment: its files stay as they are.")


def _check_unadopted(trial_id: int, name: str) -> None:
    """Pass for a file of no model that a decision made a version of the registry."""
    adopted = ModelVersion.objects.filter(trial_id=trial_id, decision__isnull=False)
    for folder in adopted.values_list("folder", flat=True):
        if name.startswith(f"{folder}/"):
            raise Conflict("A decision adopted this model: its files stay as they are.")
