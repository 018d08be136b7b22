from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.metrics import Metric
from experiments.models import Trial
from experiments.models.trial import TrialState
from experiments.queries import series
from experiments.services import series as writing
from experiments.services import studies, trials
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def trial() -> int:
    cast.project()
    return a_trial()


def a_trial() -> int:
    study = studies.create(name=None, directions=["maximize"], project="digits")
    return trials.create(study_id=study, state=TrialState.RUNNING, attempt=1)[0]


def counted(*, start: int = 1, count: int = 10) -> dict[str, NDArray[np.float64]]:
    return {"loss": np.arange(start, start + count, dtype=float)}


def steps(found: Mapping[str, series.SeriesColumns]) -> list[int]:
    return found["loss"].steps.tolist()


def test_only_what_is_new_comes_to_a_reader_with_a_cursor(trial: int) -> None:
    cast.log(trial, counted(), batches=2)
    first = series.since({trial: None})[trial]
    assert (first.cursor, first.whole, steps(first.series)) == ((1, 1), True, list(range(1, 11)))
    assert series.since({trial: first.cursor}) == {}
    cast.log(trial, counted(), batches=1, first_batch=2, first_step=11)
    news = series.since({trial: first.cursor})[trial]
    assert (news.cursor, news.whole, steps(news.series)) == ((1, 2), False, list(range(11, 21)))


def test_a_new_attempt_replaces_what_was_seen(trial: int) -> None:
    cast.log(trial, counted(), batches=2)
    Trial.objects.filter(pk=trial).update(attempt=2)
    assert series.since({trial: (1, 1)}) == {}  # it has not told anything yet
    cast.log(trial, counted(count=3), attempt=2, batches=1)
    news = series.since({trial: (1, 1)})[trial]
    assert (news.cursor, news.whole, steps(news.series)) == ((2, 0), True, [1, 2, 3])


def test_joining_across_a_readers_place_sends_the_whole_again_and_no_point_twice(
    trial: int,
) -> None:
    cast.log(trial, counted(), batches=5)
    writing.compact(trial)
    assert series.since({trial: (1, 4)}) == {}
    news = series.since({trial: (1, 2)})[trial]
    assert (news.cursor, news.whole, steps(news.series)) == ((1, 4), True, list(range(1, 11)))


def test_the_news_of_many_trials_take_two_queries_at_most(
    trial: int, django_assert_num_queries: object
) -> None:
    ids = [trial, *(a_trial() for _ in range(9))]
    for each in ids:
        cast.log(each, counted(), batches=3)
    places: dict[int, series.Cursor | None] = dict.fromkeys(ids, (1, 1))
    places[ids[0]] = None
    with django_assert_num_queries(1):  # type: ignore[operator]
        found = series.since(places)
    assert {each: steps(found[each].series) for each in ids[1:]} == {
        each: [8, 9, 10] for each in ids[1:]
    }
    assert found[ids[0]].whole and len(steps(found[ids[0]].series)) == 10


def test_more_trials_than_fit_into_a_statement_are_all_read(
    trial: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "_MOST_TRIALS", 2)
    ids = [trial, *(a_trial() for _ in range(4))]
    for each in ids:
        cast.log(each, counted(), batches=1)
    assert set(series.read(ids)) == set(ids)


def test_a_range_of_steps_reads_the_rows_that_hold_it(trial: int) -> None:
    cast.log(trial, counted(count=100), batches=10)
    touched = list(series.iterate([trial], steps=(35, 42)))
    assert len(touched) == 2
    assert steps(series.read([trial], steps=(35, 42))[trial]) == list(range(35, 43))
    assert series.read([trial], steps=(200, 300)) == {}


def test_wanted_names_alone_are_read(trial: int) -> None:
    cast.log(trial, {"a": np.arange(4.0), "b": np.arange(4.0) + 1})
    assert list(series.read([trial], names=["b"])[trial]) == ["b"]


def test_a_test_metric_that_was_stored_all_the_same_is_never_returned(trial: int) -> None:
    cast.log(trial, {"loss": np.arange(4.0), "test_accuracy": np.ones(4), "held_out": np.ones(4)})
    declared = {"held_out": Metric("held_out", split="test")}
    assert list(series.read([trial], declared=declared)[trial]) == ["loss"]
    assert list(series.since({trial: None}, declared=declared)[trial].series) == ["loss"]
    assert list(series.read([trial], names=["test_accuracy"]).get(trial, {})) == []
