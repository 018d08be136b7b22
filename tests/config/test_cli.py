"""`verdict`, the console script."""

from __future__ import annotations

import calendar
import getpass
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import ConnectionHandler
from optuna import create_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from config import cli, launcher
from experiments.management.command_group import say_json
from tests import cast
from workers.management.commands import worker as worker_command

HEAVY = ("torch", "optuna", "plotly", "scipy", "statsmodels", "numpy", "celery", "rich")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.verdict, arguments, prog_name="verdict")


def in_a_shell(
    folder: Path, *arguments: str, after: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """`verdict` as a process of its own, started in `folder`."""
    program = (
        f"import sys; sys.argv = ['verdict', *{arguments!r}]\n"
        f"from config.cli import main\ntry: main()\nfinally:\n    {after or 'pass'}"
    )
    # Empty is the default, which no .env of the checkout takes the place of.
    inherited = {**os.environ, "DATABASE_URL": "", "REDIS_URL": ""}
    inherited.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", program],
        env={**inherited, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.processes
def test_a_list_from_any_folder_imports_nothing_heavy(used_once: Path, tmp_path: Path) -> None:
    seen = f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    done = in_a_shell(tmp_path, "list", after=seen, VERDICT_DATA=str(used_once))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["EXPERIMENT", "STATE", "TRIALS", "LEFT", "BEST", "FINDINGS"]
    assert done.stderr == "[]\n"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "The database is empty, Verdict has not been started yet: run `verdict up`."),
        (
            {"DATABASE_URL": "postgresql://me:geheim@127.0.0.1:1/verdict"},
            "The database is away, DATABASE_URL says where it is: ",
        ),
        ({"PORT": "x"}, "PORT: found 'x'; expected a whole number from 1 to 65535"),
    ],
)
@pytest.mark.parametrize("arguments", [("list",), ("show", "a/b"), ("password", "admin")])
def test_a_database_that_cannot_be_used_is_one_line(
    tmp_path: Path, variables: dict[str, str], said: str, arguments: tuple[str, ...]
) -> None:
    done = in_a_shell(tmp_path, *arguments, VERDICT_DATA=str(tmp_path / "data"), **variables)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {said}")
    assert done.stderr.count("\n") == 1 and "geheim" not in done.stderr


def test_a_database_of_another_version_is_one_line(db: None) -> None:
    MigrationRecorder(connection).record_applied("experiments", "9999_of_tomorrow")
    assert call("list").output == (
        "Error: The database is of a newer version of Verdict: update this code.\n"
    )
    MigrationRecorder(connection).record_unapplied("experiments", "9999_of_tomorrow")
    MigrationRecorder(connection).record_unapplied("experiments", "0019_whole_documents")
    assert call("list").output == (
        "Error: The database is of an older version, 1 migration is missing, the first is "
        "experiments 0019_whole_documents: run `verdict migrate`, or `verdict up`, which does "
        "so.\n"
    )


def test_every_command_tells_an_example() -> None:
    for name in cli.verdict.commands:
        assert f"  verdict {name}" in call(name, "--help").output, name
    asked = "up run check list show stop worker import export password project decisions"
    assert {*asked.split()} <= {*cli.verdict.commands}


def test_examples_of_djangos_commands_are_ones_that_their_parsers_take() -> None:
    for name, (_, *examples) in cli.PASSED_ON.items():
        command = cli.verdict.commands[name]
        assert isinstance(command, cli.PassedOn)
        for example in examples:
            words = shlex.split(example.partition(">")[0])
            assert words[:2] == ["verdict", name]
            command._parser().parse_args(words[2:])


def test_a_command_of_djangos_explains_its_own_options() -> None:
    said = call("worker", "--help")
    assert said.exit_code == 0
    assert said.output.startswith("usage: verdict worker") and "--queues" in said.output
    assert "--metric" in call("project", "create", "-h").output


@pytest.mark.django_db
def test_a_shell_completes_commands_options_and_names() -> None:
    cast.project()
    cast.search("label-smoothing")

    def completions(words: list[str], begun: str) -> list[str]:
        shell = BashComplete(cli.verdict, {}, "verdict", "_VERDICT_COMPLETE")
        return [completion.value for completion in shell.get_completions(words, begun)]

    assert completions([], "st") == ["stop"]
    assert "--project" in completions(["list"], "--")
    assert completions(["show"], "digits/") == ["digits/label-smoothing"]
    assert "--queues" in completions(["worker"], "--")


@pytest.mark.django_db
def test_json_is_what_a_program_reads(tmp_path: Path) -> None:
    cast.project()
    User.objects.create_superuser("root")
    file = tmp_path / "experiment.yaml"
    file.write_text(cast.LABEL_SMOOTHING.format(name="mine", goal="Is it better?", trials=2))
    checked = json.loads(call("check", str(file), "--json").output)
    assert (checked["experiment"], checked["trials"]) == ("digits/mine", 4)
    queued = json.loads(call("run", "--detach", "--json", str(file)).output)
    assert (queued["project"], queued["state"], queued["budget"]) == ("digits", "running", 4)
    assert [row["name"] for row in json.loads(call("list", "--json").output)] == ["mine"]
    stopped = json.loads(call("stop", "digits/mine", "--json").output)
    assert stopped["state"] == "stopped"
    assert json.loads(call("show", "digits/mine", "--json").output) == stopped


@pytest.mark.django_db
def test_djangos_commands_print_json_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Django closes them at the end of a command; the test's database lives in one.
    monkeypatch.setattr(ConnectionHandler, "close_all", lambda _: None)

    def answer(*arguments: str) -> Any:
        done = call(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    User.objects.create_superuser("root")
    made = answer("project", "create", "digits", "--metric", "acc", "--direction", "maximize")
    assert made == {
        "slug": "digits", "name": "digits", "official_metric": "acc", "direction": "maximize"
    }  # fmt: skip
    (verified,) = answer("decisions", "verify")
    assert (verified["project"], verified["entries"], verified["problems"]) == ("digits", 0, [])
    url = str(tmp_path / "journal.log")
    create_study(storage=JournalStorage(JournalFileBackend(url)), study_name="history")
    (moved,) = answer("import", "optuna", url)
    assert moved == {
        "id": moved["id"], "study": "history", "added": 0, "updated": 0, "unchanged": 0
    }  # fmt: skip
    sent = [{"study": "history", "trials": 0}]
    assert answer("export", "optuna", str(tmp_path / "other.log")) == sent
    monkeypatch.setattr(worker_command, "_run", lambda queues, concurrency: None)
    ready = answer("worker", "--slots", "3", "--gpus", "0", "--queues", "a,b")
    assert ready == {"gpus": [], "slots": 3, "queues": ["a", "b"]}


def test_up_prints_json_and_nothing_else_once_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(tell: Any) -> int:
        print("Static files collected.")
        tell(launcher._banner("first-password"))
        return 0

    monkeypatch.setattr(launcher, "main", main)
    done = call("up", "--json")
    facts = json.loads(done.stdout)
    assert facts["address"] == settings.PUBLIC_URL + "/" or facts["address"].startswith("http")
    assert (facts["user"], facts["password"]) == ("admin", "first-password")
    assert "Static files collected." in done.stderr


def test_numbers_that_are_not_finite_are_text_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"best_value": float("nan")})
    assert json.loads(capsys.readouterr().out) == {"best_value": "nan"}


@pytest.mark.django_db
def test_a_password_is_set_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = User.objects.create_superuser("admin", password="forgotten, long ago")
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "a fresh one, once more")
    changed = call("password", "--json")
    assert json.loads(changed.stdout) == {"user": "admin", "password_changed": True}
    admin.refresh_from_db()
    assert admin.check_password("a fresh one, once more")


@pytest.mark.processes
def test_a_package_of_the_current_folder_is_allowed_and_hides_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mypackage", "config"):  # a team's package may have a name of ours
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(launcher, "main", lambda: 0)
    for name in ("OBJECTIVES", "OBJECTIVES_FOLDER", "PORT"):
        monkeypatch.setenv(name, "")
    assert call("up", "--objectives", "mypackage.training", "--port", "8123").exit_code == 0
    assert os.environ["OBJECTIVES"] == "workers.problems,mypackage.training"
    assert os.environ["PORT"] == "8123"
    assert os.environ["OBJECTIVES_FOLDER"] == str(tmp_path)
    program = (
        "import os\n"
        "from workers.objectives.python_function import add_folder\n"
        "add_folder(os.environ['OBJECTIVES_FOLDER'])\n"
        "import calendar, config, mypackage\n"
        "print(calendar.__file__, config.__file__, mypackage.__file__)"
    )
    (tmp_path / "calendar.py").write_text("")  # one of Python's own
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(settings.BASE_DIR)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [
        calendar.__file__,
        str(settings.BASE_DIR / "config" / "__init__.py"),
        str(tmp_path / "mypackage" / "__init__.py"),
    ], done.stderr


def test_a_package_that_is_not_there_is_named_with_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    refused = call("up", "--objectives", "mypackige")
    assert refused.exit_code == 1
    assert f"there is no package mypackige in {tmp_path}" in refused.output


def test_a_file_of_settings_in_verdicts_folder_is_read_and_the_environment_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("WORKER_NAME='from the file'\nPORT=8001\n")
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(cli, "verdict", click.Command("verdict", callback=lambda: None))
    monkeypatch.setattr(sys, "argv", ["verdict"])
    monkeypatch.setenv("PORT", "8002")
    monkeypatch.setenv("WORKER_NAME", "")
    monkeypatch.delenv("WORKER_NAME")
    with pytest.raises(SystemExit):
        cli.main()
    assert (os.environ["WORKER_NAME"], os.environ["PORT"]) == ("from the file", "8002")
