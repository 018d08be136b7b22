"""What one trial leaves behind does not come to the next: each begins as a script does."""

from __future__ import annotations

import ast
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE
from tests.workers.slot_owner import Owner, job
from workers.node.supervisor import MOST_SERVERS, Slot
from workers.training.messages import Outcome

FUNCTIONS = "tests.workers.clean_functions"
Write = Callable[..., str]


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot(grace_seconds=PATIENCE)
    yield slot
    slot.close()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module whose function `train` logs what its line says."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(name: str, head: str, value: str) -> str:
        log = f"def train(run):\n    run.log({{'validation_accuracy': {value}}})\n"
        (tmp_path / f"{name}.py").write_text(head + "\n" + log)
        os.utime(tmp_path / f"{name}.py", ns=(10**18, 10**18))
        return name

    return written


def run(slot: Slot, module: str, function: str = "train", **changes: Any) -> Outcome:
    objective = f"{module}:{function}"
    return Owner().run(slot, "", objective=objective, allowed=(module,), **changes)


def test_nothing_that_a_trial_leaves_behind_is_there_in_the_next(slot: Slot) -> None:
    for _ in range(2):
        assert run(slot, FUNCTIONS, "leaves_everything_behind").state == "complete"
        outcome = run(slot, FUNCTIONS, "tells_what_it_finds")
        assert outcome.state == "complete", outcome
        assert ast.literal_eval(outcome.log_tail) == {
            "alarm": 0,
            "handler": True,
            "folder": str(Path.cwd()),
            "variable": None,
            "kept": 0,
            "path": False,
            "arguments": True,
            "program": "clean_functions.py",
            "input": "",
            "outputs": True,
            "interrupt": True,
            "main": "__main__",
        }
    assert len(slot.server_pids) == 1


def test_generators_that_nobody_seeded_differ_between_trials(slot: Slot) -> None:
    owners = [Owner(), Owner()]
    where = {"objective": f"{FUNCTIONS}:tells_what_it_finds", "allowed": (FUNCTIONS,)}
    for owner in owners:
        owner.run(slot, "", **where)
    first, second = (owner.points() for owner in owners)
    assert first["validation_accuracy"] != second["validation_accuracy"]
    assert first["numpy"] != second["numpy"]


def test_generators_that_an_import_seeded_begin_there_in_each_trial(
    slot: Slot, write: Write
) -> None:
    module = write(
        "seeds_at_import",
        "import random\nimport numpy as np\nrandom.seed(5)\nnp.random.seed(5)",
        "random.random() + np.random.random()",
    )
    first, second = run(slot, module), run(slot, module)
    assert first.score.value == second.score.value is not None
    assert len(slot.server_pids) == 1


def test_signal_handlers_work_as_in_a_script(slot: Slot) -> None:
    assert run(slot, FUNCTIONS, "handles_a_signal").score.value == 1.0


def test_functions_registered_for_the_exit_are_called(slot: Slot) -> None:
    outcome = run(slot, FUNCTIONS, "registers_for_its_exit")
    assert (outcome.state, outcome.log_tail) == ("complete", "said at exit\n")


def test_what_an_import_has_made_is_not_tidied_up_by_a_trial(slot: Slot, write: Write) -> None:
    head = "import os, tempfile\nFOLDER = tempfile.TemporaryDirectory()\nprint(FOLDER.name)"
    module = write("makes_a_folder", head, "os.path.isdir(FOLDER.name)")
    outcomes = [run(slot, module) for _ in range(2)]
    assert [outcome.score.value for outcome in outcomes] == [1.0, 1.0]
    slot.close()
    assert not Path(outcomes[0].log_tail.strip()).exists()


def test_what_an_import_prints_is_in_the_log_of_each_trial(slot: Slot, write: Write) -> None:
    module = write("prints_at_import", "print('imported')", "0.5")
    assert [run(slot, module).log_tail for _ in range(2)] == ["imported\n"] * 2


def test_a_module_is_imported_once_for_all_its_trials(slot: Slot, write: Write) -> None:
    module = write("notes_who_imports", "import os\nIMPORTED_BY = os.getpid()", "IMPORTED_BY")
    values = {run(slot, module).score.value for _ in range(3)}
    assert values == set(slot.server_pids)


def test_experiments_that_take_turns_keep_their_servers(slot: Slot, write: Write) -> None:
    modules = [write(f"takes_turns_{n}", "import os\nBY = os.getpid()", "BY") for n in range(3)]
    first = [run(slot, module).score.value for module in modules[:2]]
    again = [run(slot, module).score.value for module in modules[:2]]
    assert first == again == slot.server_pids
    run(slot, modules[2])
    assert len(slot.server_pids) == MOST_SERVERS


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (
            """
            import threading
            threading.Thread(target=threading.Event().wait, name="feeder", daemon=True).start()
            """,
            "leaves the thread 'feeder'",
        ),
        ("import subprocess\nP = subprocess.Popen(['sleep', '3600'])", "leaves a process"),
        ("import signal\nsignal.alarm(3600)", "leaves an alarm"),
        ("LOG = open('/etc/hostname')", "leaves open /etc/hostname"),
    ],
)
def test_an_import_that_no_fork_survives_is_done_by_each_trial_and_said_so(
    slot: Slot, write: Write, head: str, said: str
) -> None:
    who = "import os\nBY = os.getpid()\n"
    module = write("does_a_lot_at_import", who + textwrap.dedent(head), "BY")
    outcomes = [run(slot, module) for _ in range(2)]
    assert [outcome.state for outcome in outcomes] == ["complete"] * 2, outcomes
    assert len({outcome.score.value for outcome in outcomes}) == 2
    for outcome in outcomes:
        assert f"the import of {module} {said}: it is imported anew" in outcome.log_tail


def test_an_import_that_fails_is_told_by_its_trial_and_mended_by_an_edit(
    slot: Slot, write: Write
) -> None:
    module = write("fails_at_import", "raise RuntimeError('no data')", "0.5")
    outcome = run(slot, module)
    assert (outcome.state, outcome.reason) == ("failed", "RuntimeError: no data")
    assert "fails_at_import.py" in outcome.traceback
    write("fails_at_import", "", "0.25")
    assert run(slot, module).score.value == 0.25


def test_an_import_that_ends_the_process_loses_its_trial_and_no_other(
    slot: Slot, write: Write
) -> None:
    module = write("ends_at_import", "import os\nos._exit(5)", "0.5")
    outcome = run(slot, module)
    assert outcome.state == "lost" and "exited with code 5" in outcome.reason
    assert run(slot, FUNCTIONS, "handles_a_signal").state == "complete"


def test_a_trial_is_killed_while_its_module_is_imported(slot: Slot, write: Write) -> None:
    module = write("never_imported", "import time\ntime.sleep(3600)", "0.5")
    owner = Owner()
    outcome = slot.run(
        job("", objective=f"{module}:train", allowed=(module,)),
        on_series=owner.flushes.append,
        on_report=owner.on_report,
        on_sealed=owner.sealed.append,
        on_log_tail=owner.tails.append,
        on_tick=lambda: "kill",
        tick_seconds=0.05,
    )
    assert (outcome.state, outcome.reason) == ("killed", "killed on request")
