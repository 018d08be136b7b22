from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.design.metrics import Metric
from experiments.errors import TrialFenced
from experiments.models import Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import studies, trials
from experiments.trials.series.lineage import Resumption
from experiments.trials.series.queries import series
from experiments.trials.series.series_encoding import encode
from experiments.trials.series.services import series as writing
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
    for trial_id in ids:
        cast.log(trial_id, counted(), batches=3)
    places: dict[int, series.Cursor | None] = dict.fromkeys(ids, (1, 1))
    places[ids[0]] = None
    with django_assert_num_queries(1):  # type: ignore[operator]
        found = series.since(places)
    assert {trial_id: steps(found[trial_id].series) for trial_id in ids[1:]} == {
        trial_id: [8, 9, 10] for trial_id in ids[1:]
    }
    assert found[ids[0]].whole and len(steps(found[ids[0]].series)) == 10


def test_more_trials_than_fit_into_a_statement_are_all_read(
    trial: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "_MOST_TRIALS", 2)
    ids = [trial, *(a_trial() for _ in range(4))]
    for trial_id in ids:
        cast.log(trial_id, counted(), batches=1)
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


def test_a_resumed_curve_is_cut_at_the_checkpoint_and_goes_on_from_there(trial: int) -> None:
    cast.log(trial, counted(count=10), batches=3)  # steps 1 to 10, died
    Trial.objects.filter(pk=trial).update(attempt=2)
    writing.resume(trial_id=trial, attempt=2, resumption=Resumption(6, 1))
    again = {"loss": np.arange(100.0, 105.0)}
    cast.log(trial, again, attempt=2, batches=2, first_step=7)
    news = series.since({trial: (1, 2)})[trial]
    assert (news.cursor, news.whole) == ((2, 1), True)
    assert steps(news.series) == list(range(1, 12))
    assert news.series["loss"].values.tolist() == [*range(1, 7), *range(100, 105)]
    assert series.since({trial: news.cursor}) == {}
    beyond = series.earlier_attempts(trial)
    assert list(beyond) == [1] and steps(beyond[1]) == [7, 8, 9, 10]


def test_a_flush_that_comes_after_the_resume_counts_up_to_the_checkpoint(trial: int) -> None:
    cast.log(trial, counted(count=4), batches=1)
    Trial.objects.filter(pk=trial).update(attempt=2)
    writing.resume(trial_id=trial, attempt=2, resumption=Resumption(6, 1))
    late = encode([(step, 0, {"loss": 0.5}) for step in range(5, 9)])
    assert not writing.append(writing.Batch(trial, 1, 1, late, 4, 5, 8)).alive
    assert steps(series.read([trial])[trial]) == [1, 2, 3, 4, 5, 6]
    assert steps(series.earlier_attempts(trial)[1]) == [7, 8]


def test_only_the_attempt_that_holds_a_trial_goes_on_from_a_checkpoint(trial: int) -> None:
    with pytest.raises(TrialFenced):
        writing.resume(trial_id=trial, attempt=2, resumption=Resumption(6, 1))


def test_what_an_attempt_logged_that_was_run_anew_stays_readable(trial: int) -> None:
    cast.log(trial, counted(count=5), batches=1)
    Trial.objects.filter(pk=trial).update(attempt=2)
    cast.log(trial, counted(count=2), attempt=2, batches=1)
    assert steps(series.read([trial])[trial]) == [1, 2]
    assert steps(series.earlier_attempts(trial)[1]) == [1, 2, 3, 4, 5]
    assert series.earlier_attempts(trial, names=["other"]) == {}


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.one_of(st.none(), st.integers(0, 12))),
        min_size=1,
        max_size=4,
    )
)
def test_every_point_is_on_the_curve_or_among_earlier_attempts_never_both(
    trial: int, attempts: list[tuple[int, int | None]]
) -> None:
    trial = a_trial()
    logged = []
    for attempt, (count, checkpoint) in enumerate(attempts, start=1):
        Trial.objects.filter(pk=trial).update(attempt=attempt)
        start = 1
        if attempt > 1 and checkpoint is not None:
            resumption = Resumption(checkpoint, attempt - 1)
            writing.resume(trial_id=trial, attempt=attempt, resumption=resumption)
            start = checkpoint + 1
        values = {"loss": 1000.0 * attempt + np.arange(start, start + count)}
        cast.log(trial, values, attempt=attempt, batches=2, first_step=start)
        logged += values["loss"].tolist()
    curve = series.read([trial])[trial]["loss"]
    assert np.all(np.diff(curve.steps) > 0), "no step twice"
    beyond = [columns["loss"].values for columns in series.earlier_attempts(trial).values()]
    assert sorted(np.concatenate([curve.values, *beyond])) == sorted(logged)
