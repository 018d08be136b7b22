"""Training functions that leave something behind, and those that look for it."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from workers.training.run import Run

KEPT: list[bytes] = []


def leaves_everything_behind(run: Run) -> None:
    signal.alarm(3600)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    os.chdir("/")
    os.environ["LEFT_BEHIND"] = "yes"
    KEPT.append(bytes(1000))
    random.seed(1)
    np.random.seed(1)
    sys.path.insert(0, "/nowhere")
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    sys.stdout.close()
    os.close(1)
    run.log({"validation_accuracy": 0.5})


def tells_what_it_finds(run: Run) -> None:
    found: dict[str, Any] = {
        "alarm": signal.alarm(0),
        "handler": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "folder": str(Path.cwd()),
        "variable": os.environ.get("LEFT_BEHIND"),
        "kept": len(KEPT),
        "path": "/nowhere" in sys.path,
        "arguments": argparse.ArgumentParser().parse_args() == argparse.Namespace(),
        "program": Path(sys.argv[0]).name,
        "input": sys.stdin.read(),
        "outputs": sys.stdout is sys.__stdout__ and sys.stdout.fileno() == 1,
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "main": sys.modules["__main__"].__name__,
    }
    print(found)
    run.log({"validation_accuracy": random.random(), "numpy": np.random.random()})


def handles_a_signal(run: Run) -> None:
    seen: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    run.log({"validation_accuracy": float(len(seen))})


def registers_for_its_exit(run: Run) -> None:
    import atexit

    atexit.register(print, "said at exit")
    run.log({"validation_accuracy": 0.5})
