from __future__ import annotations

import pytest

from workers.training.memory import in_one_line, out_of_memory


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


def test_an_exception_whose_text_cannot_be_made_goes_by_its_type() -> None:
    class Mute(RuntimeError):
        def __str__(self) -> str:
            raise ValueError("no text")

    assert in_one_line(Mute("hidden")) == "Mute"
    assert out_of_memory(Mute("hidden")) == ""
