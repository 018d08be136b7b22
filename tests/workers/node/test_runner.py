from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from experiments.models import Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.services import queue
from tests import cast
from workers.node import heartbeats
from workers.node.devices import find
from workers.node.runner import TrialRunner
from workers.node.slots import Slots
from workers.search.storage import VerdictStorage
from workers.training.messages import Job, Outcome, Score, State

pytestmark = pytest.mark.processes


@pytest.mark.django_db
def test_a_trial_is_claimed_for_the_room_that_is_kept_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(queue, "claim", lambda **how: asked.append(how["allocate"](2)))
    runner = TrialRunner(worker_id=1, storage=VerdictStorage(), stopping=threading.Event())
    reservation = Slots(cpu=1, devices=find("3", {}), per_device=1).reserve()
    try:
        assert not runner.run_next("gpu", reservation)
    finally:
        runner.close()
    assert asked == ["cuda:0,cuda:1"]


@pytest.mark.django_db
def test_a_trial_of_an_arm_of_other_code_fails_with_the_reason_and_trains_nothing() -> None:
    cast.project()
    source = cast.LABEL_SMOOTHING.format(name="code", goal="Is it the code?", trials=1) + (
        "arms:\n  older: {commit: 8b7e6d5}\n  newer: {commit: 9a0b1c2}\n"
    )
    search = cast.search(source=source)
    slots = Slots(cpu=1)
    reservation = slots.reserve()
    runner = TrialRunner(worker_id=None, storage=VerdictStorage(), stopping=threading.Event())  # type: ignore[arg-type]
    try:
        while runner.run_next("cpu", reservation):
            pass
    finally:
        runner.close()
    assert not reservation.slot.server_pids, "no training process was started"
    trials = Trial.objects.filter(study__experiment=search)
    assert len(trials) == 4
    for trial in trials:
        assert trial.state == TrialState.FAILED and trial.configuration is None
        wanted = trial_spec.read(trial.pk).runs.commit
        assert f"this arm needs the code of commit {wanted}" in trial.failure_reason


class _Reservation:
    """A place whose training ends as the test says, after the orders it was given."""

    device = "cpu"

    def __init__(self, outcome: Outcome, control: str = "") -> None:
        self.outcome, self.control = outcome, control
        self.orders: list[str | None] = []
        self.slot: Any = self

    def allocate(self, gpus: int) -> str:
        return self.device

    def run(self, job: Job, *, on_tick: Callable[[], str | None], **_: object) -> Outcome:
        Trial.objects.filter(state=TrialState.RUNNING).update(
            control=self.control, failure_reason="cancelled by ada" if self.control else ""
        )
        while self.control and not any(self.orders):
            self.orders.append(on_tick())
            time.sleep(0.01)
        return self.outcome


def _run_one(monkeypatch: pytest.MonkeyPatch, reservation: _Reservation) -> Trial:
    monkeypatch.setattr(heartbeats, "SECONDS", 0.01)
    cast.project()
    cast.search(trials_per_arm=1)
    runner = TrialRunner(worker_id=None, storage=VerdictStorage(), stopping=threading.Event())  # type: ignore[arg-type]
    runner._heartbeats.close()
    runner._heartbeats = heartbeats.Heartbeats(seconds=0.01)
    try:
        assert runner.run_next("cpu", reservation)
    finally:
        runner.close()
    return Trial.objects.get()


@pytest.mark.django_db(transaction=True)
def test_a_process_that_died_leaves_its_reason_and_its_last_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    died = Outcome(state="lost", reason="killed by signal 11 (SIGSEGV)", log_tail="Fatal error\n")
    trial = _run_one(monkeypatch, _Reservation(died))
    assert (trial.state, trial.losses, trial.log_tail) == (TrialState.WAITING, 1, "Fatal error\n")
    assert trial.failure_reason == "killed by signal 11 (SIGSEGV)"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("control", "order", "ends_as", "state"),
    [
        ("cancel", "kill", "killed", TrialState.FAILED),
        ("back", "leave", "stopped", TrialState.WAITING),
        ("back", "leave", "killed", TrialState.WAITING),
        ("back", "leave", "complete", TrialState.COMPLETE),
        ("stop", "stop", "stopped", TrialState.COMPLETE),
    ],
)
def test_what_a_person_asks_becomes_an_order_and_then_a_state(
    monkeypatch: pytest.MonkeyPatch, control: str, order: str, ends_as: State, state: TrialState
) -> None:
    score = Score(value=0.5, best_step=1, last_value=0.5, last_step=1, evaluations=1)
    reservation = _Reservation(
        Outcome(state=ends_as, score=score, reason="killed on request"), control
    )
    trial = _run_one(monkeypatch, reservation)
    assert reservation.orders[-1] == order
    assert trial.state == state
    if control == "cancel":
        assert (trial.failure_kind, trial.failure_reason) == ("cancelled", "cancelled by ada")
