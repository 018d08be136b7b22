from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from workers.training.threads import set_threads


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before, variables = torch.get_num_threads(), dict(os.environ)
    yield
    torch.set_num_threads(before)
    os.environ.clear()
    os.environ.update(variables)


def test_libraries_of_today_and_of_later_are_limited() -> None:
    set_threads(2)
    assert torch.get_num_threads() == 2
    assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_none_changes_nothing() -> None:
    set_threads(1)
    set_threads(None)
    assert torch.get_num_threads() == 1
