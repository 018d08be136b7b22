"""Memory that ran out, and memory of a GPU that the trial before has left."""

from __future__ import annotations

import gc
import sys

_CUDA = ("CUDA out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def out_of_memory(error: BaseException) -> str:
    """Which memory ran out and what helps, in one line; "" for any other exception."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else ""
    if type(error).__name__ == "OutOfMemoryError" or any(said in text for said in _CUDA):
        return (
            f"CUDA out of memory: {first.removeprefix('CUDA out of memory. ')} A smaller batch or "
            "network helps, or a GPU that no other trial shares"
        )
    if isinstance(error, MemoryError):
        said = f" ({first})" if first else ""
        return f"out of memory: the machine gave the process no more{said}"
    return ""


def free_gpu_memory() -> float:
    """Let go of what is unused on this process's GPUs; what is still held, in MiB.

    Needs nothing where torch was not imported or CUDA never used.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0.0
    try:
        gc.collect()  # cycles keep a network alive, such as an exception with its frames
        torch.cuda.empty_cache()
        held: int = sum(map(torch.cuda.memory_allocated, range(torch.cuda.device_count())))
    except RuntimeError:  # a device that an earlier error has left unusable
        return float("inf")
    return held / 2**20
