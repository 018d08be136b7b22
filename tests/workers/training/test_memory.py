from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from workers.training.memory import free_gpu_memory, out_of_memory


class OutOfMemoryError(RuntimeError):
    """As `torch.OutOfMemoryError` is called."""


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has ..."),
        RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_full_gpu_is_named_with_what_helps(error: Exception) -> None:
    said = out_of_memory(error)
    assert said.startswith("CUDA out of memory: ") and "smaller batch" in said
    assert "\n" not in said


def test_a_full_machine_is_named() -> None:
    assert out_of_memory(MemoryError()).startswith("out of memory: the machine")
    assert "Unable to allocate 8 TiB" in out_of_memory(MemoryError("Unable to allocate 8 TiB"))


def test_other_exceptions_are_none_of_memory() -> None:
    assert out_of_memory(RuntimeError("CUDA error: device-side assert triggered")) == ""


def _torch(held: list[int], *, initialized: bool = True, broken: bool = False) -> SimpleNamespace:
    def empty_cache() -> None:
        if broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    return SimpleNamespace(
        cuda=SimpleNamespace(
            is_initialized=lambda: initialized,
            empty_cache=empty_cache,
            device_count=lambda: len(held),
            memory_allocated=lambda device: held[device],
        )
    )


def test_what_a_trial_left_on_its_devices_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", _torch([3 * 2**20, 2**20]))
    assert free_gpu_memory() == 4.0


def test_a_device_that_an_error_broke_asks_for_a_new_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", _torch([0], broken=True))
    assert free_gpu_memory() == float("inf")


def test_without_cuda_there_is_nothing_to_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", _torch([2**30], initialized=False))
    assert free_gpu_memory() == 0.0
    monkeypatch.delitem(sys.modules, "torch")
    assert free_gpu_memory() == 0.0
