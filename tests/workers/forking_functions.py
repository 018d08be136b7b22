"""Training functions that start other processes, each in a way that programs do."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workers.training.messages import Score, SeriesFlush
from workers.training.run import Run

FOREVER = 3600


def logs_a_little(run: Run) -> None:
    run.log({"validation_accuracy": 0.11}, step=0)


def forks_and_both_go_on(run: Run) -> None:
    run.log({"validation_accuracy": 0.5}, step=0)
    child = os.fork()
    run.log({"validation_accuracy": 0.6}, step=1)
    _wait_for(child)


def child_raises(run: Run) -> None:
    run.log({"validation_accuracy": 0.5}, step=0)
    child = os.fork()
    if child == 0:
        raise RuntimeError("the saver's disk is full")
    _wait_for(child)


def child_exits(run: Run) -> None:
    run.log({"validation_accuracy": 0.5}, step=0)
    child = os.fork()
    if child == 0:
        print("saved")
        sys.exit(0)
    _wait_for(child)


def child_exits_with_a_text(run: Run) -> None:
    run.log({"validation_accuracy": 0.5}, step=0)
    child = os.fork()
    if child == 0:
        sys.exit("nothing to save")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def child_outlives_its_trial(run: Run) -> None:
    """The child logs, too, as soon as its trial is over, and prints."""
    run.log({"validation_accuracy": 0.5}, step=0)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        Path(run.params["file"]).write_text(str(os.getpid()))
        while os.getppid() == parent:
            time.sleep(0.001)
        for step in range(1, FOREVER * 10):
            run.log({"validation_accuracy": 0.99}, step=step)
            time.sleep(0.1)
    _wait_until_written(run.params["file"])


def forks_in_a_thread(run: Run) -> None:
    run.log({"validation_accuracy": 0.5}, step=0)
    thread = threading.Thread(target=forks_and_both_go_on, args=(run,))
    thread.start()
    thread.join()


def forks_below_python(run: Run) -> None:
    """A fork by C code, of which Python hears nothing."""
    run.log({"validation_accuracy": 0.5}, step=0)
    child = ctypes.CDLL(None).fork()
    if child == 0:
        run.log({"validation_accuracy": 0.6}, step=1)
        run.log({"validation_accuracy": 0.7}, step=2)
        return
    _wait_for(child)


def sends_past_its_run(run: Run) -> None:
    """As a fork that Python hears nothing of might, in the middle of a call of ours."""
    run.log({"validation_accuracy": 0.5}, step=0)
    child = ctypes.CDLL(None).fork()
    if child == 0:
        run._sink.series(SeriesFlush(0, b"", 0, 0, 0, (), Score(value=0.99, evaluations=1)))
        return
    _wait_for(child)


def logs_in_a_process_of_multiprocessing(run: Run) -> None:
    run.log({"validation_accuracy": 0.5}, step=0)
    context = multiprocessing.get_context(run.params["method"])
    queue = context.Queue()
    arguments: tuple[Any, ...] = (queue,)
    if run.params["method"] == "fork":
        arguments = (queue, run)
    process = context.Process(target=_answers, args=arguments)
    process.start()
    run.log({"validation_accuracy": queue.get()}, step=1)
    process.join()
    assert process.exitcode == 0


def _answers(queue: Any, run: Run | None = None) -> None:
    if run is not None:
        run.log({"validation_accuracy": 0.99}, step=1)
    queue.put(0.75)


def loads_data_in_workers(run: Run) -> None:
    """The Dataset is a local class, which only a fork takes along."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Squares(Dataset[Any]):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> Any:
            return torch.tensor(float(index**2))

    loader = DataLoader(Squares(), batch_size=4, num_workers=2, persistent_workers=True)
    total = sum(float(batch.sum()) for batch in loader)
    run.log({"validation_accuracy": total}, step=0)


def sets_the_start_method(run: Run) -> None:
    multiprocessing.set_start_method(run.params["method"])
    with multiprocessing.Pool(1) as pool:
        run.log({"validation_accuracy": pool.apply(_half)})


def _half() -> float:
    return 0.5


def starts_in_sessions_of_their_own(run: Run) -> None:
    """One of each kind, and a grandchild whose parent is gone; then ends as it was told."""
    folder = Path(run.params["folder"])
    sleep = [sys.executable, "-c", f"import time; time.sleep({FOREVER})"]
    started = {"session": subprocess.Popen(sleep, start_new_session=True).pid}
    daemon = (
        "import subprocess, sys; "
        f"print(subprocess.Popen({sleep!r}, start_new_session=True, stdout=subprocess.DEVNULL)"
        ".pid)"
    )
    told = subprocess.run([sys.executable, "-c", daemon], stdout=subprocess.PIPE, check=True)
    started["orphan"] = int(told.stdout)
    forked = os.fork()
    if forked == 0:
        os.setsid()
        time.sleep(FOREVER)
    started["forked"] = forked
    for name, pid in started.items():
        (folder / name).write_text(str(pid))
    run.log({"validation_accuracy": 0.5})
    _ENDINGS[run.params["ending"]](run)


def _waits(run: Run) -> None:
    while True:
        run.log({"validation_accuracy": 0.5})
        time.sleep(0.01)


def _raises(run: Run) -> None:
    raise RuntimeError("on purpose")


def _blocks(run: Run) -> None:
    (Path(run.params["folder"]) / "blocks").touch()
    ctypes.PyDLL(None).sleep(FOREVER)


_ENDINGS: dict[str, Callable[[Run], object]] = {
    "returns": lambda run: None,
    "raises": _raises,
    "exits": lambda run: sys.exit(0),
    "exits at once": lambda run: os._exit(3),
    "kills itself": lambda run: os.kill(os.getpid(), 9),
    "kills its server": lambda run: (os.kill(os.getppid(), 9), time.sleep(FOREVER)),
    "waits": _waits,
    "blocks": _blocks,
}


def child_is_killed(run: Run) -> None:
    """As a worker of a DataLoader is that takes too much."""
    child = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    raise RuntimeError(f"DataLoader worker exited with code {child.wait()}")


def orphans_a_zombie(run: Run) -> None:
    """What its child started dies after that child: nobody in the trial can reap it."""
    code = "import subprocess; print(subprocess.Popen(['true']).pid, flush=True)"
    told = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    Path(run.params["file"]).write_text(told.stdout.decode())
    _waits(run)


def _wait_for(child: int) -> None:
    if child:
        os.waitpid(child, 0)


def _wait_until_written(file: str) -> None:
    while not (Path(file).exists() and Path(file).read_text()):
        time.sleep(0.001)


def started(folder: Path, names: Sequence[str] = ("session", "orphan", "forked")) -> list[int]:
    """Process ids that `starts_in_sessions_of_their_own` wrote."""
    return [int((folder / name).read_text()) for name in names]
