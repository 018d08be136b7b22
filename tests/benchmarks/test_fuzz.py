from __future__ import annotations

import numpy as np
import pytest

from benchmarks import _fuzzing

COUNT = 700  # `python -m benchmarks.fuzz` sends 100,000
pytestmark = [pytest.mark.django_db, pytest.mark.thorough]


def test_damaged_requests_are_refused_or_done_and_never_half_written() -> None:
    base, user = _fuzzing.prepared()
    outcome = _fuzzing.attack(base, user=user, count=COUNT, rng=np.random.default_rng(2026))
    assert not outcome.wrong, "\n".join(
        f"{kind}\n  {each}" for kind, each in outcome.wrong.items()
    )
    assert outcome.sent == COUNT
    # Damage that stops everything at the door would try nothing.
    done = sum(n for status, n in outcome.statuses.items() if status < 400)
    assert done > 150 and sum(outcome.statuses[each] for each in (400, 409, 422)) > 150
