from __future__ import annotations

import pytest

from experiments.design.metrics import Metric
from experiments.trials.series.series_encoding import encode
from experiments.trials.series.services import series
from workers.delivery.attempt_series import AttemptSeries
from workers.training.messages import Score, SeriesFlush

DECLARED: dict[str, Metric] = {}


def flush(batch: int, **values: float) -> SeriesFlush:
    payload = encode([(batch, 1_700_000_000_000, values)])
    score = Score(last_value=0.5, last_step=batch)
    return SeriesFlush(batch, payload, len(values), batch, batch, tuple(values), score)


def test_one_flush_need_not_be_read_again_and_shows_no_test_score() -> None:
    logged = AttemptSeries(7, 1)
    batch = logged.batch(flush(0, validation_accuracy=0.5, test_accuracy=0.4))
    assert (batch.trial_id, batch.attempt, batch.latest_value) == (7, 1, 0.5)
    columns = logged.columns(DECLARED)
    assert columns is not None and list(columns) == ["validation_accuracy"]
    assert columns["validation_accuracy"].values.tolist() == [0.5]


@pytest.mark.parametrize(("attempt", "flushes"), [(1, 0), (1, 2), (2, 1)])
def test_what_may_lie_elsewhere_is_read(
    monkeypatch: pytest.MonkeyPatch, attempt: int, flushes: int
) -> None:
    joined: list[int] = []
    monkeypatch.setattr(series, "compact", joined.append)
    logged = AttemptSeries(7, attempt)
    for number in range(flushes):
        logged.batch(flush(number, validation_accuracy=0.5))
    assert logged.columns(DECLARED) is None
    logged.compact()
    assert joined == ([7] if flushes > 1 or attempt > 1 else [])
