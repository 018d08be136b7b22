from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.workers.run_memory import Killed, Memory
from tests.workers.slot_owner import job
from workers.node.supervisor import Slot
from workers.problems import digits
from workers.training.checkpoints import (
    CheckpointError,
    CheckpointStore,
    random_states,
    restore_random_states,
)
from workers.training.messages import (
    CheckpointFile,
    Checkpoints,
    Job,
    Outcome,
    Resumed,
    SeriesFlush,
)
from workers.training.run import Run

pytestmark = pytest.mark.processes

REAL: dict[str, Any] = {
    "objective": "workers.problems.digits:train",
    "allowed": ("workers.problems",),
}


def store(folder: Path, *, attempt: int = 1, **changes: Any) -> Checkpoints:
    about = Checkpoints(str(folder), "trials/7", attempt, largest=2**20, seconds=0.0)
    return replace(about, **changes)


def write(about: Checkpoints, state: Any, **changes: Any) -> CheckpointFile:
    told: dict[str, Any] = {"step": 3, "value": 0.5, "memory": {"calls": 3}, **changes}
    return CheckpointStore(about).write(state, **told)


@pytest.mark.parametrize(
    "state", [{"epoch": 3, "names": ["a", ("b", None)]}, {"weights": torch.arange(3.0)}]
)
def test_what_was_saved_is_loaded(tmp_path: Path, state: dict[str, Any]) -> None:
    file = write(store(tmp_path), state)
    content = (tmp_path / file.path).read_bytes()
    assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    loaded = CheckpointStore(store(tmp_path, attempt=2, saved=(file,))).read()
    assert loaded is not None and loaded.memory == {"calls": 3}
    assert str(loaded.state) == str(state)
    assert [path.suffix for path in (tmp_path / "trials/7").iterdir()] == [".pt"]


@pytest.mark.parametrize("spoil", [lambda old: old[:-1], lambda old: b"", lambda old: old + b"x"])
def test_an_altered_checkpoint_is_passed_over_for_an_older_one(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    older, newer = (write(store(tmp_path, attempt=n), {"n": n}, step=n) for n in (1, 2))
    path = tmp_path / newer.path
    path.write_bytes(spoil(path.read_bytes()))
    loaded = CheckpointStore(store(tmp_path, attempt=3, saved=(newer, older))).read()
    assert loaded is not None and loaded.state == {"n": 1}
    assert loaded.unreadable == (
        "checkpoint at step 2: its checksum is not the recorded one; an older one is tried",
    )


def test_loading_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    file = write(store(tmp_path), {"n": 1})
    evil = b"cos\nsystem\n(S'touch /tmp/x'\ntR."
    (tmp_path / file.path).write_bytes(evil)
    forged = replace(file, sha256=hashlib.sha256(evil).hexdigest())
    run = Run(job("x", checkpoints=store(tmp_path, attempt=2, saved=(forged,))), Memory())
    assert run.load_checkpoint() is None
    run.close()
    assert "os.system is no plain data" in run.warnings[0]


@pytest.mark.parametrize("state", [{"a": Killed()}, {"f": lambda: 1}, {"g": torch.nn.ReLU()}])
def test_a_state_that_could_not_be_read_back_is_refused_at_once(
    tmp_path: Path, state: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match="can hold tensors, numbers, text"):
        write(store(tmp_path), state)
    assert not list(tmp_path.rglob("*.pt"))


def test_a_checkpoint_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"step 3 has .* allows 1\. Keep less in it"):
        write(store(tmp_path), {"w": torch.zeros(2**19)})


def test_a_full_disk_is_warned_about_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    run = Run(job("x", checkpoints=store(tmp_path)), Memory())
    assert run.save_checkpoint({"n": 1}, step=4) is False
    run.close()
    assert run.warnings == ("checkpoint at step 4 not kept: No space left on device",)
    assert not list((tmp_path / "trials/7").iterdir())


def test_all_random_states_are_restored() -> None:
    own: list[Any] = [torch.Generator().manual_seed(3), np.random.default_rng(4), random.Random(5)]

    def draw() -> list[float]:
        return [
            random.random(),
            float(np.random.rand()),
            float(torch.rand(())),
            float(torch.rand((), generator=own[0])),
            float(own[1].random()),
            own[2].random(),
        ]

    draw()
    held = random_states(own)
    first = draw()
    draw()
    restore_random_states(held, own)
    assert draw() == first
    with pytest.raises(CheckpointError, match="holds 3 generators and 1 were given"):
        restore_random_states(held, own[:1])


def test_points_leave_before_their_checkpoint(tmp_path: Path) -> None:
    sink = Memory()
    run = Run(job("x", checkpoints=store(tmp_path)), sink, flush_seconds=60)
    run.log({"validation_accuracy": 0.25}, step=1)
    run.save_checkpoint({"n": 1}, step=1)
    run.close()
    assert [type(message) for message in sink.told] == [SeriesFlush, CheckpointFile]
    assert sink.files[0].value == 0.25


def test_a_resumed_run_remembers_its_score_its_patience_and_its_test_scores(
    tmp_path: Path,
) -> None:
    first = Memory()
    run = Run(job("x", checkpoints=store(tmp_path), pruning=True), first)
    run.log({"validation_accuracy": 0.5, "test_accuracy": 0.4}, step=1)
    run.log({"validation_accuracy": 0.25}, step=2)
    run.save_checkpoint({"n": 2}, step=2)
    run.close()
    second = Memory()
    again = Run(job("x", checkpoints=store(tmp_path, attempt=2, saved=tuple(first.files))), second)
    assert again.load_checkpoint() == {"n": 2}
    assert again.score == run.score and again.sealed == run.sealed
    again.close()
    assert second.told == [Resumed(2, 1, ((1, 0.5), (2, 0.25)))]


def test_ranks_above_0_log_nothing_and_save_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    sink = Memory()
    run = Run(job("x", checkpoints=store(tmp_path)), sink)
    run.log({"validation_accuracy": 0.5}, step=1)
    assert run.save_checkpoint({"n": 1}, step=1) is False and not run.checkpoint_due
    run.close()
    assert sink.told == [] and run.score.evaluations == 0


def test_a_run_of_a_sink_without_checkpoints_says_once_that_none_are_kept() -> None:
    run = Run(job("x"), Memory())
    assert [run.save_checkpoint({}, step=step) for step in (1, 2)] == [False, False]
    assert run.load_checkpoint() is None and not run.checkpoint_due
    run.close()
    assert run.warnings == ("no checkpoints are kept here",)


def test_a_resumed_run_of_digits_equals_an_unbroken_one_bit_for_bit(tmp_path: Path) -> None:
    params = {"epochs": 6, "dropout": 0.3, "hidden_units": 16, "schedule": "cosine"}

    def train(about: Checkpoints, die_after: int | None = None) -> tuple[Memory, Run]:
        assigned: Job = job("x", params=params, checkpoints=about)
        sink = Memory(die_after)
        run = Run(assigned, sink)
        try:
            digits.train(run)
        except Killed:
            assert die_after is not None
        run.close()
        return sink, run

    whole, unbroken = train(store(tmp_path / "whole"))
    before, _ = train(store(tmp_path / "broken"), die_after=2)
    after, resumed = train(
        store(tmp_path / "broken", attempt=2, saved=tuple(reversed(before.files)))
    )
    assert (before.files[-1].step, after.told[0]) == (2, Resumed(2, 1))
    for name in ("train_loss", "validation_loss", "validation_accuracy", "learning_rate"):
        assert before.curve(name, last=2) + after.curve(name) == whole.curve(name)
    assert [step for step, _ in whole.curve("train_loss")] == [1, 2, 3, 4, 5, 6]
    assert resumed.score == unbroken.score
    assert resumed.sealed == unbroken.sealed


def test_a_trial_that_is_killed_goes_on_in_a_new_process_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    params = {"epochs": 5, "dropout": 0.3, "hidden_units": 16}
    whole = Memory()
    run = Run(job("x", params=params, checkpoints=store(tmp_path / "whole")), whole)
    digits.train(run)
    run.close()

    slot = Slot(grace_seconds=0.5)
    before, after = Memory(), Memory()

    def kill(message: CheckpointFile | Resumed) -> None:
        before.tell(message)
        if message.step == 2 and slot.pid is not None:
            os.kill(slot.pid, signal.SIGKILL)

    def train(sink: Memory, tell: Callable[[Any], None], about: Checkpoints) -> Outcome:
        return slot.run(
            job("x", **REAL, params=params, checkpoints=about),
            on_series=sink.series,
            on_report=sink.report,
            on_sealed=lambda sealed: None,
            on_log_tail=lambda text: None,
            on_tick=lambda: None,
            on_checkpoint=tell,
        )

    try:
        assert train(before, kill, store(tmp_path)).state == "lost"
        # Some may have been written between the signal and the end; the records say which count.
        held = tuple(file for file in before.files if file.step <= 2)
        outcome = train(after, after.tell, store(tmp_path, attempt=2, saved=held[::-1]))
    finally:
        slot.close()
    assert outcome.state == "complete"
    assert outcome.score == run.score
    for name in ("train_loss", "validation_accuracy"):
        assert before.curve(name, last=2) + after.curve(name) == whole.curve(name)
