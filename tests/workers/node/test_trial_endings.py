"""Everything that a trial has started ends with it, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import is_running, wait_until, wait_until_gone
from tests.workers.forking_functions import started
from tests.workers.slot_owner import Owner, job
from workers.node import training_process
from workers.node.supervisor import Order, Slot
from workers.training.messages import Outcome

FUNCTIONS = "tests.workers.forking_functions"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot(grace_seconds=0.5)
    yield slot
    slot.close()


def run(
    slot: Slot,
    function: str,
    on_tick: Callable[[Owner], Order | None] = lambda owner: None,
    **params: str,
) -> Outcome:
    owner = Owner()
    return slot.run(
        job("", objective=f"{FUNCTIONS}:{function}", allowed=(FUNCTIONS,), params=params),
        on_series=owner.flushes.append,
        on_report=owner.on_report,
        on_sealed=owner.sealed.append,
        on_log_tail=owner.tails.append,
        on_tick=lambda: on_tick(owner),
        tick_seconds=0.05,
    )


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        ("returns", "complete"),
        ("raises", "failed"),
        ("exits", "complete"),
        ("exits at once", "lost"),
        ("kills itself", "lost"),
        ("kills its server", "lost"),
    ],
)
def test_children_in_sessions_of_their_own_end_with_a_trial_that_ends(
    slot: Slot, tmp_path: Path, ending: str, state: str
) -> None:
    outcome = run(slot, "starts_in_sessions_of_their_own", folder=str(tmp_path), ending=ending)
    assert outcome.state == state, outcome
    # What a server leaves that was killed itself is for whoever adopts it to reap.
    is_there = is_running if ending == "kills its server" else psutil.pid_exists
    assert not any(is_there(pid) for pid in started(tmp_path)), "gone, and no zombies"
    assert run(slot, "logs_a_little").state == "complete"


@pytest.mark.parametrize(
    ("order", "ending", "state"),
    [
        ("stop", "waits", "stopped"),
        ("leave", "waits", "stopped"),
        ("kill", "waits", "killed"),
        ("stop", "blocks", "stopped"),
        ("leave", "blocks", "killed"),
        ("kill", "blocks", "killed"),
    ],
)
def test_children_in_sessions_of_their_own_end_with_a_trial_that_is_ended(
    slot: Slot, tmp_path: Path, order: Order, ending: str, state: str
) -> None:
    def ordered(owner: Owner) -> Order | None:
        begun = owner.flushes if ending == "waits" else (tmp_path / "blocks").exists()
        return order if begun else None

    outcome = run(
        slot, "starts_in_sessions_of_their_own", ordered, folder=str(tmp_path), ending=ending
    )
    assert outcome.state == state, outcome
    assert not any(psutil.pid_exists(pid) for pid in started(tmp_path)), "gone, and no zombies"


@pytest.mark.parametrize("ending", ["waits", "blocks"])
def test_they_end_when_the_worker_is_killed(tmp_path: Path, ending: str) -> None:
    code = f"""
        from pathlib import Path
        from tests.workers.node.test_trial_endings import run
        from workers.node.supervisor import Slot

        if __name__ == "__main__":
            slot = Slot()
            folder = {str(tmp_path)!r}
            run(slot, "starts_in_sessions_of_their_own", folder=folder, ending={ending!r})
    """
    script = tmp_path / "supervise.py"
    script.write_text(textwrap.dedent(code))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as worker:
        try:
            wait_until(lambda: (tmp_path / "forked").exists() and len(started(tmp_path)) == 3)
        finally:
            worker.kill()
    for pid in started(tmp_path):
        wait_until_gone(pid)


def test_a_server_that_is_told_to_close_ends_its_trial_with_all_it_started(
    slot: Slot, tmp_path: Path
) -> None:
    def closing(owner: Owner) -> None:
        if owner.flushes:
            slot.close()

    outcome = run(
        slot, "starts_in_sessions_of_their_own", closing, folder=str(tmp_path), ending="waits"
    )
    assert outcome.state == "lost"
    for pid in started(tmp_path):
        wait_until_gone(pid)


def test_orphans_do_not_stay_as_zombies_while_their_trial_goes_on(
    slot: Slot, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    seen: list[bool] = []

    def until_reaped(owner: Owner) -> Order | None:
        if file.exists() and file.read_text():
            seen.append(psutil.pid_exists(int(file.read_text())))
        return "kill" if seen and not seen[-1] else None

    assert run(slot, "orphans_a_zombie", until_reaped, file=str(file)).state == "killed"
    assert not seen[-1]


def test_a_failure_names_the_kernels_killer_when_it_took_a_child(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = iter([4, 5])
    monkeypatch.setattr(training_process, "_out_of_memory_kills", lambda: next(kills))
    outcome = run(slot, "child_is_killed")
    assert outcome.state == "failed"
    assert "DataLoader worker" in outcome.reason
    assert outcome.reason.endswith("out of memory: the kernel's killer was at work at that time")


def test_a_failure_without_such_a_kill_does_not_name_it(slot: Slot) -> None:
    outcome = run(slot, "child_is_killed")
    assert outcome.state == "failed" and "out of memory" not in outcome.reason
