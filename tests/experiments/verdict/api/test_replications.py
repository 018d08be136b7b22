from __future__ import annotations

import copy

import pytest

from experiments.models import Experiment, Replication, TestOpening, Trial
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


def _names(program: Program) -> tuple[str, str]:
    rows = program.get(f"{ONE}/trials?state=complete")["trials"]
    return rows[0]["name"], rows[3]["name"]


def test_a_replication_is_declared_by_the_names_of_its_trials(program: Program) -> None:
    assert program.get(f"{ONE}/repetitions") == {"replication": None}
    candidate, baseline = _names(program)
    body = {"candidate": candidate, "baseline": baseline, "looks": [3, 6]}
    status, made = program.post(f"{ONE}/repetitions", body)
    assert status == 201, made
    assert made["replication"]["looks"] == [3, 6] and made["replication"]["replicates_open"] == 6
    status, answer = program.post(f"{ONE}/repetitions", body)
    assert status == 409 and "is open" in answer["error"]


def test_looks_guards_and_trials_that_cannot_be_are_refused(program: Program) -> None:
    candidate, baseline = _names(program)
    good = {"candidate": candidate, "baseline": baseline}
    for wrong, status in (
        ({"looks": [9, 3]}, 400),
        ({"looks": []}, 400),
        ({"margin": -1}, 400),
        ({"score_rule": "best"}, 400),
        ({"guards": [{"metric": "test_accuracy", "bound": "at least", "value": 1}]}, 400),
        ({"guards": [{"metric": "x", "bound": "near", "value": 1}]}, 422),
        ({"candidate": "Z99"}, 404),
        ({"baseline": candidate}, 409),
    ):
        assert program.post(f"{ONE}/repetitions", good | wrong)[0] == status, wrong
    assert not Replication.objects.exists()


def test_between_looks_the_evidence_has_no_verdict_and_after_one_it_has(
    program: Program,
) -> None:
    replication = cast.repeated(Experiment.objects.get(name="s"), done=6)
    address = f"{ONE}/repetitions/{replication.pk}"
    between = program.get(address)
    assert between["outcome"] == "" and between["evidence"]["verdict"] is None
    assert program.post(f"{address}/open-test")[0] == 409
    cast.finish_pairs(replication, 10)
    complete = program.get(address)
    assert (
        complete["outcome"] and complete["evidence"]["verdict"]["outcome"] == complete["outcome"]
    )


def test_test_scores_open_after_the_verdict_and_each_opening_counts(program: Program) -> None:
    replication = cast.repeated(Experiment.objects.get(name="s"))
    address = f"{ONE}/repetitions/{replication.pk}"
    assert program.get(address)["evidence"]["test"] is None
    status, opened = program.post(f"{address}/open-test")
    assert status == 200 and opened["evidence"]["test"] is not None
    assert TestOpening.objects.get().opened_by.get_username() == "cleo"


def test_an_undecided_look_goes_on_and_after_the_last_extra_seeds_follow(
    program: Program,
) -> None:
    replication = cast.repeated(Experiment.objects.get(name="s"), gain=0.0012, looks=(10, 20))
    address = f"{ONE}/repetitions/{replication.pk}"
    assert program.get(address)["outcome"] == "undecided"
    assert program.post(f"{address}/extra", {"pairs": 5})[0] == 409
    assert program.post(f"{address}/continue") == (
        200,
        {"id": replication.pk, "pairs_queued": 20},
    )
    assert program.post(f"{address}/continue")[0] == 409


def test_accidents_are_queued_again(program: Program) -> None:
    replication = cast.repeated(Experiment.objects.get(name="s"))
    broken = Trial.objects.replicates_of(replication).first()
    Trial.objects.filter(pk=broken.pk).update(state=3, failure_kind="exception")
    address = f"{ONE}/repetitions/{replication.pk}/repeat"
    assert program.post(address) == (200, {"queued": 1})


def test_a_source_of_variance_is_measured(program: Program) -> None:
    status, made = program.post(f"{ONE}/variance", {"purpose": "training_seed", "runs": 3})
    assert status == 201 and made["pairs_queued"] == 3
    assert program.post(f"{ONE}/variance", {"purpose": "training_seed"})[0] == 409
    assert program.post(f"{ONE}/variance", {"purpose": "weather"})[0] == 422
