from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config import children
from tests.waiting import PATIENCE, is_running, wait_until, wait_until_gone

# A process that ignores SIGTERM, with a child of its own that does so too.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
child = subprocess.Popen([sys.executable, "-c", inner])
print(child.pid, flush=True)
time.sleep(3600)
"""


def start(tmp_path: Path, program: str) -> children.Child:
    command = [sys.executable, "-u", "-c", program]
    return children.start("sample", command, environment=os.environ, logs=tmp_path / "logs")


def wait_for_lines(child: children.Child, count: int) -> list[str]:
    wait_until(lambda: len(child.last_lines()) >= count, what=f"{count} lines are printed")
    return child.last_lines()


def test_the_last_lines_are_those_of_this_start(tmp_path: Path) -> None:
    for word in ("before", "now"):
        child = start(tmp_path, f"print({word!r}); print({word!r})")
        child.process.wait()
    assert child.last_lines() == ["now", "now"]
    assert child.last_lines(1) == ["now"]
    assert child.log.read_text() == "before\nbefore\nnow\nnow\n"


def test_a_large_log_makes_room_for_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "LARGEST_LOG", 100)
    start(tmp_path, "print('x' * 200)").process.wait()
    child = start(tmp_path, "print('y')")
    child.process.wait()
    assert child.log.read_text() == "y\n"
    assert child.log.with_suffix(".log.1").read_text() == "x" * 200 + "\n"


def test_a_child_that_ends_at_once_says_how(tmp_path: Path) -> None:
    child = start(tmp_path, "raise SystemExit(3)")
    child.process.wait()
    assert child.exit_status == 3


def test_a_polite_child_is_not_killed(tmp_path: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready')\n"
        "time.sleep(3600)"
    )
    child = start(tmp_path, program)
    wait_for_lines(child, 1)
    children.stop([child], grace=PATIENCE)
    assert child.exit_status == 5


def test_a_stubborn_child_is_killed_with_all_it_started(tmp_path: Path) -> None:
    child = start(tmp_path, STUBBORN)
    grandchild = int(wait_for_lines(child, 1)[0])
    children.stop([child], grace=0.1)
    assert child.exit_status == -signal.SIGKILL
    wait_until_gone(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux only")
def test_children_die_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    launcher = f"""
import os, pathlib, sys, time
from config import children
child = children.start("sample", [sys.executable, "-c", "import time; time.sleep(3600)"],
                       environment=os.environ, logs=pathlib.Path({str(tmp_path)!r}))
print(child.process.pid, flush=True)
time.sleep(3600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert is_running(child)
        process.kill()
        process.wait()
    wait_until_gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux only")
def test_orphans_in_groups_of_their_own_are_found_and_killed(tmp_path: Path) -> None:
    launcher = f"""
import os, pathlib, sys
from config import children
children.adopt_orphans()
program = '''
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"],
                         start_new_session=True)
print(child.pid, flush=True)
'''
child = children.start("sample", [sys.executable, "-c", program],
                       environment=os.environ, logs=pathlib.Path({str(tmp_path)!r}))
child.process.wait()
children.kill_descendants()
print(child.last_lines()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", launcher], capture_output=True, text=True, check=True
    )
    assert not is_running(int(done.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux only")
def test_adopted_orphans_that_end_do_not_stay_as_zombies(tmp_path: Path) -> None:
    launcher = f"""
import os, pathlib, sys, time
import psutil
from config import children
children.adopt_orphans()
program = '''
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
'''
child = children.start("sample", [sys.executable, "-c", program],
                       environment=os.environ, logs=pathlib.Path({str(tmp_path)!r}))
while not (lines := child.last_lines()) or psutil.pid_exists(int(lines[0])):
    children.reap_orphans([child])
    time.sleep(0.01)
print(child.exit_status)
"""
    done = subprocess.run(
        [sys.executable, "-c", launcher], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n", "the child's own end is still told"


def test_a_child_that_dies_again_is_waited_for_longer_each_time_and_given_up_at_last() -> None:
    restarts = children.Restarts()
    pauses = [restarts.died(lived=1.0) for _ in children.PAUSES]
    assert pauses == sorted(set(pauses)) and pauses[0] == 0
    with pytest.raises(IndexError):
        restarts.died(lived=1.0)


def test_one_that_lived_long_before_it_died_is_started_at_once() -> None:
    restarts = children.Restarts()
    for _ in range(3):
        restarts.died(lived=1.0)
    assert restarts.died(lived=children.STEADY_SECONDS) == 0
