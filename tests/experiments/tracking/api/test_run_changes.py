"""What a program does with a run that it has begun: name it, tell more, be ended, go on."""

from __future__ import annotations

import pytest
from django.test import Client

from experiments.errors import Conflict
from experiments.models import Experiment, Finding, Project, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.trials.lifecycle.services.added_trials import retry
from experiments.trials.lifecycle.services.run_changes import BATCHES
from experiments.trials.series.queries import series
from tests import cast
from tests.experiments.tracking.api.test_runs import RUNS, Program
from workers.node import owed_findings
from workers.node.findings import FindingsRecorder

pytestmark = pytest.mark.django_db
PAGE = "/projects/digits/experiments/from a laptop/"


@pytest.fixture
def project() -> Project:
    return cast.project()


@pytest.fixture
def program(project: Project) -> Program:
    return Program()


def page(number: int = 0) -> str:
    ben = Client()
    ben.force_login(cast.person("ben"))
    return ben.get(f"{PAGE}trials/{number}/").content.decode()


def test_a_run_has_its_name_on_its_page(program: Program) -> None:
    program.create(name="wide, with dropout")
    assert "wide, with dropout" in page()
    status, answer = program.post(
        RUNS, {"project": "digits", "experiment": "x", "name": "n" * 501}
    )
    assert status == 422 and answer["errors"][0]["where"] == "name"


def test_parameters_may_come_after_the_start_and_stay(program: Program) -> None:
    run = program.create(params={"lr": 0.1})
    first = Trial.objects.get().configuration
    assert program.post(f"{RUNS}/{run}/params", {"params": {"layers": 3, "lr": 0.1}})[0] == 200
    trial = Trial.objects.select_related("configuration").get()
    assert trial.configuration != first and trial.configuration is not None
    assert '"parameters":{"layers":3,"lr":0.1}' in trial.configuration.document
    assert "layers" in page()
    status, answer = program.post(f"{RUNS}/{run}/params", {"params": {"layers": 4, "new": 1}})
    assert status == 409 and answer["errors"][0]["where"] == "params.layers"
    assert "new" not in Trial.objects.get().parameters
    same = program.create(params={"layers": 3, "lr": 0.1})
    assert Trial.objects.get(pk=same).configuration == trial.configuration
    program.finish(run, state="failed")
    assert program.post(f"{RUNS}/{run}/params", {"params": {"late": 1}})[0] == 409


def test_a_run_that_never_logged_the_official_metric_stays_complete_and_its_page_says_so(
    program: Program,
) -> None:
    run = program.create()
    program.log(run, 0, (1, {"train_loss": 0.5}))
    assert program.finish(run)["state"] == "complete"
    experiment = Experiment.objects.get()
    assert (experiment.complete_count, experiment.best_value) == (1, None)
    assert owed_findings.derive_due(FindingsRecorder()) == 1
    assert "validation_accuracy was never logged" in page()
    for address in (PAGE, "/projects/digits/"):
        ben = Client()
        ben.force_login(cast.person("ben"))
        assert ben.get(address).status_code == 200, address


def test_what_a_run_is_to_be_known_by_is_on_its_page(program: Program) -> None:
    run = program.create()
    program.finish(run, value=0.9, summary={"parameters": 12_345, "machine": "a"})
    text = page()
    assert "12,345" in text or "12345" in text
    assert ">machine<" in text
    run = program.create()
    status, _ = program.post(f"{RUNS}/{run}/finish", {"summary": {"x": 10**400}})
    assert status == 422


def test_a_terminated_run_says_nothing_of_its_configuration_and_says_why(
    program: Program,
) -> None:
    run = program.create()
    reason = "the program was ended by SIGTERM"
    assert program.finish(run, state="terminated", reason=reason)["state"] == "failed"
    trial = Trial.objects.get()
    assert (trial.failure_kind, trial.failure_reason) == (
        FailureKind.LOST,
        f"terminated: {reason}",
    )
    text = page()
    assert f"terminated: {reason}" in text
    assert "Retry with the same seeds" not in text  # no worker would take it
    with pytest.raises(Conflict, match="An external program ran it"):
        retry(access=cast.access("cleo", trial.study.experiment), trial=trial)


def test_a_run_goes_on_after_its_program_was_ended(program: Program) -> None:
    run = program.create(params={"lr": 0.1}, train_seed=3)
    program.log(run, 0, (1, {"validation_accuracy": 0.5}))
    program.log(run, 1, (2, {"validation_accuracy": 0.6}))
    program.finish(run, state="terminated")
    owed_findings.derive_due(FindingsRecorder())
    status, told = program.post(f"{RUNS}/{run}/resume", {})
    assert status == 200
    assert (told["id"], told["params"], told["train_seed"]) == (run, {"lr": 0.1}, 3)
    assert (told["next_batch"], told["next_step"]) == (BATCHES, 3)
    experiment = Experiment.objects.get()
    assert (experiment.state, experiment.failed_count, experiment.trial_count) == ("running", 0, 0)
    assert Trial.objects.get().state == TrialState.RUNNING
    late = program.log(run, 2, (3, {"validation_accuracy": 0.65}))  # of the earlier program
    assert late["stored"] and not late["late"]
    program.log(run, told["next_batch"], (4, {"validation_accuracy": 0.7}))
    assert program.finish(run) == {"state": "complete", "value": 0.7}
    curve = series.read([run])[run]["validation_accuracy"]
    assert curve.steps.tolist() == [1, 2, 3, 4]
    experiment.refresh_from_db()
    assert (experiment.state, experiment.complete_count) == ("finished", 1)
    assert owed_findings.derive_due(FindingsRecorder()) == 1
    assert Finding.objects.filter(trial=run).exists()


def test_a_run_that_still_runs_is_taken_over_where_it_stands(program: Program) -> None:
    run = program.create()
    assert program.post(f"{RUNS}/{run}/resume", {})[1]["next_batch"] == 0
    program.log(run, BATCHES + 5, (9, {"loss": 0.5}))
    told = program.post(f"{RUNS}/{run}/resume", {})[1]
    assert (told["next_batch"], told["next_step"]) == (2 * BATCHES, 10)


@pytest.mark.parametrize("state", ["complete", "pruned"])
def test_a_run_with_a_result_does_not_go_on(program: Program, state: str) -> None:
    run = program.create()
    program.log(run, 0, (1, {"validation_accuracy": 0.5}))
    program.finish(run, state=state)
    status, answer = program.post(f"{RUNS}/{run}/resume", {})
    assert status == 409 and "has a result" in answer["error"]


def test_only_an_editor_of_the_project_changes_a_run(program: Program) -> None:
    run = program.create()
    for who, status in (("ben", 403), ("dan", 404)):
        other = Program(who)
        assert other.post(f"{RUNS}/{run}/resume", {})[0] == status
        assert other.post(f"{RUNS}/{run}/params", {"params": {}})[0] == status
    reading = Program(scopes=("read",))
    assert reading.post(f"{RUNS}/{run}/resume", {})[0] == 403
