"""What a trial may ask of the database: each statement more is paid for by every trial."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.db.backends.utils import CursorWrapper

from experiments.models import Finding, SeriesBatch, Trial
from experiments.models.trial import TrialState
from experiments.trials.series.series_encoding import encode
from tests import cast
from workers.node.runner import TrialRunner
from workers.search.storage import VerdictStorage
from workers.training.messages import Job, Outcome, Score, SeriesFlush

pytestmark = pytest.mark.django_db(transaction=True)

# Whose turn it is; what it offers; the claim; its wait for the disk; the spec; the beginning; the
# points; the result; the findings, owed until then; where the search stands. SQLite takes one
# statement in a message.
MOST = {"postgresql": 10, "sqlite": 18}
_THREADS = ("MainThread", "uploader")
_TRANSACTIONS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "PRAGMA")


class _Reservation:
    """A place whose training logs one point and ends."""

    device = "cpu"

    def __init__(self) -> None:
        self.slot: Any = self

    def allocate(self, gpus: int) -> str:
        return self.device

    def run(self, job: Job, *, on_series: Any, **_: object) -> Outcome:
        score = Score(value=0.5, best_step=1, last_value=0.5, last_step=1, evaluations=1)
        payload = encode([(1, 1_700_000_000_000, {"validation_accuracy": 0.5})])
        names = ("validation_accuracy",)
        on_series(SeriesFlush(0, payload, 1, 1, 1, names, score))
        return Outcome("complete", score, names=names)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a trial's own threads ask, as it is asked."""
    asked: list[str] = []
    execute = CursorWrapper.execute

    def counted(self: CursorWrapper, sql: Any, params: Any = None) -> Any:
        if threading.current_thread().name in _THREADS and not sql.startswith(_TRANSACTIONS):
            asked.append(sql)
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", counted)
    return asked


def test_a_trial_asks_the_database_few_things(statements: list[str]) -> None:
    cast.project()
    cast.search(trials_per_arm=12)
    runner = TrialRunner(worker_id=None, storage=VerdictStorage(), stopping=threading.Event())  # type: ignore[arg-type]
    reservation = _Reservation()
    try:
        for _ in range(4):  # the first trials of an experiment read what never changes
            assert runner.run_next("cpu", reservation)
        statements.clear()
        for _ in range(5):
            assert runner.run_next("cpu", reservation)
        asked = len(statements) / 5
    finally:
        runner.close()
    assert asked <= MOST[connection.vendor], "\n".join(statements)
    done = Trial.objects.filter(state=TrialState.COMPLETE, value=0.5, latest_value=0.5)
    assert done.count() == SeriesBatch.objects.count() == 9
    assert done.filter(configuration__isnull=False, environment__isnull=False).count() == 9
    assert Finding.objects.values("trial").exclude(trial=None).distinct().count() == 9
