"""Number of CPU threads of numeric libraries: results may differ in the last bit with it."""

from __future__ import annotations

import os
import sys

_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def thread_variables(threads: int | None) -> dict[str, str]:
    """Environment variables that limit libraries which are still to be imported."""
    return {} if threads is None else dict.fromkeys(_VARIABLES, str(threads))


def set_threads(threads: int | None) -> None:
    """Limit libraries that are still to be imported, and torch if it is; None changes nothing."""
    if threads is None:
        return
    os.environ.update(thread_variables(threads))
    torch = sys.modules.get("torch")  # reads the variables only while it is imported
    if torch is not None:
        torch.set_num_threads(threads)
