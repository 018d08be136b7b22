from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pytest_django import DjangoAssertNumQueries

from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.series.queries.curves import (
    BEST_TRIALS,
    Cursors,
    curves_of,
    leading_trials,
    news,
    thinned,
)
from experiments.trials.series.series_encoding import SeriesColumns
from tests import cast


def columns(values: np.ndarray) -> SeriesColumns:
    steps = np.arange(len(values), dtype=np.int64)
    return SeriesColumns(steps, np.asarray(values, dtype=np.float64), 1000 + 10 * steps)


@given(
    hnp.arrays(
        np.float64,
        st.integers(50, 400),
        elements=st.one_of(st.floats(-1e9, 1e9), st.sampled_from([np.nan, np.inf])),
    )
)
def test_thinning_keeps_the_extremes_the_ends_and_the_gaps(values: np.ndarray) -> None:
    drawn = thinned(columns(values), 1000, points=40)
    finite = values[np.isfinite(values)]
    kept = drawn.values[np.isfinite(drawn.values)]
    assert drawn.total == len(values)
    assert np.all(np.diff(drawn.steps) > 0)
    assert np.array_equal(drawn.values, values[drawn.steps], equal_nan=True)
    if len(finite):
        assert kept[0] == finite[0] and kept[-1] == finite[-1]
        # The preselection keeps an extreme or its equal neighbour in every bucket.
        span = np.ptp(finite)
        assert kept.max() >= finite.max() - 0.5 * span and kept.min() <= finite.min() + 0.5 * span
    assert np.isfinite(values).all() or not np.isfinite(drawn.values).all()


def test_a_short_series_is_drawn_whole_and_timed_from_its_start() -> None:
    drawn = thinned(columns(np.arange(5.0)), 1000)
    assert len(drawn.steps) == drawn.total == 5
    assert drawn.seconds.tolist() == [0.0, 0.01, 0.02, 0.03, 0.04]


def test_a_spike_is_not_thinned_away() -> None:
    values = np.zeros(100_000)
    values[54_321] = 7.0
    drawn = thinned(columns(values), 0)
    assert drawn.values.max() == 7.0
    assert len(drawn.steps) <= 600


def cursors(experiment: Experiment) -> Cursors:
    read = curves_of(leading_trials(experiment.pk, 2, direction="maximize"), {})
    return {curve.trial.id: curve.cursor for curve in read}


@pytest.mark.django_db
def test_the_best_trials_and_the_running_ones_lead() -> None:
    cast.project()
    experiment = cast.running_search(done=6, trials_per_arm=8)
    leading = leading_trials(experiment.pk, 2, direction="maximize")
    assert [curve.state for curve in leading] == ["complete"] * BEST_TRIALS + ["running"] * 2
    scores = [curve.score or 0 for curve in leading[:BEST_TRIALS]]
    assert scores == sorted(scores, reverse=True)
    assert leading[0].id == experiment.best_trial_id


@pytest.mark.django_db
def test_nothing_new_costs_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    cast.project()
    experiment = cast.running_search(done=4, trials_per_arm=8)
    seen = cursors(experiment)
    leading = leading_trials(experiment.pk, 2, direction="maximize")
    with django_assert_num_queries(1):
        assert news(leading, seen, {}) == []


@pytest.mark.django_db
def test_only_the_points_after_the_cursor_come() -> None:
    cast.project()
    experiment = cast.running_search(done=4, trials_per_arm=8)
    seen = cursors(experiment)
    running = Trial.objects.filter(state=TrialState.RUNNING).first()
    assert running is not None
    cast.log(running.pk, {"validation_accuracy": np.array([0.5, 0.6])}, first_batch=4,
             first_step=40, batches=1)  # fmt: skip
    (more,) = news(leading_trials(experiment.pk, 2, direction="maximize"), seen, {})
    assert not more.whole
    assert more.trial.id == running.pk
    drawn = more.series["validation_accuracy"]
    assert drawn.steps.tolist() == [40, 41]
    assert drawn.seconds[1] - drawn.seconds[0] == pytest.approx(0.18)
    after = dict(seen) | {running.pk: more.cursor}
    assert news(leading_trials(experiment.pk, 2, direction="maximize"), after, {}) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change", [{"state": TrialState.COMPLETE, "values": "[0.5]"}, {"attempt": 2}]
)
def test_a_trial_that_finished_or_began_again_comes_whole(change: dict[str, object]) -> None:
    cast.project()
    experiment = cast.running_search(done=1, trials_per_arm=8)
    running = Trial.objects.filter(state=TrialState.RUNNING).first()
    assert running is not None
    seen = cursors(experiment)
    Trial.objects.filter(pk=running.pk).update(**change)
    if change.get("attempt"):
        cast.log(running.pk, {"validation_accuracy": np.array([0.1])}, attempt=2)
    else:
        Trial.objects.filter(pk=running.pk).update(value=0.9999)
    (again,) = news(leading_trials(experiment.pk, 2, direction="maximize"), seen, {})
    assert again.whole and again.trial.id == running.pk
    assert again.series


@pytest.mark.django_db
def test_test_metrics_never_come() -> None:
    cast.project()
    experiment = cast.search()
    study = experiment.studies.first()
    assert study is not None
    trial = cast.running_trial(study)
    cast.log(trial.pk, {"test_accuracy": np.array([0.97]), "a": np.array([1.0])}, first_batch=9)
    leading = leading_trials(experiment.pk, 2, direction="maximize")
    assert "test_accuracy" not in curves_of(leading, {})[0].series
    seen = {trial.pk: (1, 8, False)}
    (added,) = news(leading, seen, {})
    assert set(added.series) == {"a"}
