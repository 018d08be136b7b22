from __future__ import annotations

import numpy as np
import pytest

from benchmarks import _fuzz_http, _fuzzing
from experiments.team.services import tokens
from tests import cast
from tests.services_under_test.web_server import WebServer

COUNT, RAW = 300, 120  # `python -m benchmarks.fuzz` sends 100,000 and 20,000
pytestmark = pytest.mark.thorough


@pytest.mark.django_db
def test_damaged_requests_are_refused_or_done_and_never_half_written() -> None:
    base, user = _fuzzing.prepared()
    outcome = _fuzzing.attack(base, user=user, count=COUNT, rng=np.random.default_rng(2026))
    assert not outcome.wrong, "\n".join(
        f"{kind}\n  {example}" for kind, example in outcome.wrong.items()
    )
    assert outcome.sent == COUNT
    # Damage that stops everything at the door would try nothing.
    done = sum(n for status, n in outcome.statuses.items() if status < 400)
    assert done > COUNT // 5 and sum(outcome.statuses[n] for n in (400, 409, 422)) > COUNT // 5


@pytest.mark.django_db(transaction=True)
def test_damaged_http_never_breaks_the_server(strict_server: WebServer) -> None:
    cast.project()
    _, token = tokens.create(user=cast.person("ada"), project=None, name="f", scopes=tokens.SCOPES)
    port = int(strict_server.url.rpartition(":")[2])
    server = _fuzz_http.Server(port, strict_server.pid, token)
    seen = _fuzz_http.Watched()
    _fuzz_http.attack(server, seen, count=RAW, seed=2026)
    assert not seen.wrong, seen.wrong
    assert sum(seen.statuses.values()) == RAW
    assert sum(n for status, n in seen.statuses.items() if status.startswith("4")) > RAW // 3
    server.wait_ms(_fuzz_http.HEALTH)
    log = strict_server.child.log.read_text(errors="replace")
    assert "Exception in ASGI" not in log and "LocalProtocolError" not in log
