from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.models import SeriesBatch, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import studies, trials
from experiments.trials.series.queries import series as reading
from experiments.trials.series.series_encoding import Call, encode
from experiments.trials.series.services import series
from experiments.trials.series.services.series import Appended, Batch
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def trial() -> int:
    cast.project()
    return a_running_trial()


def a_running_trial(attempt: int = 1) -> int:
    study = studies.create(name=None, directions=["maximize"], project="digits")
    trial_id, _ = trials.create(study_id=study, state=TrialState.RUNNING, attempt=attempt)
    return trial_id


def batch(trial_id: int, number: int, values: Sequence[float] = (), **more: Any) -> Batch:
    """One flush whose points are `values`, at steps of ten times its number and on."""
    given = values or (float(number),)
    calls: list[Call] = [(10 * number + k, k, {"loss": value}) for k, value in enumerate(given)]
    fields: dict[str, Any] = {
        "attempt": 1,
        "points": len(given),
        "first_step": calls[0][0],
        "last_step": calls[-1][0],
        "payload": encode(calls),
    }
    return Batch(trial_id=trial_id, batch=number, **(fields | more))


def losses(trial_id: int) -> list[float]:
    columns = reading.read([trial_id]).get(trial_id, {}).get("loss")
    return [] if columns is None else columns.values.tolist()


def rows(trial_id: int) -> list[tuple[int, int, int]]:
    stored = SeriesBatch.objects.filter(trial_id=trial_id).order_by("attempt", "batch")
    return [(row.attempt, row.batch, row.joined) for row in stored]


def test_the_same_flush_again_changes_nothing(trial: int) -> None:
    assert series.append(batch(trial, 0)) == Appended(stored=True, alive=True)
    assert series.append(batch(trial, 0, [9.0])) == Appended(stored=False, alive=True)
    assert losses(trial) == [0.0]


def test_several_trials_flushes_come_in_one_transaction_and_twice_in_it_counts_once(
    trial: int,
) -> None:
    other = a_running_trial()
    done = series.append_all(
        [batch(trial, 0), batch(other, 0), batch(trial, 1), batch(other, 0), batch(10**9, 0)]
    )
    assert [outcome.stored for outcome in done] == [True, True, True, False, False]
    assert (losses(trial), losses(other)) == ([0.0, 1.0], [0.0])


def test_a_flush_of_an_attempt_that_was_taken_over_is_kept_and_marked(trial: int) -> None:
    series.append(batch(trial, 0))
    Trial.objects.filter(pk=trial).update(attempt=2)
    assert series.append(batch(trial, 1)) == Appended(stored=True, alive=False)
    series.append(batch(trial, 0, [7.0], attempt=2))
    assert losses(trial) == [7.0]
    kept = SeriesBatch.objects.filter(trial_id=trial, attempt=1).order_by("batch")
    assert [row.fenced for row in kept] == [False, True]


def test_the_latest_value_follows_the_newest_flush_and_keeps_the_last_finite_one(
    trial: int,
) -> None:
    series.append_all(
        [
            batch(trial, 0, latest_value=0.5, latest_step=3),
            batch(trial, 1, latest_value=0.75, latest_step=4),
        ]
    )
    assert latest(trial) == (0.75, 4)
    series.append(batch(trial, 2, latest_value=math.nan, latest_step=5))
    assert latest(trial) == (0.75, 5)
    series.append(batch(trial, 1, latest_value=0.25, latest_step=1))  # a late double
    assert latest(trial) == (0.75, 5)


def latest(trial_id: int) -> tuple[float | None, int | None]:
    held = Trial.objects.get(pk=trial_id)
    return held.latest_value, held.latest_step


def test_joined_flushes_read_the_same_and_are_still_there_only_once(trial: int) -> None:
    series.append_all([batch(trial, n, [n, math.nan, -0.0]) for n in range(5)])
    before = reading.read([trial])[trial]["loss"]
    assert series.compact(trial) == 4
    after = reading.read([trial])[trial]["loss"]
    assert rows(trial) == [(1, 4, 5)]
    assert after.values.tobytes() == before.values.tobytes()
    assert after.steps.tolist() == before.steps.tolist()
    for number in range(5):
        assert not series.append(batch(trial, number, [99.0])).stored
    row = SeriesBatch.objects.get()
    assert (row.points, row.first_step, row.last_step) == (15, 0, 42)
    assert series.compact(trial) == 0


def test_a_flush_that_is_still_on_its_way_finds_its_place(trial: int) -> None:
    series.append_all([batch(trial, n) for n in (0, 1, 3, 4)])
    series.compact(trial)
    assert rows(trial) == [(1, 1, 2), (1, 4, 2)]
    assert series.append(batch(trial, 2)).stored
    assert losses(trial) == [0.0, 1.0, 2.0, 3.0, 4.0]
    series.compact(trial)
    assert rows(trial) == [(1, 4, 5)]


def test_attempts_and_marked_flushes_are_joined_apart(trial: int) -> None:
    series.append_all([batch(trial, 0), batch(trial, 1)])
    Trial.objects.filter(pk=trial).update(attempt=2)
    series.append_all([batch(trial, 2), batch(trial, 3), batch(trial, 0, attempt=2)])
    series.compact(trial)
    assert rows(trial) == [(1, 1, 2), (1, 3, 2), (2, 0, 1)]


def test_a_flush_without_points_is_remembered_and_moves_no_range(trial: int) -> None:
    nothing = batch(trial, 0, payload=encode([]), points=0, first_step=0, last_step=0)
    series.append_all([nothing, batch(trial, 1)])
    series.compact(trial)
    row = SeriesBatch.objects.get()
    assert (row.points, row.first_step, row.last_step) == (1, 10, 10)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=14),
    limit=st.integers(1, 25),
    raw_limit=st.integers(1, 2000),
    when=st.sets(st.integers(0, 14)),
)
def test_no_point_is_ever_lost_or_doubled_by_joining(
    trial: int, sizes: list[int], limit: int, raw_limit: int, when: set[int]
) -> None:
    SeriesBatch.objects.all().delete()
    rng = np.random.default_rng(0)
    expected: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "ROW_POINTS", limit)
        patch.setattr(series, "ROW_RAW_BYTES", raw_limit)
        for number, size in enumerate(sizes):
            values = rng.random(size).tolist()
            expected += values
            series.append(batch(trial, number, values))
            if number in when:
                series.compact(trial)
                assert losses(trial) == expected
        series.compact(trial)
    assert losses(trial) == expected
    held = SeriesBatch.objects.all()
    assert sum(row.joined for row in held) == len(sizes)
    assert all(row.points <= max(limit, *sizes) for row in held)
