from __future__ import annotations

import datetime as dt
import json
import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import optuna
import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from experiments.models import Study, Trial
from experiments.trials.lifecycle.services import copied_studies, trials
from tests import cast
from tests.services_under_test.redis_server import RedisServer
from workers.search.exchange import open_storage, read_study
from workers.search.frozen_trials import FAILURE_ATTRIBUTE
from workers.search.storage import VerdictStorage

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

DISTRIBUTIONS = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "drop": FloatDistribution(0.0, 0.5, step=0.1),
    "units": IntDistribution(32, 512, log=True),
    "layers": IntDistribution(1, 9, step=2),
    "optimizer": CategoricalDistribution(("adam", "sgd", None, 3, 0.5, True)),
}
STARTED = dt.datetime(2025, 3, 30, 1, 59, 59, 123456)


def every_kind_of_trial() -> list[FrozenTrial]:
    params = {"rate": 1e-3, "drop": 0.1, "units": 64, "layers": 3, "optimizer": None}
    found = [
        create_trial(
            state=state,
            values=values,
            params=params,
            distributions=DISTRIBUTIONS,
            user_attrs={"nested": {"list": [1, 2.5, None, "ü"], "nan": math.inf}, "z": 1, "a": 2},
            system_attrs={"constraints": [0.5, -1.0]},
            intermediate_values={5: 0.5, 0: math.inf, 7: -1e300},
        )
        for state, values in (
            (TrialState.COMPLETE, [0.1 + 0.2, -math.inf]),
            (TrialState.PRUNED, None),
            (TrialState.FAIL, None),
            (TrialState.RUNNING, None),
            (TrialState.WAITING, None),
        )
    ]
    for index, trial in enumerate(found):
        started = STARTED + dt.timedelta(hours=index)
        trial.datetime_start = None if trial.state == TrialState.WAITING else started
        if trial.state.is_finished():
            trial.datetime_complete = started + dt.timedelta(seconds=1.5)
    return [*found, create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": params})]


def fill(storage: BaseStorage, name: str = "history") -> None:
    directions = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
    study_id = storage.create_new_study(directions, name)
    storage.set_study_user_attr(study_id, "owner", {"team": ["a", "b"]})
    storage.set_study_system_attr(study_id, "study:metric_names", ["loss", "accuracy"])
    for trial in every_kind_of_trial():
        storage.create_new_trial(study_id, trial)


def told(storage: BaseStorage, name: str = "history") -> dict[str, Any]:
    """All that a storage says of a study, but for its own ids."""
    study_id = storage.get_study_id_from_name(name)
    return {
        "directions": storage.get_study_directions(study_id),
        "user": storage.get_study_user_attrs(study_id),
        "system": storage.get_study_system_attrs(study_id),
        "trials": [
            {key: value for key, value in vars(trial).items() if key != "_trial_id"}
            for trial in storage.get_all_trials(study_id)
        ],
    }


STORAGES = ["sqlite", "journal file", "journal redis"]
if os.environ.get("DATABASE_URL", "").startswith("postgres"):
    STORAGES.append("postgresql")


@pytest.fixture(params=STORAGES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where one of Optuna's own storages lies."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/optuna.db"
    elif request.param == "journal file":
        yield str(tmp_path / "optuna.log")
    elif request.param == "postgresql":
        yield from other_database()
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        yield f"unix://{server.socket}?db=9"
        server.client.connection_pool.reset()
        with server.client.client() as client:
            client.execute_command("SELECT", 9)
            client.flushdb()


def other_database() -> Iterator[str]:
    """A database for Optuna beside that of the tests; no driver is named, as people write it."""
    params = connection.get_connection_params()
    place = {key: params[key] for key in ("host", "port", "user", "password") if params.get(key)}
    name = f"{connection.settings_dict['NAME']}_optuna"
    server = psycopg2.connect(dbname="postgres", **place)
    server.autocommit = True
    with closing(server), server.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
        yield f"postgresql:///{name}?" + urlencode(place)
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_study_comes_in_and_goes_out_unchanged(url: str, tmp_path: Path) -> None:
    source = open_storage(url, must_exist=False)
    fill(source)
    shown = StringIO()
    call_command("import", "optuna", url, "history", stdout=shown)
    assert shown.getvalue().startswith("history: 6 trials added")
    ours = told(VerdictStorage())
    assert ours == told(source)
    assert [trial["_number"] for trial in ours["trials"]] == list(range(6))

    for again in (f"sqlite:///{tmp_path}/again.db", str(tmp_path / "again.log")):
        call_command("export", "optuna", again, stdout=StringIO())
        assert told(open_storage(again, must_exist=True)) == ours


def test_values_that_are_no_number_come_in(tmp_path: Path) -> None:
    url = str(tmp_path / "optuna.log")
    source = open_storage(url, must_exist=False)
    study_id = source.create_new_study([StudyDirection.MINIMIZE], "nan")
    source.create_new_trial(
        study_id,
        create_trial(
            value=1.0,
            params={"x": math.nan},
            distributions={"x": CategoricalDistribution((math.nan, math.inf))},
            user_attrs={"loss": math.nan},
            intermediate_values={0: math.nan},
        ),
    )
    call_command("import", "optuna", url, stdout=StringIO())
    trial = optuna.load_study(study_name="nan", storage=VerdictStorage()).trials[0]
    for value in (trial.params["x"], trial.user_attrs["loss"], trial.intermediate_values[0]):
        assert math.isnan(value)


def test_all_studies_come_in_when_none_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    source = open_storage(url, must_exist=False)
    fill(source, "one")
    fill(source, "two")
    cast.project("digits")
    call_command("import", "optuna", url, "--project", "digits", stdout=StringIO())
    found = Study.objects.filter(project__slug="digits", kind="free")
    assert set(found.values_list("name", flat=True)) == {"one", "two"}


def test_our_own_searches_go_out_with_why_trials_failed(tmp_path: Path) -> None:
    cast.project()
    search = cast.search("kept", trials_per_arm=2)
    study = search.studies.get(arm_index=0)
    trial_id, _ = trials.create(study_id=study.pk, state=0)
    trials.finish(trial_id=trial_id, state=3, values=None, failure_kind="lost")
    url = f"sqlite:///{tmp_path}/optuna.db"
    call_command("export", "optuna", url, study.name, stdout=StringIO())
    name = study.name
    before = told(VerdictStorage(), name)
    assert told(open_storage(url, must_exist=True), name) == before
    Study.objects.filter(pk=study.pk).update(name="moved aside")
    call_command("import", "optuna", url, stdout=StringIO())
    assert told(VerdictStorage(), name) == before
    assert before["trials"][0]["_system_attrs"] == {FAILURE_ATTRIBUTE: "lost"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", "optuna", "{folder}/none.log"), "no file"),
        (("import", "optuna", "sqlite:///{folder}/none.db"), "no file"),
        (("import", "optuna", "{url}", "typo"), "no study named typo"),
        (("import", "optuna", "{url}", "--project", "typo"), "no project typo"),
        (("export", "optuna", "{url}", "typo"), "no study named typo"),
        (("export", "optuna", "{url}"), "there is no study"),
    ],
)
def test_what_cannot_be_copied_is_said_in_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    fill(open_storage(url, must_exist=False))
    given = [argument.format(folder=tmp_path, url=url) for argument in arguments]
    with pytest.raises(CommandError, match=message):
        call_command(*given, stdout=StringIO())
    assert not Study.objects.exists()
    assert not (tmp_path / "none.log").exists() and not (tmp_path / "none.db").exists()


def test_the_same_study_twice_adds_nothing_and_one_that_grew_is_brought_up_to_date(
    url: str,
) -> None:
    source = open_storage(url, must_exist=False)
    fill(source)
    call_command("import", "optuna", url, stdout=StringIO())
    call_command("import", "optuna", url, stdout=StringIO())
    assert told(VerdictStorage()) == told(source)

    study = optuna.load_study(study_name="history", storage=source)
    running = study.trials[3]._trial_id
    source.set_trial_intermediate_value(running, 9, math.nan)
    call_command("import", "optuna", url, stdout=StringIO())
    assert math.isnan(told(VerdictStorage())["trials"][3]["intermediate_values"][9])
    source.set_trial_state_values(running, TrialState.COMPLETE, [1.0, 2.0])
    source.create_new_trial(study._study_id)
    shown = StringIO()
    call_command("import", "optuna", url, "--json", stdout=shown)
    assert json.loads(shown.getvalue()) == [
        {
            "id": Study.objects.get().pk,
            "study": "history",
            "added": 1,
            "updated": 1,
            "unchanged": 5,
        }
    ]
    ours = told(VerdictStorage())["trials"]
    assert (ours[3]["state"], ours[3]["_values"]) == (TrialState.COMPLETE, [1.0, 2.0])


def test_an_interrupted_import_of_a_study_goes_on(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_storage(url, must_exist=False)
    fill(source)
    monkeypatch.setattr(copied_studies, "AT_ONCE", 2)
    original = read_study(source, url, "history")

    def break_off(done: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied_studies.copy(original, project="optuna", progress=break_off)
    assert Trial.objects.count() == 4
    copied = copied_studies.copy(original, project="optuna")
    assert (copied.added, copied.unchanged) == (2, 4)
    assert told(VerdictStorage()) == told(source)


def test_another_study_of_the_same_name_comes_in_behind_its_project(tmp_path: Path) -> None:
    for number in range(3):
        source = open_storage(f"{tmp_path}/{number}.log", must_exist=False)
        study = optuna.create_study(storage=source, study_name="mine")
        study.add_trial(create_trial(value=float(number)))
    for number in (0, 1, 1, 0):
        call_command("import", "optuna", f"{tmp_path}/{number}.log", stdout=StringIO())
    found = Study.objects.order_by("pk").values_list("name", "next_number")
    assert list(found) == [("mine", 1), ("optuna/mine", 1)]
    with pytest.raises(CommandError, match="with other trials"):
        call_command("import", "optuna", f"{tmp_path}/2.log", stdout=StringIO())


def test_a_source_is_only_read(tmp_path: Path) -> None:
    journal, database = tmp_path / "optuna.log", tmp_path / "optuna.db"
    for path, url in ((journal, str(journal)), (database, f"sqlite:///{database}")):
        fill(open_storage(url, must_exist=False), f"history {path.suffix}")
        before = path.read_bytes()
        path.chmod(0o400)
        call_command("import", "optuna", url, stdout=StringIO())
        assert path.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"optuna.log", "optuna.db"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no journal\n{}\n", "line 1: no entry of a journal"),
        (b"[1]\n", "line 1: no entry of a journal"),
        (b'{"op_code": 0}\n', "no journal of Optuna's"),
        (b'{"op_code": 77, "worker_id": "a"}\n', "no journal of Optuna's"),
        (b"", "it has no study"),
        (b"SQLite format 3\0 and no more", "not a database"),
        (b"\x80\x04cos\nsystem\n", "line 1: no entry of a journal"),
    ],
)
def test_a_file_that_is_no_storage_is_refused_in_a_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "study.log"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        call_command("import", "optuna", str(path), stdout=StringIO())


def test_a_database_without_studies_is_told(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE fruit (name)")
    with pytest.raises(CommandError, match="no studies of Optuna"):
        call_command("import", "optuna", f"{tmp_path}/other.db", stdout=StringIO())


def test_snapshots_of_a_journal_in_redis_are_not_read(redis_server: RedisServer) -> None:
    url = f"unix://{redis_server.socket}?db=9"
    fill(open_storage(url, must_exist=False))
    redis_server.client.connection_pool.reset()
    with redis_server.client.client() as client:
        client.execute_command("SELECT", 9)
        client.set("optuna:snapshot", b"cos\nsystem\n(S'false'\ntR.")
    assert len(open_storage(url, must_exist=True).get_all_studies()) == 1
    with redis_server.client.client() as client:
        client.execute_command("SELECT", 9)
        client.flushdb()


def test_a_name_that_is_taken_is_not_overwritten_by_an_export(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    fill(open_storage(url, must_exist=False))
    call_command("import", "optuna", url, stdout=StringIO())
    with pytest.raises(CommandError, match="already"):
        call_command("export", "optuna", url, stdout=StringIO())
    assert len(told(VerdictStorage())["trials"]) == 6


def test_a_failed_export_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(VerdictStorage())
    target = open_storage(str(tmp_path / "optuna.log"), must_exist=False)
    monkeypatch.setattr(
        type(target), "create_new_trial", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(CommandError, match="disk full"):
        call_command("export", "optuna", str(tmp_path / "optuna.log"), stdout=StringIO())
    assert target.get_all_studies() == []
