"""Copy studies between Verdict and Optuna's own storages, trial by trial.

Django is set up before this is imported.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalRedisBackend

from experiments.trials.lifecycle.services import studies
from workers.search.frozen_trials import fields

# SQLAlchemy takes psycopg 3 for a bare postgresql://; what Verdict installs is psycopg 2.
_DRIVERS = {"postgresql": "postgresql+psycopg2", "postgres": "postgresql+psycopg2"}


def open_storage(url: str, *, must_exist: bool) -> BaseStorage:
    """One of Optuna's storages.

    Args:
        url: a database's URL as SQLAlchemy has it, redis://... of a journal, or the path of a
            journal file, also as journal:PATH.
        must_exist: refuse a file that is not there instead of making it.

    Raises:
        FileNotFoundError: when that file is not there.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    file = url.removeprefix("journal:") if not scheme else ""
    if scheme == "sqlite":
        file = unquote(url.removeprefix("sqlite:///").partition("?")[0])
    if file and must_exist and not Path(file).exists():
        raise FileNotFoundError(f"there is no file {file}")
    if not scheme:
        return JournalStorage(JournalFileBackend(file))
    if scheme in ("redis", "rediss", "unix"):
        return JournalStorage(JournalRedisBackend(url))
    return get_storage(_DRIVERS.get(scheme, scheme) + url[len(scheme) :])


def bring_in(source: BaseStorage, name: str, *, project: str = studies.FREE_PROJECT) -> int:
    """Copy a study from one of Optuna's storages into a project, whole or not at all.

    Returns:
        How many trials it has.

    Raises:
        KeyError: when the source has no study of that name.
        Conflict: when Verdict has one.
        NotFound: when there is no such project.
    """
    study_id = source.get_study_id_from_name(name)
    trials = source.get_all_trials(study_id, deepcopy=False)
    studies.create_filled(
        name=name,
        directions=[direction.name.lower() for direction in source.get_study_directions(study_id)],
        project=project,
        user_attributes=source.get_study_user_attrs(study_id),
        system_attributes=source.get_study_system_attrs(study_id),
        trials=[fields(trial) for trial in trials],
    )
    return len(trials)


def send_out(source: BaseStorage, name: str, target: BaseStorage) -> int:
    """Copy a study into another storage; what was begun is deleted when it fails.

    Returns:
        How many trials it has.

    Raises:
        KeyError: when the source has no study of that name.
        optuna.exceptions.DuplicatedStudyError: when the target has one.
    """
    study_id = source.get_study_id_from_name(name)
    trials = source.get_all_trials(study_id, deepcopy=False)
    copy_id = target.create_new_study(source.get_study_directions(study_id), name)
    try:
        for key, value in source.get_study_user_attrs(study_id).items():
            target.set_study_user_attr(copy_id, key, value)
        for key, value in source.get_study_system_attrs(study_id).items():
            target.set_study_system_attr(copy_id, key, value)
        for trial in trials:
            target.create_new_trial(copy_id, trial)
    except BaseException:
        target.delete_study(copy_id)
        raise
    return len(trials)
