from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from optuna.distributions import CategoricalDistribution, FloatDistribution

from experiments.errors import Conflict, NotFound, TrialFenced, TrialFinished
from experiments.models import Experiment, Report, Study, Trial
from experiments.models.trial import Origin, TrialState
from experiments.models.trial_rows import TrialRow
from experiments.trials.lifecycle.queries import trials as queries
from experiments.trials.lifecycle.services import studies, trials
from tests import cast

pytestmark = pytest.mark.django_db

RATE = FloatDistribution(1e-5, 1e-1, log=True)


@pytest.fixture
def study() -> Study:
    """A free-standing one."""
    return Study.objects.get(pk=studies.create(name="outside", directions=["minimize"]))


@pytest.fixture
def search() -> Experiment:
    """Maximises; two arms, each a study."""
    cast.project()
    return cast.search("counted", trials_per_arm=5)


def new(study: Study, **fields: Any) -> int:
    trial_id, _ = trials.create(study_id=study.pk, **{"state": TrialState.RUNNING, **fields})
    return trial_id


def stored(trial_id: int) -> TrialRow:
    return queries.get(trial_id).row


def complete(trial_id: int, value: float, **more: Any) -> TrialRow:
    return trials.finish(trial_id=trial_id, state=TrialState.COMPLETE, values=[value], **more)


def arm(search: Experiment, index: int = 0) -> Study:
    return Study.objects.get(experiment=search, arm_index=index)


# Creation


def test_numbers_count_from_zero_in_each_study(study: Study) -> None:
    other = Study.objects.get(pk=studies.create(name="other", directions=["minimize"]))
    numbers = [
        trials.create(study_id=parent.pk, state=TrialState.WAITING)[1]
        for parent in (study, study, other, study)
    ]
    assert numbers == [0, 1, 0, 2]


def test_only_trials_that_take_a_row_move_the_sampler_on(study: Study) -> None:
    rows = []
    for take in (True, False, True, False, True):
        trial_id, _ = trials.create(study_id=study.pk, state=TrialState.RUNNING, take_row=take)
        rows.append(Trial.objects.get(pk=trial_id).row)
    assert rows == [0, None, 1, None, 2]


def test_all_fields_are_kept(study: Study) -> None:
    first = new(study)
    trial = Trial.objects.get(
        pk=new(
            study,
            origin=Origin.RETRY,
            row=7,
            pair=3,
            retry_of_id=first,
            train_seed=2**62,
            split_seed=2,
            search_seed=3,
            attempt=1,
            device="cuda:0",
        )
    )
    assert (trial.origin, trial.row, trial.pair, trial.retry_of_id) == ("retry", 7, 3, first)
    assert (trial.train_seed, trial.split_seed, trial.search_seed) == (2**62, 2, 3)
    assert (trial.attempt, trial.device) == (1, "cuda:0")
    assert trial.started_at is not None and trial.queued_at is None


def test_a_waiting_trial_has_not_started(study: Study) -> None:
    trial = Trial.objects.get(pk=new(study, state=TrialState.WAITING))
    assert trial.started_at is None and trial.queued_at is not None


def test_nothing_is_created_in_a_study_that_is_not_there(study: Study) -> None:
    studies.delete(study_id=study.pk)
    for study_id in (study.pk, 10**9):
        with pytest.raises(NotFound):
            trials.create(study_id=study_id, state=TrialState.RUNNING)
    assert not Trial.objects.exists()


def test_many_trials_are_created_as_one_by_one(study: Study) -> None:
    given: list[dict[str, Any]] = [
        {"state": TrialState.COMPLETE, "values": [1.5], "reports": {0: 2.0, 5: math.nan}},
        {"state": TrialState.RUNNING, "parameters": {"x": (0.5, RATE)}, "reports": {3: math.inf}},
        {"state": TrialState.WAITING, "user_attributes": {"b": 1, "a": math.nan}},
    ]
    for fields in given:
        new(study, **fields)
    trials.create_many(study_id=study.pk, trials=given)  # type: ignore[arg-type]
    rows = [found.row for found in queries.changes(study.pk, known=0)]
    assert [row.number for row in rows] == list(range(6))
    for one, many in zip(rows[:3], rows[3:], strict=True):
        assert one.texts == many.texts
        assert (one.state, one.values, one.reports_blob) == (
            many.state,
            many.values,
            many.reports_blob,
        )
    reports = queries.reports({rows[1].id: 0, rows[4].id: 0})
    assert [(report.step, report.value) for report in reports] == [(3, math.inf)] * 2


def test_many_trials_are_not_created_in_an_experiment(search: Experiment) -> None:
    with pytest.raises(Conflict):
        trials.create_many(study_id=arm(search).pk, trials=[{"state": TrialState.RUNNING}])


# Parameters, attributes, reports


def test_parameters_of_one_statement_and_of_several_are_the_same(study: Study) -> None:
    parameters = {
        "rate": (0.01, RATE),
        "optimizer": ("sgd", CategoricalDistribution(("adam", "sgd"))),
    }
    at_once, one_by_one = new(study), new(study)
    trials.set_parameters(trial_id=at_once, parameters=parameters)
    for name, parameter in parameters.items():
        trials.set_parameter(trial_id=one_by_one, name=name, parameter=parameter)
    assert stored(at_once).texts == stored(one_by_one).texts
    assert stored(at_once).parameters == {"rate": 0.01, "optimizer": "sgd"}


def test_what_the_caller_saw_may_be_out_of_date(study: Study) -> None:
    trial_id = new(study)
    seen = trials.set_user_attribute(trial_id=trial_id, key="a", value=1)
    trials.set_user_attribute(trial_id=trial_id, key="b", value=2)
    trials.set_user_attribute(trial_id=trial_id, key="c", value=3, seen=seen)
    trials.set_system_attribute(trial_id=trial_id, key="a", value=4, seen=seen)
    assert stored(trial_id).user_attributes == {"a": 1, "b": 2, "c": 3}
    assert stored(trial_id).system_attributes == {"a": 4}


def test_a_second_report_of_a_step_replaces_the_first(study: Study) -> None:
    trial_id = new(study)
    for step, value in ((0, 1.0), (1, math.nan), (0, -math.inf)):
        trials.report(trial_id=trial_id, step=step, value=value)
    row = complete(trial_id, 0.0)
    assert list(row.reports) == [0, 1]
    assert row.reports[0] == -math.inf and math.isnan(row.reports[1])
    assert not Report.objects.exists()


def test_a_replaced_report_is_newer_than_all_before(study: Study) -> None:
    trial_id = new(study)
    for step in (0, 1):
        trials.report(trial_id=trial_id, step=step, value=1.0)
    last = queries.reports({trial_id: 0})[-1].id
    trials.report(trial_id=trial_id, step=0, value=2.0)
    fresh = queries.reports({trial_id: last})
    assert [(report.step, report.value) for report in fresh] == [(0, 2.0)]


# Finishing


WRITES = {
    "finish": lambda key, attempt: complete(key, 9.0, attempt=attempt),
    "fail": lambda key, attempt: trials.finish(
        trial_id=key, state=TrialState.FAILED, values=None, attempt=attempt
    ),
    "report": lambda key, attempt: trials.report(trial_id=key, step=0, value=1.0, attempt=attempt),
    "parameter": lambda key, attempt: trials.set_parameter(
        trial_id=key, name="x", parameter=(0.01, RATE), attempt=attempt
    ),
    "user attribute": lambda key, attempt: trials.set_user_attribute(
        trial_id=key, key="x", value=1, attempt=attempt
    ),
    "system attribute": lambda key, attempt: trials.set_system_attribute(
        trial_id=key, key="x", value=1, attempt=attempt
    ),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("attempt", [None, 1])
def test_a_finished_trial_never_changes(study: Study, write: str, attempt: int | None) -> None:
    trial_id = new(study, attempt=1)
    first = complete(trial_id, 0.5, attempt=1)
    with pytest.raises(TrialFinished):
        WRITES[write](trial_id, attempt)
    assert stored(trial_id) == first
    assert not Report.objects.exists()


@pytest.mark.parametrize("write", WRITES)
def test_an_attempt_that_was_taken_over_writes_nothing(study: Study, write: str) -> None:
    trial_id = new(study, attempt=2)
    before = stored(trial_id)
    with pytest.raises(TrialFenced):
        WRITES[write](trial_id, 1)
    assert stored(trial_id) == before
    assert not Report.objects.exists()
    assert complete(trial_id, 0.5, attempt=2).values == (0.5,)


@pytest.mark.parametrize("write", WRITES)
def test_a_trial_that_is_not_there_is_not_found(write: str) -> None:
    with pytest.raises(NotFound):
        WRITES[write](10**9, None)


@pytest.mark.parametrize("write", WRITES)
def test_an_attempt_writes_nothing_to_a_trial_that_was_handed_back(
    study: Study, write: str
) -> None:
    trial_id = new(study, state=TrialState.WAITING, attempt=1)
    with pytest.raises(Conflict):
        WRITES[write](trial_id, 1)
    assert stored(trial_id).state == TrialState.WAITING


def test_the_outcome_is_stored_with_the_result(study: Study) -> None:
    trial_id = new(study)
    trials.finish(
        trial_id=trial_id,
        state=TrialState.FAILED,
        values=None,
        failure_kind="infeasible",
        failure_reason="the loss was NaN",
        traceback="NUL \0 in a quoted line",
        best_step=4,
        evaluations=9,
        seconds=1.5,
        peak_memory_mb=100.0,
        read_split_seed=True,
        stopped_early=True,
    )
    trial = Trial.objects.get(pk=trial_id)
    assert (trial.failure_kind, trial.failure_reason) == ("infeasible", "the loss was NaN")
    assert "in a quoted line" in trial.traceback and "\0" not in trial.traceback
    assert (trial.best_step, trial.evaluations, trial.seconds) == (4, 9, 1.5)
    assert (trial.peak_memory_mb, trial.read_split_seed, trial.stopped_early) == (
        100.0,
        True,
        True,
    )


def test_one_of_two_callers_starts_a_waiting_trial(study: Study) -> None:
    trial_id = new(study, state=TrialState.WAITING)
    assert [trials.start(trial_id=trial_id) for _ in range(2)] == [True, False]
    assert stored(trial_id).started_at is not None
    complete(trial_id, 1.0)
    with pytest.raises(TrialFinished):
        trials.start(trial_id=trial_id)
    with pytest.raises(NotFound):
        trials.start(trial_id=10**9)


# Counters


def test_a_replicate_is_never_counted_nor_the_best_trial() -> None:
    cast.project()
    search = cast.finished_search()
    before = Experiment.objects.get(pk=search.pk)
    replicates = Study.objects.filter(replication=cast.repeated(before, done=0))
    for study in replicates:
        complete(new(study), 1.0)
    after = Experiment.objects.get(pk=search.pk)
    assert len(replicates) == 2
    for name in ("trial_count", "complete_count", "best_value", "best_trial_id"):
        assert getattr(after, name) == getattr(before, name)
    assert after.active_at > before.active_at


def test_a_deleted_study_counts_no_longer_and_its_late_trials_are_gone(search: Experiment) -> None:
    kept, gone = arm(search, 0), arm(search, 1)
    complete(new(kept), 0.5)
    complete(new(gone), 0.9)
    late = new(gone)
    studies.delete(study_id=gone.pk)
    with pytest.raises(NotFound):
        complete(late, 0.95)
    search.refresh_from_db()
    assert (search.trial_count, search.complete_count, search.best_value) == (1, 1, 0.5)


class TestCounters(TestCase):
    """The experiment's counters after any sequence of results."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED]),
                st.one_of(
                    st.sampled_from([0.25, 0.5, math.inf, -math.inf, math.nan]), st.floats()
                ),
                st.booleans(),  # created finished, or finished later
            ),
            max_size=8,
        ),
        st.sampled_from(["minimize", "maximize"]),
    )
    def test_counters_and_best_are_those_of_the_trials(
        self, results: list[tuple[TrialState, float, bool]], direction: str
    ) -> None:
        cast.project()
        search = cast.search("any", trials_per_arm=5)
        Experiment.objects.filter(pk=search.pk).update(direction=direction)
        finished = []
        for index, (state, value, at_once) in enumerate(results):
            values = None if state == TrialState.FAILED else [value]
            study = arm(search, index % 2)
            if at_once:
                trial_id = new(study, state=state, values=values)
            else:
                trial_id = new(study)
                trials.finish(trial_id=trial_id, state=state, values=values)
            finished.append((trial_id, state, value))
        search.refresh_from_db()
        complete = [trial for trial in finished if trial[1] == TrialState.COMPLETE]
        finite = [(key, value) for key, _, value in complete if math.isfinite(value)]
        assert search.trial_count == len(finished)
        assert search.complete_count == len(complete)
        assert search.pruned_count == sum(trial[1] == TrialState.PRUNED for trial in finished)
        assert search.failed_count == sum(trial[1] == TrialState.FAILED for trial in finished)
        pick = min if direction == "minimize" else max
        best = pick(
            finite, key=lambda trial: trial[1], default=(None, None)
        )  # the first of equals
        assert (search.best_trial_id, search.best_value) == best
