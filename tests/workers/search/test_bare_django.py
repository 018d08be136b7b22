"""Programs that were never told about Django, each in an interpreter of its own."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import optuna
import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from experiments.models import Trial
from tests.services_under_test.redis_server import database_url_of_the_tests
from tests.waiting import PATIENCE
from workers.search.storage import VerdictStorage

pytestmark = [pytest.mark.processes, pytest.mark.sql]

ROOT = Path(__file__).resolve().parents[3]
NEW_STUDY = """
    import optuna, sys
    from workers.search import bare_django
    from workers.search.storage import VerdictStorage
    bare_django.PATIENCE_SECONDS = 200  # for whoever builds the tables on a busy machine
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=VerdictStorage(sys.argv[1]), study_name="bare", load_if_exists=True
    )
"""


def start(program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "VERDICT_DATA", "TZ")
    }
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), *arguments],
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, *arguments: str, **environment: str) -> Any:
    """The JSON that a program prints."""
    process = start(program, *arguments, **environment)
    out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return json.loads(out)


@contextmanager
def new_database(folder: Path) -> Iterator[str]:
    """The URL of a database without any tables."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{quote(str(folder / 'new.sqlite3'))}"
        return
    name = f"bare_{uuid.uuid4().hex}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database(tmp_path: Path, transactional_db: None) -> Iterator[str]:
    with new_database(tmp_path) as url:
        yield url


@pytest.fixture(scope="module")
def shared_database(
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[str]:
    """One that the first program of this module gives its tables."""
    with django_db_blocker.unblock(), new_database(tmp_path_factory.mktemp("bare")) as url:
        yield url


def test_a_program_that_knows_only_a_url_runs_a_study(empty_database: str) -> None:
    made = run(
        NEW_STUDY
        + """
    import json
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("n", 1, 3), n_trials=8)
    loaded = optuna.load_study(study_name="bare", storage=VerdictStorage(sys.argv[1]))
    figure = optuna.visualization.plot_slice(loaded)
    print(json.dumps({
        "trials": [trial.value for trial in loaded.trials],
        "importance": sorted(optuna.importance.get_param_importances(loaded)),
        "plots": len(figure.data),
    }))
    """,
        empty_database,
    )
    assert len(made["trials"]) == 8
    assert made["importance"] == ["n", "x"]
    assert made["plots"] == 2
    seen = run(NEW_STUDY + "    import json; print(json.dumps(study.best_value))", empty_database)
    assert seen == min(made["trials"])


def test_processes_that_start_together_build_the_tables_together(empty_database: str) -> None:
    program = NEW_STUDY + "    study.optimize(lambda t: t.suggest_float('x', 0, 1), n_trials=3)"
    processes = [start(program, empty_database) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
    seen = run(NEW_STUDY + "    import json; print(json.dumps(len(study.trials)))", empty_database)
    assert seen == 9


def test_a_program_keeps_its_own_time_zone(shared_database: str) -> None:
    seen = run(
        NEW_STUDY
        + """
    import json, time
    from datetime import datetime, timedelta
    before = datetime.now()
    study.optimize(lambda t: 0.0, n_trials=1)
    started = study.trials[0].datetime_start
    print(json.dumps([time.tzname[0], abs(started - before) < timedelta(minutes=30)]))
    """,
        shared_database,
        TZ="Asia/Tokyo",
    )
    assert seen == ["JST", True]


def test_a_storage_travels_to_another_process(shared_database: str) -> None:
    seen = run(
        NEW_STUDY
        + """
    import json, pickle, subprocess
    study.add_trial(optuna.trial.create_trial(value=-1.0))
    program = "import pickle, sys; s = pickle.load(sys.stdin.buffer); print(s.best_value)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], input=pickle.dumps(study),
        capture_output=True, check=True,
    )
    print(done.stdout.decode())
    """,
        shared_database,
    )
    assert seen == -1.0


@pytest.mark.django_db
def test_inside_verdict_the_url_may_be_left_out_or_repeated() -> None:
    VerdictStorage()
    VerdictStorage(database_url_of_the_tests())


@pytest.mark.django_db
def test_two_databases_are_used_in_one_process_each_for_its_own_storage(tmp_path: Path) -> None:
    here = VerdictStorage()
    urls = [f"sqlite:///{tmp_path / name}.sqlite3" for name in ("one", "two")]
    one, two = (VerdictStorage(url) for url in urls)
    study = optuna.create_study(study_name="copied", storage=one)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    for source, target in ((one, two), (two, here)):
        optuna.copy_study(from_study_name="copied", from_storage=source, to_storage=target)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2, n_jobs=2)
    counts = [len(optuna.load_study(study_name="copied", storage=s).trials) for s in (one, two)]
    assert counts == [5, 3]
    assert Trial.objects.count() == 3, "services know this database as before"
    copied = optuna.load_study(study_name="copied", storage=here).trials
    assert [trial.params for trial in copied] == [trial.params for trial in study.trials[:3]]
    optuna.delete_study(study_name="copied", storage=here)
    assert [found_study.study_name for found_study in one.get_all_studies()] == ["copied"]
    again = pickle.loads(pickle.dumps(two))
    assert len(optuna.load_study(study_name="copied", storage=again).trials) == 3


def test_without_a_url_and_without_django_there_is_nothing_to_open() -> None:
    process = start("from workers.search.storage import VerdictStorage; VerdictStorage()")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "needs a database's URL" in errors


def test_another_projects_django_is_left_alone() -> None:
    process = start("""
        from django.conf import settings
        settings.configure(INSTALLED_APPS=[])
        from workers.search.storage import VerdictStorage
        VerdictStorage("sqlite:////tmp/another.sqlite3")
    """)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "set up without Verdict" in errors


def test_tables_of_another_version_are_not_touched(
    empty_database: str,
) -> None:
    run(NEW_STUDY + "    print(0)", empty_database)
    forget = """
        import sys
        from workers.search import bare_django
        bare_django.connect(sys.argv[1])
        from django.db import connection
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM django_migrations WHERE app = 'experiments' AND name >= '0003'"
            )
        bare_django.PATIENCE_SECONDS = 0.2
        try:
            bare_django._migrate_if_empty()
        except bare_django.ImproperlyConfigured as error:
            import json
            print(json.dumps(str(error)))
    """
    assert "manage.py migrate" in run(forget, empty_database)
