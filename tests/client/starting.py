"""The client's module and a run of it, as its tests start them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from tests.client.fake_server import FakeServer

FILE = Path(__file__).parents[2] / "client" / "verdict.py"


def start(client: ModuleType, server: FakeServer, **more: Any) -> Any:
    return client.run(project="digits", experiment="laptop", url=server.url, token="vd_x", **more)
