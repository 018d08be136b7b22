from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError

from experiments.management import experiment_commands
from experiments.management.experiment_commands import experiment_group
from experiments.models import Experiment, Project
from experiments.trials.lifecycle.queries.objective_checks import ObjectiveReport
from experiments.trials.lifecycle.services import objective_checks
from tests import cast

pytestmark = pytest.mark.django_db

TEXT = cast.LABEL_SMOOTHING.format(name="from-a-file", goal="Is it better?", trials=2)


def _call(*arguments: str) -> str:
    """Output of a command.

    Raises:
        ClickException: when it fails.
    """
    done = CliRunner().invoke(experiment_group, arguments, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    cast.project()
    User.objects.create_superuser("root")
    path = tmp_path / "experiment.yaml"
    path.write_text(TEXT)
    return path


def test_run_creates_the_experiment_and_says_when_no_worker_listens(file: Path) -> None:
    said = _call("run", str(file), "--detach")
    assert "digits/from-a-file: 4 trials queued." in said and "No worker listens" in said
    assert Experiment.objects.get().created_by.get_username() == "root"


def test_run_for_a_project_that_is_not_there_says_how_to_create_it(file: Path) -> None:
    file.write_text(TEXT.replace("project: digits", "project: elsewhere"))
    with pytest.raises(ClickException) as raised:
        _call("run", str(file))
    said = str(raised.value)
    assert "There is no project elsewhere yet" in said
    command = said.splitlines()[1].split()
    assert command[:2] == ["verdict", "project"]
    call_command(*command[1:], stdout=StringIO())
    assert "4 trials queued" in _call("run", str(file), "--detach")


def test_run_watches_until_the_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(seconds: float) -> None:
        cast.end(Experiment.objects.get())

    monkeypatch.setattr(experiment_commands.time, "sleep", finish)
    said = _call("run", str(file))
    assert "finished: all trials done" in said and "0 of 4" in said


def test_every_error_of_a_file_is_printed_with_its_key(file: Path) -> None:
    file.write_text(TEXT.replace("halton", "halten").replace("fixed", "fixt"))
    with pytest.raises(ClickException) as raised:
        _call("run", str(file))
    said = str(raised.value)
    assert "search.sampler" in said and "hyperparameters.epochs.role" in said


def test_a_file_that_is_not_there_is_one_line(file: Path) -> None:
    with pytest.raises(ClickException, match="cannot be read"):
        _call("run", str(file.with_name("nothing.yaml")))


def test_list_show_and_stop_name_what_they_speak_of(file: Path) -> None:
    _call("run", str(file), "--detach")
    assert "digits/from-a-file" in _call("list")
    assert "digits/from-a-file" not in _call("list", "--project", "other")
    assert "Is it better?" in _call("show", "digits/from-a-file")
    assert "ends" in _call("stop", "digits/from-a-file")
    assert Experiment.objects.get().state == "stopped"
    with pytest.raises(ClickException, match="PROJECT/NAME"):
        _call("show", "digits/nothing")


def test_without_a_superuser_it_says_how_to_make_one(file: Path) -> None:
    User.objects.filter(is_superuser=True).update(is_active=False)
    with pytest.raises(ClickException, match="createsuperuser"):
        _call("run", str(file))


def test_a_project_is_created_with_its_errors_named(file: Path) -> None:
    call_command(
        "project", "create", "fashion", "--metric", "validation_f1", "--direction", "maximize",
        stdout=StringIO(),
    )  # fmt: skip
    assert Project.objects.get(slug="fashion").memberships.get().role == "admin"
    with pytest.raises(CommandError, match="lowercase"):
        call_command("project", "create", "Not A Slug", "--metric", "m", "--direction", "maximize")
    with pytest.raises(CommandError, match="taken"):
        call_command("project", "create", "fashion", "--metric", "m", "--direction", "maximize")


def test_seeding_digits_twice_makes_one_project_and_one_experiment() -> None:
    User.objects.create_superuser("root")
    for _ in range(2):
        call_command("seed_digits", stdout=StringIO())
    assert Project.objects.get().slug == "digits"
    assert Experiment.objects.get().name == "label-smoothing"


def test_check_says_what_would_run_and_what_the_rules_see(file: Path) -> None:
    file.write_text(TEXT.replace("{role: fixed, value: 60}", "{role: nuisance, low: 5, high: 60}"))
    said = _call("check", str(file))
    assert "digits/from-a-file: 2 arms, 4 trials. The file is valid." in said
    assert "not checked: It needs a worker that listens to the queue cpu" in said
    assert "R12 warning: epochs varies inside a study" in said
    assert "hyperparameters.epochs; Tuning Playbook" in said
    with pytest.raises(ClickException, match="of the rules warn"):
        _call("check", str(file), "--strict")
    assert not Experiment.objects.exists()


def test_check_names_every_key_that_is_wrong(file: Path) -> None:
    file.write_text(TEXT.replace("log: true", "log: maybe").replace("goal:", "goel:"))
    with pytest.raises(ClickException) as raised:
        _call("check", str(file))
    assert "hyperparameters.learning_rate.log" in str(raised.value) and "goel" in str(raised.value)


def test_run_ends_when_the_first_trials_fail_and_says_with_what(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(seconds: float) -> None:
        Experiment.objects.update(state="paused", failed_alike=3, failed_count=3, trial_count=3)

    monkeypatch.setattr(experiment_commands.time, "sleep", fail)
    assert "failed, paused" in _call("run", str(file))
    assert "failed, paused" in _call("list")


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (ObjectiveReport("passed", worker="node"), "node imported workers.problems.digits:train"),
        (ObjectiveReport("failed", "no module team.digts", log="Traceback"), "no module"),
    ],
)
def test_check_has_a_worker_import_the_objective(
    file: Path, monkeypatch: pytest.MonkeyPatch, report: ObjectiveReport, said: str
) -> None:
    monkeypatch.setattr(objective_checks, "check", lambda **asked: report)
    if report.state == "passed":
        assert said in _call("check", str(file))
    else:
        with pytest.raises(ClickException, match=said):
            _call("check", str(file))


def test_check_of_a_project_that_is_not_here_reads_the_file_alone(file: Path) -> None:
    file.write_text(TEXT.replace("project: digits", "project: elsewhere"))
    said = _call("check", str(file))
    assert "The file is valid" in said and "not checked: There is no project elsewhere" in said
