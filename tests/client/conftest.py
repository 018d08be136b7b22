from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.client.fake_server import FakeServer
from tests.client.starting import FILE
from tests.waiting import PATIENCE

RANKS = "RANK LOCAL_RANK NODE_RANK GROUP_RANK WORLD_SIZE SLURM_PROCID PMI_RANK"
MPI = "OMPI_COMM_WORLD_RANK MV2_COMM_WORLD_RANK JSM_NAMESPACE_RANK"
PLACES = "VERDICT_URL VERDICT_TOKEN VERDICT_PROJECT VERDICT_EXPERIMENT"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher and no server in the environment."""
    for name in f"{RANKS} {MPI} {PLACES}".split():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("verdict_client", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("START_SECONDS", "CLOSE_SECONDS", "TIMEOUT"):
        monkeypatch.setattr(module, name, PATIENCE)
    monkeypatch.setattr(module, "SEND_SECONDS", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.02)
    return module


@pytest.fixture
def server() -> Iterator[FakeServer]:
    made = FakeServer()
    yield made
    made.close()
