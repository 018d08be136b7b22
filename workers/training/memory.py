"""Exception texts, and out-of-memory errors by kind of memory."""

from __future__ import annotations

_CUDA = ("CUDA out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def text_of(error: BaseException) -> str:
    """An exception's text; "" where `str` raises."""
    try:
        return str(error).strip()
    except BaseException:  # whatever a foreign __str__ raises
        return ""


def in_one_line(error: BaseException) -> str:
    """An exception's type, and the first line of its text where it has one."""
    text = text_of(error)
    first = text.splitlines()[0] if text else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def out_of_memory(error: BaseException) -> str:
    """Name the memory that ran out and what helps, in one line; "" for other exceptions."""
    text = text_of(error)
    first = text.splitlines()[0] if text else ""
    if type(error).__name__ == "OutOfMemoryError" or any(reason in text for reason in _CUDA):
        return (
            f"CUDA out of memory: {first.removeprefix('CUDA out of memory. ')} A smaller batch or "
            "network helps, or a GPU that no other trial shares"
        )
    if isinstance(error, MemoryError):
        reason = f" ({first})" if first else ""
        return f"out of memory: the machine gave the process no more{reason}"
    return ""
