from __future__ import annotations

import copy
import csv
import io

import numpy as np
import pytest

from experiments.models import Experiment, SealedScore, Trial
from experiments.models.trial import FailureKind, TrialState
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
ONE = f"{HERE}/experiments/s"


@pytest.fixture(scope="module")
def made_program(module_db: None) -> Program:
    cast.project()
    cast.finished_search("s")
    return Program("cleo", ("read", "write"))


@pytest.fixture
def program(made_program: Program) -> Program:
    return copy.deepcopy(made_program)


def test_trials_come_in_pages_narrowed_and_ordered(program: Program) -> None:
    found = program.get(f"{ONE}/trials")
    assert (found["total"], found["pages"], len(found["trials"])) == (24, 1, 24)
    scores = [trial["score"] for trial in found["trials"] if trial["score"] is not None]
    assert scores == sorted(scores, reverse=True)
    of_b = program.get(f"{ONE}/trials?arm=B&state=complete")["trials"]
    assert of_b and {trial["name"][0] for trial in of_b} == {"B"}


def test_a_trial_tells_its_parameters_seeds_findings_and_how_to_run_it_again(
    program: Program,
) -> None:
    best = program.get(ONE)["best_trial"]
    trial = program.get(f"{ONE}/trials/{best}")
    assert trial["name"] == best and trial["state"] == "complete"
    assert trial["parameters"]["optimizer"] == "adam"
    assert isinstance(trial["train_seed"], int) and trial["split_seed"] == 0
    assert "workers.reproduce" in trial["reproduce"]
    assert program.ask("GET", f"{ONE}/trials/C99")[0] == 404
    assert program.ask("GET", f"{ONE}/trials/what")[0] == 404


def test_series_of_a_trial_come_whole_or_from_a_range_of_steps(program: Program) -> None:
    best = program.get(ONE)["best_trial"]
    whole = program.get(f"{ONE}/trials/{best}/series")["series"]
    assert whole["train_loss"]["steps"] == list(range(1, cast.EPOCHS + 1))
    cut = program.get(f"{ONE}/trials/{best}/series?first=3&last=5")["series"]
    assert cut["train_loss"] == {"steps": [3, 4, 5], "values": whole["train_loss"]["values"][2:5]}


def test_a_value_that_is_no_number_is_text_in_json(program: Program) -> None:
    trial = Trial.objects.filter(study__experiment__name="s", study__arm_index=0).first()
    assert trial is not None
    cast.log(
        trial.pk,
        {"odd": np.array([1.0, np.nan, np.inf])},
        batches=1,
        first_batch=100,
        first_step=100,
    )
    found = program.get(f"{ONE}/trials/A{trial.number}/series")["series"]["odd"]
    assert found["values"] == [1.0, "nan", "inf"]


def test_trials_and_series_come_as_files(program: Program) -> None:
    status, text = program.ask("GET", f"{ONE}/trials.csv?state=complete")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert status == 200 and {row["state"] for row in rows} == {"complete"}
    status, text = program.ask("GET", f"{ONE}/series.csv?metric=train_loss")
    assert status == 200 and "train_loss" in text and "validation_loss" not in text


def test_test_scores_are_in_no_answer_before_they_are_opened(program: Program) -> None:
    trial = Trial.objects.filter(study__experiment__name="s", study__arm_index=0).first()
    assert trial is not None
    SealedScore.objects.create(trial=trial, name="test_accuracy", value=0.123454321)
    for address in (ONE, f"{ONE}/trials", f"{ONE}/trials/A{trial.number}", f"{ONE}/series.csv"):
        assert "0.123454321" not in str(program.ask("GET", address))


def test_a_configuration_of_ones_own_is_queued_in_the_arm_it_names(program: Program) -> None:
    values = {"learning_rate": 0.001, "dropout": 0.1, "hidden_units": 64}
    status, made = program.post(f"{ONE}/trials", {"parameters": values, "arm": "B"})
    assert status == 201, made
    (trial,) = Trial.objects.filter(pk__in=made["ids"])
    assert trial.study.arm_index == 1 and trial.state == TrialState.WAITING
    status, answer = program.post(f"{ONE}/trials", {"parameters": {"dropout": 7}})
    assert status == 400
    assert {error["where"] for error in answer["errors"]} == {
        "dropout",
        "learning_rate",
        "hidden_units",
    }
    status, answer = program.post(f"{ONE}/trials", {"parameters": values, "arm": "Q"})
    assert status == 400 and answer["errors"] == [
        {"where": "arm", "message": "expected one of A, B"}
    ]


def test_a_failed_trial_is_tried_again_once(program: Program) -> None:
    failed = Trial.objects.filter(study__experiment__name="s", study__arm_index=0).first()
    assert failed is not None
    Trial.objects.filter(pk=failed.pk).update(
        state=TrialState.FAILED, failure_kind=FailureKind.EXCEPTION
    )
    address = f"{ONE}/trials/A{failed.number}/retry"
    assert program.post(address)[0] == 201
    status, answer = program.post(address)
    assert status == 409 and "again already" in answer["error"]


def test_the_budget_is_extended_and_a_grid_is_made(program: Program) -> None:
    assert program.post(f"{ONE}/budget", {"per_arm": 14}) == (200, {"added": 4})
    assert program.post(f"{ONE}/budget", {"per_arm": 10})[0] == 409
    assert program.post(f"{ONE}/budget", {"per_arm": "many"})[0] == 422
    status, answer = program.post(f"{ONE}/grid", {"insist": True})
    assert status == 409, answer  # it runs again
    cast.end(Experiment.objects.get(name="s"))
    status, answer = program.post(f"{ONE}/grid", {"insist": True})
    assert status == 201, answer
    assert Experiment.objects.get(name=answer["name"]).extends is not None
