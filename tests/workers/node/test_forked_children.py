"""A process that a training function starts has no part in its trial's channel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE, wait_until_gone
from tests.workers.slot_owner import Owner
from workers.node.supervisor import Slot
from workers.training.messages import Outcome

FUNCTIONS = "tests.workers.forking_functions"


@pytest.fixture(scope="module")
def slot() -> Iterator[Slot]:
    """One for all: what one trial leaves behind must not come to the next one."""
    slot = Slot(grace_seconds=PATIENCE)
    yield slot
    slot.close()


def run(slot: Slot, owner: Owner, function: str, **params: Any) -> Outcome:
    objective = f"{FUNCTIONS}:{function}"
    return owner.run(slot, "", objective=objective, allowed=(FUNCTIONS,), params=params)


def is_untouched(slot: Slot) -> bool:
    """Whether the next trials get their own results, and nothing else."""
    for _ in range(2):
        owner = Owner()
        outcome = run(slot, owner, "logs_a_little")
        alone = owner.points() == {"validation_accuracy": [0.11]} and outcome.log_tail == ""
        if not (alone and outcome.state == "complete" and outcome.score.value == 0.11):
            return False
    return True


@pytest.mark.parametrize(
    ("function", "values", "said"),
    [
        ("forks_and_both_go_on", [0.5, 0.6], "run.log in the forked process"),
        ("child_raises", [0.5], "RuntimeError: the saver's disk is full"),
        ("child_exits", [0.5], "saved\n"),
        ("child_exits_with_a_text", [0.5], "nothing to save\n"),
        ("forks_in_a_thread", [0.5, 0.5, 0.6], "run.log in the forked process"),
        ("forks_below_python", [0.5], "run.log in the forked process"),
        ("sends_past_its_run", [0.5], "refused a message of process"),
    ],
)
def test_a_forked_child_changes_neither_its_own_trial_nor_a_later_one(
    slot: Slot, function: str, values: list[float], said: str
) -> None:
    owner = Owner()
    outcome = run(slot, owner, function)
    assert (outcome.state, outcome.reason) == ("complete", ""), outcome
    assert owner.points() == {"validation_accuracy": values}
    assert outcome.log_tail.count(said) == 1
    assert is_untouched(slot)


def test_a_child_that_outlives_its_trial_is_ended_and_told_of_in_its_log(
    slot: Slot, tmp_path: Path
) -> None:
    file, owner = tmp_path / "pid", Owner()
    outcome = run(slot, owner, "child_outlives_its_trial", file=str(file))
    assert outcome.state == "complete" and owner.points() == {"validation_accuracy": [0.5]}
    assert f"(process {file.read_text()})" in outcome.log_tail
    assert "ended with its trial, which left it running" in outcome.log_tail
    wait_until_gone(int(file.read_text()))
    assert is_untouched(slot)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_work_and_only_the_trial_logs(
    slot: Slot, method: str
) -> None:
    owner = Owner()
    outcome = run(slot, owner, "logs_in_a_process_of_multiprocessing", method=method)
    assert outcome.state == "complete", outcome
    assert owner.points() == {"validation_accuracy": [0.5, 0.75]}
    assert ("run.log in the forked process" in outcome.log_tail) == (method == "fork")
    assert "left it running" not in outcome.log_tail
    assert is_untouched(slot)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_trial_sets_its_start_method_as_a_script_does(slot: Slot, method: str) -> None:
    for _ in range(2):
        outcome = run(slot, Owner(), "sets_the_start_method", method=method)
        assert (outcome.state, outcome.score.value) == ("complete", 0.5), outcome


def test_a_data_loader_works_with_a_dataset_that_is_a_local_class(slot: Slot) -> None:
    outcome = run(slot, Owner(), "loads_data_in_workers")
    assert (outcome.state, outcome.score.value, outcome.log_tail) == ("complete", 140.0, "")
    assert is_untouched(slot)
