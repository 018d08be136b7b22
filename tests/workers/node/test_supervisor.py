"""With real training processes: what a supervisor sees of every way in which a trial ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, is_running, wait_until, wait_until_gone
from tests.workers.slot_owner import FUNCTIONS, Owner, job
from workers.node.supervisor import Order, Slot
from workers.node.training_process import describe_exit
from workers.training.messages import Sealed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def warm() -> Iterator[Slot]:
    """One slot for all tests that do not look at the process itself."""
    slot = Slot(grace_seconds=PATIENCE)
    yield slot
    slot.close()


@pytest.fixture
def slot() -> Iterator[Slot]:
    """A new one, which kills soon what does not listen."""
    slot = Slot(grace_seconds=0.5, hidden_environment=["DATABASE_URL"])
    yield slot
    slot.close()


def test_a_trial_completes_with_its_score_series_and_sealed_scores(warm: Slot) -> None:
    owner = Owner()
    outcome = owner.run(warm, "complete")
    assert outcome.state == "complete", outcome
    score = outcome.score
    assert (score.value, score.best_step, score.last_step, score.evaluations) == (0.3, 3, 3, 3)
    assert owner.points() == {
        "loss": [1.0, 0.5, 1 / 3],
        "validation_accuracy": [0.1, 0.2, 0.3],
        "extra": [1.0],
    }
    assert owner.sealed == [Sealed("test_accuracy", 0.25, 4)]
    assert owner.reports == []
    assert not outcome.read_split_seed
    assert outcome.peak_memory_mb is not None
    assert outcome.peak_memory_mb > 10


def test_a_returned_number_is_the_score(warm: Slot) -> None:
    outcome = Owner().run(warm, "returns_a_number")
    assert (outcome.state, outcome.score.value) == ("complete", 3.0)
    assert outcome.read_split_seed


def test_a_metric_that_never_came_names_those_that_did(warm: Slot) -> None:
    outcome = Owner().run(warm, "logs_something_else")
    assert outcome.state == "failed"
    assert "validation_accuracy was never logged" in outcome.reason
    assert "loss, test_accuracy, val_acc" in outcome.reason
    assert "0.125" not in outcome.reason + outcome.log_tail


def test_a_declared_official_metric_that_does_not_come_fails_the_trial_at_once(warm: Slot) -> None:
    declared = {"validation_accuracy": "validation", "val_acc": "validation"}
    outcome = Owner().run(warm, "never_logs_the_official_metric", splits=declared)
    assert outcome.state == "failed"
    assert "validation_accuracy was never logged" in outcome.reason
    assert "train_loss, val_acc" in outcome.reason
    assert outcome.log_tail.split() == ["epoch", "0", "epoch", "1"]


def test_no_finite_score_is_infeasible_and_no_accident(warm: Slot) -> None:
    outcome = Owner().run(warm, "never_finite")
    assert (outcome.state, outcome.score.value) == ("infeasible", None)
    assert outcome.score.evaluations == 2
    assert outcome.traceback == ""


def test_an_exception_fails_the_trial_with_its_traceback(warm: Slot) -> None:
    outcome = Owner().run(warm, "raises")
    assert outcome.state == "failed"
    assert outcome.reason == "RuntimeError: the learning rate is\ufffd off"
    assert "in raises" in outcome.traceback
    assert "\0" not in outcome.traceback
    assert outcome.score.value == 0.5


def test_an_objective_that_exits_has_failed(warm: Slot) -> None:
    outcome = Owner().run(warm, "exits")
    assert (outcome.state, outcome.reason) == ("failed", "SystemExit: 3")


@pytest.mark.parametrize("code", [0, None])
@pytest.mark.parametrize("folds", [0, 2])
def test_an_objective_that_exits_with_0_has_ended_normally(
    warm: Slot, code: int | None, folds: int
) -> None:
    outcome = Owner().run(warm, "exits_normally", params={"code": code}, folds=folds)
    assert (outcome.state, outcome.score.value, outcome.reason) == ("complete", 0.5, "")


def test_an_exception_whose_text_cannot_be_made_fails_under_its_type(warm: Slot) -> None:
    outcome = Owner().run(warm, "raises_without_text")
    assert (outcome.state, outcome.reason) == ("failed", "Mute")
    assert "in raises_without_text" in outcome.traceback


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (f"{FUNCTIONS}:is_async", "an async function"),
        (f"{FUNCTIONS}:generates", "a generator function"),
        ("os.path:join", "not under the allowed modules"),
        (f"{FUNCTIONS}:no_such", "no such function"),
        (f"{FUNCTIONS}:imported_elsewhere", "defined in pathlib"),
        (f"{FUNCTIONS}.missing:train", "no module"),
    ],
)
def test_an_objective_that_cannot_be_had_says_why(warm: Slot, objective: str, said: str) -> None:
    outcome = Owner().run(warm, "", objective=objective)
    assert outcome.state == "failed"
    assert said in outcome.reason


def test_each_job_has_a_process_of_its_own_from_one_server(slot: Slot) -> None:
    first = Owner().run(slot, "tells_its_process")
    servers = slot.server_pids
    second = Owner().run(slot, "tells_its_process")
    assert first.score.value != second.score.value
    assert slot.server_pids == servers and slot.pid is None


def test_other_environment_variables_mean_another_process(slot: Slot) -> None:
    first = Owner().run(slot, "tells_its_process", environment={"CUDA_VISIBLE_DEVICES": "1"})
    second = Owner().run(slot, "tells_its_process", environment={"CUDA_VISIBLE_DEVICES": "2"})
    assert "'CUDA_VISIBLE_DEVICES': '1'" in first.log_tail
    assert "'CUDA_VISIBLE_DEVICES': '2'" in second.log_tail
    assert first.score.value != second.score.value
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_threads_are_set_and_secrets_are_not_passed_on(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    outcome = Owner().run(slot, "tells_its_process", threads=2)
    assert "'OMP_NUM_THREADS': '2'" in outcome.log_tail
    assert "'DATABASE_URL': None" in outcome.log_tail


def test_each_trial_has_its_own_memory_peak(warm: Slot) -> None:
    high = Owner().run(warm, "takes_memory", params={"megabytes": 200})
    low = Owner().run(warm, "takes_memory", params={"megabytes": 1})
    assert high.peak_memory_mb is not None
    assert low.peak_memory_mb is not None
    assert high.peak_memory_mb > low.peak_memory_mb + 150


def test_a_pruner_ends_a_trial(warm: Slot) -> None:
    owner = Owner(prune_at=3)
    outcome = owner.run(warm, "logs_until_ended", pruning=True, pruner_seconds=PATIENCE)
    assert (outcome.state, outcome.unanswered) == ("pruned", 0)
    assert [step for step, _ in owner.reports] == [1, 2, 3]
    assert outcome.score.evaluations == len(owner.points()["validation_accuracy"]) == 3


def test_a_pruner_that_answers_too_late_prunes_neither_this_nor_the_next_step(
    warm: Slot,
) -> None:
    class Slow(Owner):
        def on_report(self, step: float, value: float) -> bool:
            super().on_report(step, value)
            if step == 1:
                time.sleep(2.0)
            return step == 1

    owner = Slow()
    outcome = owner.run(warm, "evaluates_twice", pruning=True, pruner_seconds=0.5)
    assert outcome.state == "complete" and outcome.unanswered >= 1
    assert [step for step, _ in owner.reports] == [1, 2]


def test_a_trial_asked_to_stop_ends_at_its_next_log_call(warm: Slot) -> None:
    outcome = Owner(order="stop").run(warm, "logs_until_ended")
    assert outcome.state == "stopped"
    assert outcome.score.value is not None


def test_a_trial_that_saves_its_work_when_stopped_is_stopped_all_the_same(warm: Slot) -> None:
    outcome = Owner(order="stop").run(warm, "logs_until_stopped_and_saves")
    assert (outcome.state, outcome.log_tail) == ("stopped", "saved\n")


def test_the_next_trial_of_a_stopped_process_is_not_stopped(warm: Slot) -> None:
    Owner(order="stop").run(warm, "logs_until_ended")
    assert Owner().run(warm, "complete").state == "complete"


@pytest.mark.parametrize(("order", "state"), [("stop", "stopped"), ("leave", "killed")])
def test_a_step_that_blocks_is_killed_after_the_grace(
    slot: Slot, tmp_path: Path, order: Order, state: str
) -> None:
    owner = Owner()
    file = tmp_path / "pid"

    def end_after_a_while() -> Order | None:
        if file.exists() and file.read_text():
            owner.ticks.append(time.monotonic())
        return order if len(owner.ticks) > 10 else None

    outcome = slot.run(
        job("writes_its_process_and_blocks", params={"file": str(file)}),
        on_series=owner.flushes.append,
        on_report=owner.on_report,
        on_sealed=owner.sealed.append,
        on_log_tail=owner.tails.append,
        on_tick=end_after_a_while,
        tick_seconds=0.1,
    )
    assert outcome.state == state
    if order == "stop":
        assert "killed, as no log call came within 0.5 s" in outcome.reason
    wait_until_gone(int(file.read_text()))


def test_a_trial_is_killed_on_request_with_all_it_started(slot: Slot, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    owner = Owner()
    outcome = slot.run(
        job("starts_a_child_and_waits", params={"file": str(file)}),
        on_series=owner.flushes.append,
        on_report=owner.on_report,
        on_sealed=owner.sealed.append,
        on_log_tail=owner.tails.append,
        on_tick=lambda: "kill" if file.exists() and file.read_text() else None,
        tick_seconds=0.05,
    )
    assert (outcome.state, outcome.reason) == ("killed", "killed on request")
    wait_until_gone(int(file.read_text()))


def test_kill_9_in_mid_training_is_a_lost_trial_with_what_had_arrived(
    slot: Slot, tmp_path: Path
) -> None:
    file = tmp_path / "arrived"

    class Told(Owner):
        def on_tick(self) -> Order | None:
            if len(self.points().get("validation_accuracy", [])) == 3:
                file.touch()
            return super().on_tick()

    owner = Told()
    outcome = owner.run(slot, "logs_and_kills_itself", params={"file": str(file)})
    assert outcome.state == "lost"
    assert "killed by signal 9 (SIGKILL); out of memory" in outcome.reason
    assert owner.points() == {"validation_accuracy": [0.0, 0.25, 0.5]}
    assert (outcome.score.value, outcome.names) == (0.5, ("validation_accuracy",))
    assert Owner().run(slot, "complete").state == "complete"


def test_a_kill_from_outside_while_the_server_is_idle_costs_nothing(slot: Slot) -> None:
    Owner().run(slot, "complete")
    os.kill(slot.server_pids[0], signal.SIGKILL)
    assert Owner().run(slot, "complete").state == "complete"


def test_a_segmentation_fault_is_named_and_its_last_words_are_kept(slot: Slot) -> None:
    outcome = Owner().run(slot, "segfaults")
    assert outcome.state == "lost"
    assert "signal 11 (SIGSEGV)" in outcome.reason
    assert outcome.log_tail.startswith("about to fall\n")
    assert "in segfaults" in outcome.log_tail


def test_a_process_that_leaves_without_a_word_is_lost(slot: Slot) -> None:
    outcome = Owner().run(slot, "exits_at_once")
    assert (outcome.state, "code 7" in outcome.reason) == ("lost", True)


def test_a_lost_process_is_noticed_though_a_child_of_it_holds_its_pipes(
    slot: Slot, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    outcome = Owner().run(slot, "leaves_a_child_behind", params={"file": str(file)})
    assert outcome.state == "lost"
    wait_until_gone(int(file.read_text()))


def test_the_end_of_a_long_log_is_kept(warm: Slot) -> None:
    owner = Owner()
    outcome = owner.run(warm, "fills_its_log")
    assert outcome.log_tail.endswith("line 19999\nfrom C code\n")
    assert len(outcome.log_tail) <= 64_000
    assert outcome.log_tail.startswith("line ")
    assert owner.tails[-1] == outcome.log_tail


def test_an_exception_of_the_owner_ends_the_process_and_passes_through(slot: Slot) -> None:
    class Unreachable(Exception):
        pass

    def raise_it(_: object = None) -> None:
        raise Unreachable

    owner = Owner()
    with pytest.raises(Unreachable):
        slot.run(
            job("logs_until_ended"),
            on_series=raise_it,
            on_report=owner.on_report,
            on_sealed=owner.sealed.append,
            on_log_tail=owner.tails.append,
            on_tick=lambda: None,
            tick_seconds=0.1,
        )
    assert slot.pid is None and slot.server_pids == []


def test_a_slot_outlives_the_thread_that_used_it(slot: Slot) -> None:
    servers: list[int] = []
    for _ in range(2):
        thread = threading.Thread(target=Owner().run, args=(slot, "complete"))
        thread.start()
        thread.join()
        servers += slot.server_pids
    assert len(servers) == 2 and servers[0] == servers[1]


def supervising(script: str, file: Path) -> subprocess.Popen[str]:
    """A supervisor in a process of its own; `file` is where its training process writes."""
    code = f"""
        from tests.workers.slot_owner import Owner
        from workers.node.supervisor import Slot

        if __name__ == "__main__":
            slot = Slot()
            {script.format(file=str(file))}
    """
    path = file.with_suffix(".py")
    path.write_text(textwrap.dedent(code))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, str(path)], env=environment, text=True)


def test_a_busy_training_process_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    run = "Owner().run(slot, 'writes_its_process_and_blocks', params={{'file': {file!r}}})"
    with supervising(run, file) as supervisor:
        try:
            wait_until(lambda: file.exists() and file.read_text())
            pid = int(file.read_text())
            assert is_running(pid)
        finally:
            supervisor.kill()
    wait_until_gone(pid)


def test_a_supervisor_that_forgets_to_close_ends_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    run = "Owner().run(slot, 'complete'); open({file!r}, 'w').write(str(slot.server_pids[0]))"
    with supervising(run, file) as supervisor:
        try:
            assert supervisor.wait(PATIENCE) == 0
        finally:
            supervisor.kill()
    wait_until_gone(int(file.read_text()))


@pytest.mark.parametrize(
    ("code", "memory_ran_out", "said"),
    [
        (3, False, "exited with code 3"),
        (-11, False, "killed by signal 11 (SIGSEGV)"),
        (-9, False, "out of memory is likely when"),
        (-9, True, "the kernel's killer was at work"),
        (-64 - 10, False, "signal 74 (unknown)"),
    ],
)
def test_exit_codes_are_told_in_words(code: int, memory_ran_out: bool, said: str) -> None:
    assert said in describe_exit(code, memory_ran_out)


def test_arms_that_differ_in_data_need_a_function_that_reads_them(warm: Slot) -> None:
    data = {"name": "digits", "version": "2"}
    blind = Owner().run(warm, "complete", data=data, data_must_be_read=True)
    assert blind.state == "failed" and "never read run.data" in blind.reason
    assert "digits 2" in blind.reason
    reading = Owner().run(warm, "reads_its_data", data=data, data_must_be_read=True)
    assert (reading.state, reading.score.value) == ("complete", 2.0)
