"""What the training processes of the tests run."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from workers.training.run import Run, Stopped


def complete(run: Run) -> None:
    for step in range(1, 4):
        run.log({"loss": 1.0 / step, "validation_accuracy": step / 10}, step=step)
    run.log({"test_accuracy": 0.25, "extra": 1.0}, step=4)


def returns_a_number(run: Run) -> float:
    assert run.split_seed == 12
    return float(run.params["width"])


def improves_with_the_rate(run: Run) -> None:
    run.log({"validation_accuracy": 0.5 + 0.05 * math.log10(run.params["learning_rate"])})


def logs_something_else(run: Run) -> None:
    run.log({"loss": 1.0, "val_acc": 0.5, "test_accuracy": 0.125})


def never_logs_the_official_metric(run: Run) -> None:
    for epoch in range(1000):
        try:
            run.log({"train_loss": 1 / (epoch + 1), "val_acc": 0.5}, step=epoch)
        finally:
            print("epoch", epoch)


def never_finite(run: Run) -> None:
    run.log({"validation_accuracy": math.nan})
    run.log({"validation_accuracy": math.inf})


def raises(run: Run) -> None:
    run.log({"validation_accuracy": 0.5})
    raise RuntimeError("the learning rate is\0 off\nsecond line")


def exits(run: Run) -> None:
    sys.exit(3)


def exits_normally(run: Run) -> None:
    run.log({"validation_accuracy": 0.5})
    sys.exit(run.params.get("code", 0))


class Mute(RuntimeError):
    def __str__(self) -> str:
        raise ValueError("no text")


def raises_without_text(run: Run) -> None:
    raise Mute


async def is_async(run: Run) -> None:
    run.log({"validation_accuracy": 0.5})


def generates(run: Run) -> Iterator[float]:
    yield 0.5


def exits_at_once(run: Run) -> None:
    os._exit(7)


def segfaults(run: Run) -> None:
    print("about to fall", flush=True)
    ctypes.string_at(0)


def fills_its_log(run: Run) -> None:
    for number in range(20_000):
        print(f"line {number}")
    os.write(2, b"from C code\n")
    run.log({"validation_accuracy": 0.5})


def evaluates_twice(run: Run) -> None:
    run.log({"validation_accuracy": 0.1}, step=1)
    run.log({"validation_accuracy": 0.2}, step=2)


def odd_calls() -> Iterator[tuple[dict[str, float], int | None]]:
    """Calls of every kind: values that are not finite, steps repeated, turned round and missing,
    several calls a step, groups of names, thousands of names at once.
    """
    nan_with_bits = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000123))[0]
    odd = [math.nan, nan_with_bits, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2]
    for number in range(1500):
        values = {f"train/s{k}": odd[(number + k) % len(odd)] for k in range(9)}
        values["steady"] = number / 7
        yield values, (None, number, number // 2, 10_000 - number, -number)[number % 5]
        if number % 500 == 0:
            yield {f"layer {k} \N{GREEK SMALL LETTER LAMDA}/norm": k / 3 for k in range(3000)}, 5


def logs_a_thousand_a_second(run: Run) -> None:
    """The file, where there is one, says that all calls have returned."""
    began = time.perf_counter()
    for number, (values, step) in enumerate(odd_calls()):
        run.log(values, step=step)
        time.sleep(max(0.0, began + number / 1000 - time.perf_counter()))
    run.log({"validation_accuracy": 1.0})
    if "file" in run.params:
        Path(run.params["file"]).touch()


def logs_until_ended(run: Run) -> None:
    step = 0
    while True:
        step += 1
        run.log({"validation_accuracy": 1.0 - 1.0 / step}, step=step)
        time.sleep(0.01)


def logs_until_stopped_and_saves(run: Run) -> None:
    try:
        logs_until_ended(run)
    except Stopped:
        print("saved")


def logs_and_kills_itself(run: Run) -> None:
    """The file says that all three points have arrived."""
    for step in range(3):
        run.log({"validation_accuracy": step / 4}, step=step)
    while not Path(run.params["file"]).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def leaves_a_child_behind(run: Run) -> None:
    """Forked, so that it holds copies of all pipes, and still there when its parent is not."""
    pid = os.fork()
    if pid == 0:
        time.sleep(3600)
        os._exit(0)
    Path(run.params["file"]).write_text(str(pid))
    os.kill(os.getpid(), signal.SIGKILL)


def starts_a_child_and_waits(run: Run) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    Path(run.params["file"]).write_text(str(child.pid))
    child.wait()


def tells_its_process(run: Run) -> None:
    variables = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "DATABASE_URL")
    told = {name: os.environ.get(name) for name in variables}
    print(told)
    run.log({"validation_accuracy": float(os.getpid())})


_TORCH_AT_IMPORT = "torch" in sys.modules
_VISIBLE_AT_IMPORT = os.environ.get("CUDA_VISIBLE_DEVICES")


def tells_its_devices(run: Run) -> None:
    """What CUDA would see, as it was when the first module of the objective was imported."""
    print(f"CUDA_VISIBLE_DEVICES={_VISIBLE_AT_IMPORT!r} torch={_TORCH_AT_IMPORT}")
    time.sleep(0.05)
    run.log({"validation_accuracy": 0.5})


def runs_out_of_memory(run: Run) -> None:
    raise MemoryError("8 TiB")


def takes_memory(run: Run) -> None:
    block = bytearray(run.params["megabytes"] * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    run.log({"validation_accuracy": 0.5})


def writes_its_process_and_blocks(run: Run) -> None:
    Path(run.params["file"]).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(3600)  # no thread of this process gets a turn


imported_elsewhere = Path


def reads_its_data(run: Run) -> float:
    return float(run.data["version"])


def tells_its_budget(run: Run) -> float:
    assert run.budget is not None
    return run.budget


def takes_a_gigabyte_of_torch(run: Run) -> None:
    import torch

    torch.ones(2**28)
