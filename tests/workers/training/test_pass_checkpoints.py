"""Trials of several folds or budgets that die and are taken up again."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.design.document.fidelity import Fidelity
from tests.workers.run_memory import Killed, Memory
from tests.workers.slot_owner import job
from tests.workers.training.test_checkpoints import store
from workers.node.supervisor import Slot
from workers.problems import svm
from workers.training.messages import (
    BuiltOnLowerBudget,
    CheckpointFile,
    Checkpoints,
    Job,
    Resumed,
    StoredMessage,
)
from workers.training.passes import MultiPassRun
from workers.training.run import Run

pytestmark = pytest.mark.processes

FOLDS = ("[fold=1]", "[fold=2]", "[fold=3]")
SVM: dict[str, Any] = {"params": {"epochs": 4, "learning_rate": 0.002}, "folds": 3}
BUDGETS: dict[str, Any] = {
    "rungs": Fidelity("width", 4, 16).rungs(2),  # 4, 8, 16
    "fidelity": "width",
    "budget": 16,
    "params": {"width": 16},
}
Dies = Callable[[StoredMessage], bool]


class Mortal(Memory):
    """Dies as by kill -9 when it is told what `dies` says."""

    def __init__(self, dies: Dies | None = None) -> None:
        super().__init__()
        self.dies = dies

    def tell(self, message: Any) -> None:
        super().tell(message)
        if self.dies is not None and self.dies(message):
            raise Killed


def in_pass(number: int, step: int) -> Dies:
    """At the checkpoint of that step in that pass, counted from 1."""

    def dies(message: StoredMessage) -> bool:
        return (
            isinstance(message, CheckpointFile)
            and message.kind != "progress"
            and f"-pass-{number}-" in message.path
            and message.step == step
        )

    return dies


def finished(number: int) -> Dies:
    """Once that pass is known to be finished."""

    def dies(message: StoredMessage) -> bool:
        return (
            isinstance(message, CheckpointFile)
            and message.kind == "progress"
            and message.step == number - 1
        )

    return dies


def train(
    function: Callable[[Run], object], assigned: Job, dies: Dies | None = None
) -> tuple[MultiPassRun, Mortal]:
    sink = Mortal(dies)
    passes = MultiPassRun(assigned, sink)
    try:
        passes.call(function)
    except Killed:
        assert dies is not None
    passes.close()
    return passes, sink


def taken_up(about: Checkpoints, *before: Memory, attempt: int = 2) -> Checkpoints:
    """What the next attempt is told is there."""
    files = [file for sink in before for file in sink.files]
    return replace(about, attempt=attempt, saved=tuple(reversed(files)))


def test_a_trial_killed_within_a_fold_goes_on_in_it_bit_for_bit(tmp_path: Path) -> None:
    unbroken, whole = train(svm.descend, job("x", **SVM, checkpoints=store(tmp_path / "whole")))
    about = store(tmp_path / "broken")
    _, before = train(svm.descend, job("x", **SVM, checkpoints=about), in_pass(2, 3))
    again, after = train(svm.descend, job("x", **SVM, checkpoints=taken_up(about, before)))
    assert after.told[:2] == [
        Resumed(None, 1, ((1, unbroken.folds[0]),), "[fold=2]", ("[fold=1]",)),
        Resumed(3, 1, (), "[fold=2]", ("[fold=1]",)),
    ]
    for name in ("train_loss", "validation_accuracy"):
        first, second, third = (name + suffix for suffix in FOLDS)
        assert before.curve(first) == whole.curve(first) and after.curve(first) == []
        assert before.curve(second, last=3) + after.curve(second) == whole.curve(second)
        assert after.curve(third) == whole.curve(third)
    assert after.curve("validation_accuracy") == whole.curve("validation_accuracy")
    assert (again.folds, again.score, again.sealed, again.names) == (
        unbroken.folds,
        unbroken.score,
        unbroken.sealed,
        unbroken.names,
    )
    assert {file.value for file in before.files} == {None}, "no fold is the trial's own training"


def test_a_trial_that_dies_again_goes_on_from_what_its_attempts_have_finished(
    tmp_path: Path,
) -> None:
    unbroken, _ = train(svm.descend, job("x", **SVM, checkpoints=store(tmp_path / "whole")))
    about = store(tmp_path / "broken")
    _, first = train(svm.descend, job("x", **SVM, checkpoints=about), in_pass(1, 2))
    second_try = taken_up(about, first)
    _, second = train(svm.descend, job("x", **SVM, checkpoints=second_try), in_pass(3, 1))
    third_try = taken_up(about, first, second, attempt=3)
    again, third = train(svm.descend, job("x", **SVM, checkpoints=third_try))
    assert third.told[1] == Resumed(1, 2, (), "[fold=3]", ("[fold=1]", "[fold=2]"))
    assert (again.folds, again.score) == (unbroken.folds, unbroken.score)


def test_finished_folds_are_kept_and_random_states_go_on_where_nothing_is_saved(
    tmp_path: Path,
) -> None:
    """By a function that knows nothing of checkpoints and draws from the shared generator."""
    seen: list[int | None] = []

    def draws(run: Run) -> float:
        seen.append(run.fold)
        if run.fold == 0:
            random.seed(run.train_seed)
        return random.random()

    unbroken, _ = train(draws, job("x", folds=3, checkpoints=store(tmp_path / "whole")))
    about = store(tmp_path / "broken")
    _, before = train(draws, job("x", folds=3, checkpoints=about), finished(2))
    seen.clear()
    random.seed(99)
    again, _ = train(draws, job("x", folds=3, checkpoints=taken_up(about, before)))
    assert seen == [2] and again.folds == unbroken.folds


def test_what_is_known_of_finished_folds_is_not_believed_once_it_was_altered(
    tmp_path: Path,
) -> None:
    unbroken, whole = train(svm.descend, job("x", **SVM, checkpoints=store(tmp_path / "whole")))
    about = store(tmp_path / "broken", seconds=3600.0)
    _, before = train(svm.descend, job("x", **SVM, checkpoints=about), finished(1))
    (known,) = (file for file in before.files if file.kind == "progress")
    path = tmp_path / "broken" / known.path
    path.write_bytes(path.read_bytes().replace(b"folds", b"FOLDS"))
    again, after = train(svm.descend, job("x", **SVM, checkpoints=taken_up(about, before)))
    assert after.curve("train_loss[fold=1]") == whole.curve("train_loss[fold=1]"), "trained anew"
    assert again.folds == unbroken.folds


def _wide(run: Run) -> None:
    """Three steps on each budget; goes on from below when there is nothing else."""
    held = run.load_checkpoint(from_lower_budget=True)
    weight = held["weight"] if held else 0.0
    done = held["step"] if held and held["width"] == run.params["width"] else 0
    for step in range(done + 1, 4):
        weight += random.random()
        # Values fall with the budget: one of a smaller budget would win.
        run.log({"validation_accuracy": weight / 100 - run.params["width"]}, step=step)
        run.save_checkpoint({"weight": weight, "step": step, "width": run.budget}, step=step)


def test_a_budget_goes_on_from_the_one_below_where_it_is_asked_and_takes_no_value_of_it(
    tmp_path: Path,
) -> None:
    random.seed(5)
    unbroken, whole = train(_wide, job("x", **BUDGETS, checkpoints=store(tmp_path / "whole")))
    random.seed(5)
    total = [random.random() for _ in range(9)]
    assert unbroken.score.value == pytest.approx(sum(total) / 100 - 16)
    assert [type(message) for message in whole.told].count(BuiltOnLowerBudget) == 2
    by_kind = {file.kind for file in whole.files if file.value is not None}
    assert by_kind == {"checkpoint"}, "only the whole budget's can be the best one"

    random.seed(5)
    about = store(tmp_path / "broken")
    _, before = train(_wide, job("x", **BUDGETS, checkpoints=about), in_pass(2, 2))
    random.seed(77)
    again, after = train(_wide, job("x", **BUDGETS, checkpoints=taken_up(about, before)))
    assert after.told[1] == Resumed(2, 1, (), "[width=8]", ("[width=4]",))
    assert again.score == unbroken.score
    name = "validation_accuracy[width=8]"
    assert before.curve(name) + after.curve(name) == whole.curve(name)
    assert after.curve("validation_accuracy") == whole.curve("validation_accuracy")


def test_a_budget_begins_anew_unless_it_is_asked_to_go_on_from_below(tmp_path: Path) -> None:
    loaded = []

    def trains(run: Run) -> float:
        loaded.append(run.load_checkpoint())
        run.save_checkpoint({"width": run.budget}, step=1)
        return 0.5

    _, sink = train(trains, job("x", **BUDGETS, checkpoints=store(tmp_path)))
    assert loaded == [None, None, None]
    assert not any(isinstance(message, BuiltOnLowerBudget) for message in sink.told)


def test_folds_of_a_process_that_is_killed_go_on_in_a_new_one(tmp_path: Path) -> None:
    unbroken, whole = train(svm.descend, job("x", **SVM, checkpoints=store(tmp_path / "whole")))
    slot = Slot(grace_seconds=0.5)
    before, after = Memory(), Memory()
    about = store(tmp_path)
    dies = in_pass(2, 2)

    def kill(message: Any) -> None:
        before.tell(message)
        if dies(message) and slot.pid is not None:
            os.kill(slot.pid, signal.SIGKILL)

    def run(sink: Memory, tell: Callable[[Any], None], checkpoints: Checkpoints) -> Any:
        changes = {
            **SVM,
            "objective": "workers.problems.svm:descend",
            "allowed": ("workers.problems",),
        }
        return slot.run(
            job("x", **changes, checkpoints=checkpoints),
            on_series=sink.series,
            on_report=sink.report,
            on_sealed=lambda sealed: None,
            on_log_tail=lambda text: None,
            on_tick=lambda: None,
            on_checkpoint=tell,
        )

    try:
        assert run(before, kill, about).state == "lost"
        outcome = run(after, after.tell, taken_up(about, before))
    finally:
        slot.close()
    assert (outcome.state, outcome.score) == ("complete", unbroken.score)
    assert outcome.folds == unbroken.folds
    assert after.curve("train_loss[fold=3]") == whole.curve("train_loss[fold=3]")
    assert after.curve("train_loss[fold=1]") == []


def test_a_checkpoint_at_step_0_is_not_taken_for_what_is_known_of_its_fold(
    tmp_path: Path,
) -> None:
    def trains(run: Run) -> float:
        run.save_checkpoint({"fold": run.fold}, step=0)
        return 0.5

    _, sink = train(trains, job("x", folds=2, checkpoints=store(tmp_path)))
    assert len({file.path for file in sink.files}) == 4
