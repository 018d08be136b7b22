"""System metrics of a training process, sampled in a thread.

Names: `system/cpu_percent` (100 is one core, child processes included), `system/memory_mb`
(resident, child processes included), `system/host_cpu_percent`, `system/host_memory_percent`, and
for each visible GPU n `system/gpu<n>_percent` and `system/gpu<n>_memory_mb`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

SECONDS = 5.0
_FIRST_SECONDS = 0.5  # a trial that is over by then is not measured: finding out costs 3 ms
_MEBIBYTE = 2**20


class SystemSampler:
    """Calls `record` with a sample every `seconds` until it is closed.

    Without psutil nothing is sampled, without NVML (nvidia-ml-py and a driver) no GPU.
    """

    def __init__(self, record: Callable[[dict[str, float]], None], seconds: float) -> None:
        self._record = record
        self._seconds = seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        if self._closing.wait(min(_FIRST_SECONDS, self._seconds)):
            return
        try:
            machine = Machine()
        except ImportError:
            return
        while not self._closing.wait(self._seconds):
            with contextlib.suppress(Exception):  # a process it looked at may be gone
                self._record(machine.sample())


class Machine:
    """This process, its children and its GPUs. Raises ImportError without psutil."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._process = psutil.Process()
        self._gpus = list(_visible_gpus())
        psutil.cpu_percent()  # from here on
        self._at, self._spent = time.monotonic(), self._cpu_seconds()

    def sample(self) -> dict[str, float]:
        """Values by name, of the time since the last sample."""
        now, spent = time.monotonic(), self._cpu_seconds()
        busy = max(0.0, spent - self._spent) / max(now - self._at, 1e-9)
        self._at, self._spent = now, spent
        values = {
            "system/cpu_percent": 100 * busy,
            "system/memory_mb": self._resident() / _MEBIBYTE,
            "system/host_cpu_percent": float(self._psutil.cpu_percent()),
            "system/host_memory_percent": float(self._psutil.virtual_memory().percent),
        }
        for number, gpu in self._gpus:
            values |= _gpu_sample(number, gpu)
        return values

    def _cpu_seconds(self) -> float:
        own = self._process.cpu_times()  # those of children that have ended included
        spent = own.user + own.system + own.children_user + own.children_system
        for child in self._process.children(recursive=True):
            with contextlib.suppress(self._psutil.Error):
                times = child.cpu_times()
                spent += times.user + times.system
        return float(spent)

    def _resident(self) -> float:
        total = self._process.memory_info().rss
        for child in self._process.children(recursive=True):
            with contextlib.suppress(self._psutil.Error):
                total += child.memory_info().rss
        return float(total)


def _visible_gpus() -> Iterator[tuple[int, Any]]:
    """Number as the training code counts, and NVML's handle, of each GPU that it sees."""
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except Exception:  # no package, no driver, no permission
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    wanted = [str(n) for n in range(count)] if visible is None else visible.split(",")
    for number, name in enumerate(gpu.strip() for gpu in wanted):
        try:
            if name.isdecimal():
                yield number, pynvml.nvmlDeviceGetHandleByIndex(int(name))
            else:
                yield number, pynvml.nvmlDeviceGetHandleByUUID(name)
        except Exception:  # CUDA, too, sees none from the first wrong one on
            return


def _gpu_sample(number: int, gpu: Any) -> dict[str, float]:
    import pynvml

    values = {}
    with contextlib.suppress(Exception):  # partitions of a GPU do not tell their use
        busy = pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
        values[f"system/gpu{number}_percent"] = float(busy)
    with contextlib.suppress(Exception):
        used = pynvml.nvmlDeviceGetMemoryInfo(gpu).used
        values[f"system/gpu{number}_memory_mb"] = float(used) / _MEBIBYTE
    return values
