from __future__ import annotations

import pytest

from workers.training.preloading import _is_fork_safe


@pytest.mark.parametrize(
    ("file", "safe"),
    [
        ("/dev/null", True),
        ("/dev/nvidiactl", True),  # NVML was asked whether there is a GPU
        ("/dev/nvidia0", True),
        ("/dev/nvidia-uvm", False),  # CUDA has begun
        ("/dev/kfd", False),
        ("/data/train.h5", False),
        ("socket:[1234]", False),
    ],
)
def test_files_that_an_import_may_leave_open_before_a_fork(file: str, safe: bool) -> None:
    assert _is_fork_safe(file) == safe
