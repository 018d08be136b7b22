"""Copy studies between Verdict and Optuna's own storages, trial by trial.

Django is set up before this is imported.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalRedisBackend
from sqlalchemy.exc import SQLAlchemyError

from experiments.tracking.imports.foreign_runs import UnreadableSource
from experiments.trials.lifecycle.services.copied_studies import Original
from workers.search.frozen_trials import fields

# SQLAlchemy takes psycopg 3 for a bare postgresql://; what Verdict installs is psycopg 2.
_DRIVERS = {"postgresql": "postgresql+psycopg2", "postgres": "postgresql+psycopg2"}
_REDIS = ("redis", "rediss", "unix")
_SQLITE = b"SQLite format 3\0"


class _PlainRedisBackend(JournalRedisBackend):
    """A journal in Redis read entry by entry: its snapshots are pickles, which run code."""

    def load_snapshot(self) -> bytes | None:
        return None


def open_storage(url: str, *, must_exist: bool) -> BaseStorage:
    """One of Optuna's storages; one that must exist is read only, and nothing is made in it.

    Args:
        url: a database's URL as SQLAlchemy has it, redis://... of a journal, or the path of a
            journal file, also as journal:PATH; a path that holds an SQLite database is one.
        must_exist: refuse a file that is not there instead of making it.

    Raises:
        UnreadableSource: when that file is not there, or holds no study of Optuna's.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    file = url.removeprefix("journal:") if not scheme else ""
    if scheme == "sqlite":
        file = unquote(url.removeprefix("sqlite:///").partition("?")[0])
    if not must_exist:
        return _writable(scheme, file, url)
    try:
        if file:
            with Path(file).open("rb") as opened:
                is_database = opened.read(len(_SQLITE)) == _SQLITE
            if is_database or scheme == "sqlite":
                read_only = f"sqlite:///file:{quote(file)}?mode=ro&uri=true"
                return RDBStorage(read_only, skip_table_creation=True)
            return JournalStorage(JournalFileBackend(file))
        if scheme in _REDIS:
            return JournalStorage(_PlainRedisBackend(url))
        return RDBStorage(_with_driver(scheme, url), skip_table_creation=True)
    except FileNotFoundError:
        raise UnreadableSource.at(url, "", f"there is no file {file}") from None
    except RuntimeError as error:  # made by another version of Optuna: it says what to do
        raise UnreadableSource.at(url, "", str(error)) from None
    except Exception as error:  # a journal's entries are replayed unchecked: anything may break
        raise UnreadableSource.at(url, *_cause(file, error)) from None


def _writable(scheme: str, file: str, url: str) -> BaseStorage:
    if not scheme:
        return JournalStorage(JournalFileBackend(file))
    if scheme in _REDIS:
        return JournalStorage(JournalRedisBackend(url))
    return get_storage(_with_driver(scheme, url))


def _with_driver(scheme: str, url: str) -> str:
    return _DRIVERS.get(scheme, scheme) + url[len(scheme) :]


def _cause(file: str, error: Exception) -> tuple[str, str]:
    """Line and cause of what makes a source unreadable."""
    if isinstance(error.__cause__, SQLAlchemyError):  # Optuna wraps some of them
        error = error.__cause__
    if isinstance(error, SQLAlchemyError):
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        if "no such table" in cause or "does not exist" in cause:
            return "", f"it holds no studies of Optuna's ({cause})"
        return "", cause
    if isinstance(error, OSError):
        return "", error.strerror or str(error)
    if not file:
        return "", f"{type(error).__name__}: {error}"
    with Path(file).open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                if not isinstance(json.loads(line), dict):
                    return f"line {number}", "no entry of a journal of Optuna's"
            except ValueError:
                return f"line {number}", "no entry of a journal of Optuna's"
    return "", f"no journal of Optuna's ({type(error).__name__}: {error})"


def study_names(source: BaseStorage, url: str) -> list[str]:
    """Names of the studies of a source.

    Raises:
        UnreadableSource: when it has none.
    """
    try:
        names = [study.study_name for study in source.get_all_studies()]
    except Exception as error:  # stored values are believed by Optuna
        raise UnreadableSource.at(url, *_cause("", error)) from None
    if not names:
        raise UnreadableSource.at(url, "", "it has no study")
    return names


def read_study(source: BaseStorage, url: str, name: str) -> Original:
    """A study as one of Optuna's storages has it.

    Raises:
        UnreadableSource: when the source has no study of that name, or it is damaged.
    """
    try:
        study_id = source.get_study_id_from_name(name)
    except KeyError:
        raise UnreadableSource.at(url, "", f"there is no study named {name}") from None
    try:
        directions = source.get_study_directions(study_id)
        trials = source.get_all_trials(study_id, deepcopy=False)
        return Original(
            name=name,
            directions=[direction.name.lower() for direction in directions],
            user_attributes=source.get_study_user_attrs(study_id),
            system_attributes=source.get_study_system_attrs(study_id),
            trials=[fields(trial) for trial in trials],
        )
    except Exception as error:  # stored values are believed by Optuna
        raise UnreadableSource.at(url, *_cause("", error)) from None


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
