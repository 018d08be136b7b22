from __future__ import annotations

import subprocess
import sys
import threading
import time
import types

import pytest

from tests.waiting import PATIENCE
from workers.training.system_metrics import Machine, SystemSampler

HOST = {
    "system/cpu_percent",
    "system/memory_mb",
    "system/host_cpu_percent",
    "system/host_memory_percent",
}


class FakeNvml(types.ModuleType):
    """Two GPUs; the second is a partition, which does not tell its use."""

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return range(2)[index]

    def nvmlDeviceGetHandleByUUID(self, name: str) -> int:
        return {"GPU-b": 1}[name]

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> types.SimpleNamespace:
        if gpu == 1:
            raise RuntimeError("not supported")
        return types.SimpleNamespace(gpu=37)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> types.SimpleNamespace:
        return types.SimpleNamespace(used=(gpu + 1) * 2**30)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml("pynvml"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def gpus(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if "gpu" in name}


def test_processor_and_memory_are_measured_without_a_gpu(no_gpu: None) -> None:
    machine = Machine()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    values = machine.sample()
    assert set(values) == HOST
    assert 0 < values["system/cpu_percent"] < 100 * 256
    assert values["system/memory_mb"] > 10
    assert 0 < values["system/host_memory_percent"] <= 100


def test_child_processes_count(no_gpu: None) -> None:
    machine = Machine()
    before = machine.sample()["system/memory_mb"]
    code = "x = b'x' * (100 * 2**20); print('there', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = machine.sample()["system/memory_mb"]
        child.communicate(b"\n")
    assert during > before + 90


def test_every_visible_gpu_is_measured_as_far_as_it_tells(two_gpus: None) -> None:
    assert gpus(Machine().sample()) == {
        "system/gpu0_percent": 37.0,
        "system/gpu0_memory_mb": 1024.0,
        "system/gpu1_memory_mb": 2048.0,
    }


@pytest.mark.parametrize(("visible", "used"), [("GPU-b", [2048.0]), ("1,0", [2048.0, 1024.0])])
def test_gpus_are_numbered_as_the_training_code_sees_them(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, visible: str, used: list[float]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    values = Machine().sample()
    assert [values[f"system/gpu{n}_memory_mb"] for n in range(len(used))] == used


@pytest.mark.parametrize("visible", ["", "7", "GPU-unknown"])
def test_a_training_process_without_a_gpu_has_none_measured(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus(Machine().sample()) == {}


def test_a_sampler_records_until_it_is_closed(no_gpu: None) -> None:
    samples: list[dict[str, float]] = []
    came = threading.Event()
    sampler = SystemSampler(lambda values: (samples.append(values), came.set())[0], 0.01)
    assert came.wait(PATIENCE)
    sampler.close()
    count = len(samples)
    assert count and set(samples[0]) == HOST
    time.sleep(0.03)
    assert len(samples) == count


def test_without_psutil_nothing_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    sampler = SystemSampler(lambda _: pytest.fail("a sample"), 0.001)
    sampler._thread.join(PATIENCE)
    sampler.close()
