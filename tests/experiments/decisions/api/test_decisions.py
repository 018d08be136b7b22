from __future__ import annotations

import copy
from typing import Any

import pytest

from experiments.models import Decision, Membership, Replication
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
ONE = f"{HERE}/experiments/s"


@pytest.fixture(scope="module")
def made_replication(module_db: None) -> Replication:
    cast.project()
    return cast.repeated(cast.finished_search("s"))


@pytest.fixture
def replication(made_replication: Replication) -> Replication:
    return copy.deepcopy(made_replication)


def _body(program: Program, replication: Replication, **more: Any) -> dict[str, Any]:
    seen = program.get(f"{ONE}/repetitions/{replication.pk}")
    return {"choice": "adopt", "reason": "It pays.", "state": seen["state"], **more}


def test_a_decision_freezes_the_evidence_that_its_state_names(replication: Replication) -> None:
    program = Program()
    status, made = program.post(f"{ONE}/decisions", _body(program, replication))
    assert status == 201, made
    assert (made["choice"], made["decided_by"], made["sequence"]) == ("adopt", "ada", 1)
    assert program.get(f"{HERE}/champion")["digest"] == made["candidate_digest"]
    (target,) = (
        found_target
        for found_target in program.get(f"{HERE}/champions")["targets"]
        if found_target["periods"]
    )
    assert target["current"] == 1 and target["periods"][0]["gain"] > 0


def test_stale_evidence_records_nothing(replication: Replication) -> None:
    program = Program()
    body = _body(program, replication)
    program.post(f"{ONE}/repetitions/{replication.pk}/open-test")
    status, answer = program.post(f"{ONE}/decisions", body)
    assert status == 409 and "changed since" in answer["error"]
    assert program.post(f"{ONE}/decisions", body | {"state": ""})[0] == 409
    assert not Decision.objects.exists()


def test_deciding_needs_the_scope_and_the_role(replication: Replication) -> None:
    writer = Program("ada", ("read", "write"))
    body = _body(writer, replication)
    status, answer = writer.post(f"{ONE}/decisions", body)
    assert status == 403 and "scope decide" in answer["error"]
    status, answer = Program("cleo").post(f"{ONE}/decisions", body)
    assert status == 403 and "approver" in answer["error"]
    assert not Decision.objects.exists()


def test_choices_and_targets_that_there_are_not_are_refused(replication: Replication) -> None:
    program = Program()
    for wrong in ({"choice": "perhaps"}, {"target": "moon"}, {"reason": " "}):
        status, answer = program.post(f"{ONE}/decisions", _body(program, replication, **wrong))
        assert status == 400 and answer["errors"], wrong
    assert not Decision.objects.exists()


def test_a_search_is_dropped_without_seeds() -> None:
    cast.project()
    cast.finished_search("s")
    program = Program()
    body = {"choice": "dropped without seeds", "reason": "Nothing there."}
    assert program.post(f"{ONE}/decisions", body)[0] == 201
    assert program.post(f"{ONE}/decisions", body | {"choice": "adopt"})[0] == 409


def test_a_champion_is_reverted_to_an_earlier_one(replication: Replication) -> None:
    cast.decide(replication, "adopt")
    second = cast.finished_search("t")
    cast.decide(cast.repeated(second, looks=(10,)), "adopt")
    program = Program()
    body = {"to": 1, "current": 2, "reason": "It drifts.", "target": "production"}
    assert program.post(f"{HERE}/revert", body | {"current": 1})[0] == 409
    status, made = program.post(f"{HERE}/revert", body)
    assert status == 201 and made["choice"] == "revert" and made["sequence"] == 3


def test_a_project_begins_with_its_baseline() -> None:
    cast.project()
    program = Program()
    assert program.get(f"{HERE}/baseline")["replication"] is None
    assert program.post(f"{HERE}/baseline/record", {"reason": "x"})[0] == 404
    text = """\
project: digits
experiment: where-we-stand
goal: What does today's model reach?
objective: workers.problems.digits:train
metrics: {validation_accuracy: {official: true, direction: maximize}}
search: {trials: 1}
hyperparameters:
  learning_rate: {role: fixed, value: 0.001}
  epochs: {role: fixed, value: 10}
"""
    status, made = program.post(f"{HERE}/baseline", {"text": text, "seeds": 3})
    assert status == 201, made
    assert made["experiment"] == "where-we-stand" and made["pairs_queued"] == 3
    status, answer = program.post(f"{HERE}/baseline/record", {"reason": "x"})
    assert status == 409 and "no outcome yet" in answer["error"]


def test_a_model_from_before_is_entered_as_decision_0() -> None:
    cast.project()
    program = Program()
    body = {
        "objective": cast.OBJECTIVE,
        "parameters": {"learning_rate": 0.001},
        "scores": [0.95, 0.96],
        "source": "last year's paper",
        "reason": "It is what runs.",
    }
    assert program.post(f"{HERE}/baseline/known", body | {"scores": []})[0] == 400
    status, made = program.post(f"{HERE}/baseline/known", body)
    assert status == 201 and (made["sequence"], made["choice"]) == (0, "baseline")


def test_a_proposal_waits_for_another_approvers_token(replication: Replication) -> None:
    program, ben = Program(), Program("ben", ("read",))
    status, _ = program.ask("PUT", f"{HERE}/settings", {"reviews": "sometimes"})
    assert status == 400
    status, _ = program.ask("PUT", f"{HERE}/settings", {"reviews": "adopts"})
    assert status == 204 and program.get(HERE)["reviews"] == "adopts"
    status, proposal = program.post(f"{ONE}/decisions", _body(program, replication))
    assert (status, proposal["outcome"], proposal["proposed_by"]) == (202, "pending", "ada")
    assert ben.ask("GET", f"{HERE}/champion")[0] == 404, "no deployment sees it"
    assert ben.get(f"{HERE}/decisions")["total"] == 0
    assert ben.get(f"{HERE}/proposals")["proposals"] == [proposal]
    confirm = f"{HERE}/proposals/{proposal['id']}/confirm"
    assert program.post(confirm, {"reason": "Me again."})[0] == 403
    Membership.objects.create(
        user=cast.person("eve"), project=replication.experiment.project, role="approver"
    )
    eve = Program("eve")
    assert eve.post(confirm, {"reason": " "})[0] == 400
    status, made = eve.post(confirm, {"reason": "The seeds agree."})
    assert status == 201, made
    assert (made["decided_by"], made["confirmation"]["by"]) == ("ada", "eve")
    champion = ben.get(f"{HERE}/champion")
    assert champion["decision"]["confirmation"]["reason"] == "The seeds agree."
    assert eve.post(confirm, {"reason": "Twice."})[0] == 409
    assert ben.get(f"{HERE}/proposals")["proposals"] == []
    assert len(ben.get(f"{HERE}/proposals?pending=false")["proposals"]) == 1
