from __future__ import annotations

import copy
import datetime as dt
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.errors import StudyCited, TrialFenced
from experiments.models import Experiment, Report, Study
from experiments.models import Trial as StoredTrial
from experiments.models.trial_rows import Texts
from experiments.trials.lifecycle.services import queue, statements, trials
from tests import cast
from workers.search.frozen_trials import FAILURE_ATTRIBUTE
from workers.search.open_trial import OpenTrial
from workers.search.storage import VerdictStorage

pytestmark = [pytest.mark.django_db, pytest.mark.sql]

UNIT = FloatDistribution(0.0, 1.0)


def sum_of_three(trial: Trial) -> float:
    return sum(trial.suggest_float(name, 0.0, 1.0) for name in "abc")


def study_on(storage: VerdictStorage, name: str = "shared") -> optuna.Study:
    return optuna.create_study(storage=storage, study_name=name, load_if_exists=True)


def queries(action: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        action()
    return [query["sql"] for query in captured.captured_queries]


# What others see


def test_another_storage_sees_every_write_at_once() -> None:
    here, there = VerdictStorage(), VerdictStorage()
    trial_id = here.create_new_trial(here.create_new_study([StudyDirection.MINIMIZE], "s"))
    study_id = there.get_study_id_from_name("s")
    there.get_all_trials(study_id)  # from now on it knows the trial
    writes: list[tuple[Callable[[], Any], Callable[[FrozenTrial], Any], Any]] = [
        (lambda: here.set_trial_param(trial_id, "x", 0.5, UNIT), lambda t: t.params, {"x": 0.5}),
        (
            lambda: here.set_trial_intermediate_value(trial_id, 1, 2.0),
            lambda t: t.intermediate_values,
            {1: 2.0},
        ),
        (
            lambda: here.set_trial_intermediate_value(trial_id, 1, 3.0),
            lambda t: t.intermediate_values,
            {1: 3.0},
        ),
        (lambda: here.set_trial_user_attr(trial_id, "u", 1), lambda t: t.user_attrs, {"u": 1}),
        (lambda: here.set_trial_system_attr(trial_id, "s", 1), lambda t: t.system_attrs, {"s": 1}),
        (
            lambda: here.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.5]),
            lambda t: (t.state, t.value, t.intermediate_values),
            (TrialState.COMPLETE, 0.5, {1: 3.0}),
        ),
    ]
    for write, look, expected in writes:
        write()
        assert look(there.get_all_trials(study_id, deepcopy=False)[0]) == expected
        assert look(there.get_trial(trial_id)) == expected


def test_two_storages_do_not_overwrite_each_others_attributes() -> None:
    here, there = VerdictStorage(), VerdictStorage()
    study_id = here.create_new_study([StudyDirection.MINIMIZE])
    trial_id = here.create_new_trial(study_id)
    for index in range(3):
        here.set_trial_user_attr(trial_id, f"here {index}", index)
        there.set_trial_user_attr(trial_id, f"there {index}", index)
        here.set_trial_param(trial_id, f"x{index}", 0.5, UNIT)
        there.set_trial_param(trial_id, f"y{index}", 0.5, UNIT)
        here.set_study_user_attr(study_id, f"here {index}", index)
        there.set_study_user_attr(study_id, f"there {index}", index)
    trial = here.get_trial(trial_id)
    assert (len(trial.user_attrs), len(trial.params)) == (6, 6)
    assert len(here.get_study_user_attrs(study_id)) == 6


def test_an_incompatible_parameter_is_refused_whoever_wrote_the_first() -> None:
    here, there = VerdictStorage(), VerdictStorage()
    study_id = here.create_new_study([StudyDirection.MINIMIZE])
    there.set_trial_param(there.create_new_trial(study_id), "x", 0.5, UNIT)
    with pytest.raises(ValueError, match="log"):
        here.set_trial_param(
            here.create_new_trial(study_id), "x", 0.5, FloatDistribution(0.1, 1.0, log=True)
        )


def test_reports_of_an_attempt_that_was_given_up_are_forgotten() -> None:
    cast.project()
    search = cast.search("resumed", trials_per_arm=1)
    claim = claimed(search)
    storage = VerdictStorage()
    trials.report(trial_id=claim.trial_id, step=0, value=1.0, attempt=1)
    trials.report(trial_id=claim.trial_id, step=1, value=1.0, attempt=1)
    known = storage.get_all_trials(claim.study_id)[0]
    assert known.intermediate_values == {0: 1.0, 1: 1.0}
    queue.hand_back(trial_id=claim.trial_id, attempt=1)
    claim = claimed(search)
    trials.report(trial_id=claim.trial_id, step=0, value=2.0, attempt=2)
    assert storage.get_all_trials(claim.study_id)[0].intermediate_values == {0: 2.0}


# Few queries


def filled_study(size: int) -> str:
    study = study_on(VerdictStorage(), f"of {size}")
    trials.create_many(
        study_id=study._study_id,
        trials=[
            {
                "state": TrialState.COMPLETE.value,
                "values": [index / size],
                "parameters": dict.fromkeys("abc", (0.5, UNIT)),
                "reports": {0: 0.5, 1: 0.5},
            }
            for index in range(size)
        ],
    )
    return study.study_name


def queries_of_a_life(name: str) -> dict[str, int]:
    """How many queries each step of a trial takes in a process that is new to the study."""
    counts: dict[str, int] = {}

    def count(step: str, action: Callable[[], Any]) -> None:
        counts[step] = len(queries(action))

    study = optuna.load_study(
        study_name=name,
        storage=VerdictStorage(),
        pruner=optuna.pruners.MedianPruner(),
        sampler=optuna.samplers.TPESampler(seed=0, multivariate=True),
    )
    count("read all", lambda: study.trials)
    count("read all again", lambda: study.trials)
    count("best", lambda: study.best_trial)
    asked: list[Trial] = []
    count("ask", lambda: asked.append(study.ask()))
    trial = asked[0]
    count("suggest three", lambda: sum_of_three(trial))
    count("report", lambda: trial.report(0.9, 0))
    count("prune", trial.should_prune)
    count("tell", lambda: study.tell(trial, 0.5))
    count("read all after", lambda: study.trials)
    return counts


def test_the_number_of_queries_does_not_grow_with_the_study() -> None:
    statements.incarnation()  # made by the first that asks
    at_10, at_1000 = (queries_of_a_life(filled_study(size)) for size in (10, 1000))
    assert at_10 == at_1000
    # SQLite has no statement that does two things: what is one message to a PostgreSQL are
    # several calls in this process.
    sqlite = connection.vendor == "sqlite"
    assert at_1000 == {
        "read all": 2,  # the study, its trials
        "read all again": 1,
        "best": 1,
        # Waiting ones; number and insert, or both and once a process the incarnation; read.
        "ask": 4,
        "suggest three": 6,  # each: what the sampler learns from, then the parameter
        "report": 1,
        "prune": 1,
        "tell": 5 if sqlite else 3,  # read with reports; collect, finish and delete them
        "read all after": 1,
    }


def test_a_known_finished_trial_is_never_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    name = filled_study(50)
    study = optuna.load_study(study_name=name, storage=VerdictStorage())
    known = study.get_trials(deepcopy=False)
    study.add_trial(optuna.trial.create_trial(value=0.5))
    with CaptureQueriesContext(connection):
        again = study.get_trials(deepcopy=False)
    assert all(before is after for before, after in zip(known, again, strict=False))
    with CaptureQueriesContext(connection) as captured:
        assert VerdictStorage.get_trial(study._storage, known[7]._trial_id) is known[7]  # type: ignore[arg-type]
    assert len(captured) == 0


def test_waiting_trials_are_not_read_again_until_they_are_taken() -> None:
    storage = VerdictStorage()
    study = study_on(storage)
    for index in range(3):
        study.enqueue_trial({"x": index / 10})
    waiting = study.get_trials(deepcopy=False)
    trials.start(trial_id=waiting[1]._trial_id)
    again = study.get_trials(deepcopy=False)
    assert [a is b for a, b in zip(waiting, again, strict=True)] == [True, False, True]
    storage.set_trial_user_attr(waiting[0]._trial_id, "mine", 1)
    assert study.get_trials(deepcopy=False)[0].user_attrs == {"mine": 1}


def test_parameters_at_once_are_one_write() -> None:
    storage = VerdictStorage()
    study = study_on(storage)
    trial = study.ask()

    def draw() -> None:
        with storage.parameters_at_once(trial._trial_id):
            sum_of_three(trial)

    assert len([query for query in queries(draw) if query.startswith("UPDATE")]) == 1
    assert list(storage.get_trial(trial._trial_id).params) == ["a", "b", "c"]


def test_nothing_is_written_when_drawing_fails() -> None:
    storage = VerdictStorage()
    trial = study_on(storage).ask()
    with pytest.raises(ZeroDivisionError), storage.parameters_at_once(trial._trial_id):
        sum_of_three(trial)
        raise ZeroDivisionError
    assert storage.get_trial(trial._trial_id).params == {}
    trial.suggest_float("d", 0.0, 1.0)
    assert list(storage.get_trial(trial._trial_id).params) == ["d"]


def test_fixed_parameters_stay_beside_those_that_are_drawn_at_once() -> None:
    storage = VerdictStorage()
    study = study_on(storage)
    trial_id, _ = trials.create(study_id=study._study_id, state=0, parameters={"a": (0.25, UNIT)})
    with storage.parameters_at_once(trial_id):
        sum_of_three(Trial(study, trial_id))
    params = storage.get_trial(trial_id).params
    assert list(params) == ["a", "b", "c"] and params["a"] == 0.25


# One result a trial


def claimed(search: Experiment) -> queue.Claim:
    claim = queue.claim(queue=search.queue, worker_id=None)
    assert claim is not None and claim.experiment_id == search.pk
    return claim


@pytest.fixture
def search() -> Experiment:
    cast.project()
    return cast.search("workers", trials_per_arm=3)


def test_the_first_of_two_results_stands() -> None:
    here, there = VerdictStorage(), VerdictStorage()
    study = study_on(here)
    trial = study.ask()
    optuna.load_study(study_name="shared", storage=there).tell(trial.number, 0.25)
    with pytest.raises(ValueError, match="COMPLETE"):  # Optuna's own look before it tells
        study.tell(trial, 0.75)
    for state, values in ((TrialState.COMPLETE, [0.75]), (TrialState.FAIL, None)):
        with pytest.raises(UpdateFinishedTrialError):
            here.set_trial_state_values(trial._trial_id, state, values)
    assert study.trials[0].value == 0.25


def test_a_worker_whose_trial_was_taken_over_tells_nothing(search: Experiment) -> None:
    slow, quick = VerdictStorage(), VerdictStorage()
    claim = claimed(search)
    slow.claimed(claim.trial_id, claim.attempt)
    queue.hand_back(trial_id=claim.trial_id, attempt=claim.attempt)
    again = claimed(search)
    assert again.trial_id == claim.trial_id
    quick.claimed(again.trial_id, again.attempt)
    for write in (
        lambda: slow.set_trial_param(claim.trial_id, "x", 0.5, UNIT),
        lambda: slow.set_trial_intermediate_value(claim.trial_id, 0, 1.0),
        lambda: slow.set_trial_user_attr(claim.trial_id, "a", 1),
        lambda: slow.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [0.1]),
        lambda: slow.set_trial_state_values(claim.trial_id, TrialState.FAIL),
    ):
        with pytest.raises(UpdateFinishedTrialError) as caught:
            write()
        assert isinstance(caught.value, TrialFenced)
    assert quick.set_trial_state_values(again.trial_id, TrialState.COMPLETE, [0.9])
    assert slow.get_trial(claim.trial_id).value == 0.9
    search.refresh_from_db()
    assert (search.complete_count, search.best_value) == (1, 0.9)


def test_an_attempt_repeats_nothing_that_the_one_before_has_written(search: Experiment) -> None:
    storage, first = VerdictStorage(), claimed(search)
    storage._incarnation = "of a server that may crash"
    storage.claimed(first.trial_id, first.attempt, first.row)
    storage.set_trial_user_attr(first.trial_id, "folds", 3)
    assert len(storage._open[first.trial_id].unsynced) == 1
    assert queue.hand_back(trial_id=first.trial_id, attempt=first.attempt)
    second = claimed(search)
    assert (second.trial_id, second.attempt) == (first.trial_id, 2)
    storage.claimed(second.trial_id, second.attempt, second.row)
    assert storage._open[second.trial_id].unsynced == []


def test_a_thread_keeps_its_own_attempt_when_another_takes_the_trial_over(
    search: Experiment,
) -> None:
    trial = OpenTrial(study_id=1, texts=Texts())
    assert trial.attempt is None
    trial.attempts[threading.get_ident()] = 1

    def take_over() -> None:
        trial.attempts[threading.get_ident()] = 2
        seen.append(trial.attempt)

    seen: list[int | None] = []
    for action in (take_over, lambda: seen.append(trial.attempt)):
        thread = threading.Thread(target=action)
        thread.start()
        thread.join()
    assert seen[0] == 2
    assert trial.attempt == 1


def test_a_waiting_trial_goes_to_one_of_two_that_ask() -> None:
    here, there = VerdictStorage(), VerdictStorage()
    study_on(here).enqueue_trial({"a": 0.125})
    studies = [
        optuna.load_study(study_name="shared", storage=storage) for storage in (here, there)
    ]
    assert [study.ask().suggest_float("a", 0.0, 1.0) == 0.125 for study in studies] == [
        True,
        False,
    ]


def test_an_outcome_is_stored_with_what_the_study_tells(search: Experiment) -> None:
    storage = VerdictStorage()
    claim = claimed(search)
    storage.claimed(claim.trial_id, claim.attempt)
    study = optuna.load_study(
        study_name=storage.get_study_name_from_id(claim.study_id), storage=storage
    )
    storage.outcome(claim.trial_id, failure_kind="infeasible", seconds=3.5)
    study.tell(claim.number, state=TrialState.FAIL)
    trial = StoredTrial.objects.get(pk=claim.trial_id)
    assert (trial.failure_kind, trial.seconds) == ("infeasible", 3.5)


# Stale trials


def silence(trial_id: int) -> None:
    StoredTrial.objects.filter(pk=trial_id).update(
        heartbeat_at=timezone.now() - dt.timedelta(hours=1)
    )


def test_a_stale_trial_is_told_apart_from_a_failed_one() -> None:
    storage = VerdictStorage(heartbeat_interval=1)
    study = study_on(storage)
    stale, failed, alive = (study_on(VerdictStorage()).ask() for _ in range(3))
    for trial in (stale, alive):
        storage.record_heartbeat(trial._trial_id)
    silence(stale._trial_id)
    study.tell(failed, state=TrialState.FAIL)
    fail_stale_trials(study)
    found = VerdictStorage().get_all_trials(study._study_id)
    states = [trial.state for trial in found]
    assert states == [TrialState.FAIL, TrialState.FAIL, TrialState.RUNNING]
    kinds = [trial.system_attrs.get(FAILURE_ATTRIBUTE) for trial in found]
    assert kinds == ["lost", None, None]


def test_optuna_retries_a_stale_trial() -> None:
    storage = VerdictStorage(
        heartbeat_interval=1,
        grace_period=5,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
    )
    study = study_on(storage)
    stale = study_on(VerdictStorage()).ask({"x": UNIT})
    storage.record_heartbeat(stale._trial_id)
    silence(stale._trial_id)
    fail_stale_trials(study)
    retry = study.trials[1]
    assert retry.state == TrialState.WAITING
    assert retry.params == stale.params
    assert retry.system_attrs["failed_trial"] == stale.number


def test_nobody_outside_fails_a_trial_of_our_workers(search: Experiment) -> None:
    outside = VerdictStorage(heartbeat_interval=1, grace_period=1)
    claim = claimed(search)
    outside.record_heartbeat(claim.trial_id)  # does not count either
    silence(claim.trial_id)
    name = outside.get_study_name_from_id(claim.study_id)
    study = optuna.load_study(study_name=name, storage=outside)
    fail_stale_trials(study)
    assert outside.get_trial(claim.trial_id).state == TrialState.RUNNING


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_heartbeat_has_a_positive_length(seconds: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        VerdictStorage(heartbeat_interval=seconds)


# Studies


def test_a_study_that_a_decision_cites_is_not_deleted() -> None:
    cast.project()
    experiment = cast.decided("cited", "adopt", "It is better by more than the margin.")
    name = experiment.studies.values_list("name", flat=True)[0]
    with pytest.raises(RuntimeError) as caught:
        optuna.delete_study(study_name=name, storage=VerdictStorage())
    assert isinstance(caught.value, StudyCited)
    assert optuna.load_study(study_name=name, storage=VerdictStorage()).trials


def test_another_storage_notices_a_deleted_study() -> None:
    here, there = VerdictStorage(), VerdictStorage()
    study = study_on(here)
    trial = study.ask()
    seen = optuna.load_study(study_name="shared", storage=there)
    assert len(seen.trials) == 1
    optuna.delete_study(study_name="shared", storage=here)
    with pytest.raises(KeyError):
        _ = seen.trials
    with pytest.raises(KeyError):
        there.get_trial(trial._trial_id)
    assert study_on(there).trials == []


def test_a_deleted_study_leaves_nothing_and_takes_no_more_writes() -> None:
    here, there = VerdictStorage(), VerdictStorage()
    study_id = here.create_new_study([StudyDirection.MINIMIZE], "gone")
    done, running = here.create_new_trial(study_id), here.create_new_trial(study_id)
    here.set_trial_intermediate_value(running, 0, 1.0)
    here.set_trial_state_values(done, TrialState.COMPLETE, [1.0])
    assert len(there.get_all_trials(study_id)) == 2
    there.set_trial_user_attr(running, "note", 1)
    here.delete_study(study_id)
    assert not (Study.objects.exists() or StoredTrial.objects.exists() or Report.objects.exists())
    for storage in (here, there):
        writes: list[Callable[[], Any]] = [
            lambda s=storage: s.set_trial_intermediate_value(running, 1, 2.0),
            lambda s=storage: s.set_trial_user_attr(running, "a", 1),
            lambda s=storage: s.set_trial_system_attr(running, "a", 1),
            lambda s=storage: s.set_trial_param(running, "x", 0.5, UNIT),
            lambda s=storage: s.set_trial_state_values(running, TrialState.COMPLETE, [1.0]),
            lambda s=storage: s.create_new_trial(study_id),
            lambda s=storage: s.set_study_user_attr(study_id, "a", 1),
        ]
        for write in writes:
            with pytest.raises(KeyError):
                write()
    assert not (StoredTrial.objects.exists() or Report.objects.exists())


def test_a_complete_trial_without_values_is_taken_as_by_optunas_own_storages() -> None:
    ours = VerdictStorage()
    for storage in (optuna.storages.InMemoryStorage(), ours):
        study_id = storage.create_new_study([StudyDirection.MINIMIZE], "s")
        trial_id = storage.create_new_trial(study_id)
        assert storage.set_trial_state_values(trial_id, TrialState.COMPLETE)
        trial = storage.get_trial(trial_id)
        assert (trial.state, trial.values) == (TrialState.COMPLETE, None)
    with pytest.raises(ValueError, match="No trials are completed"):
        ours.get_best_trial(study_id)
    assert VerdictStorage().get_trial(trial_id).values is None
    second = ours.create_new_trial(study_id)
    ours.set_trial_state_values(second, TrialState.COMPLETE, [3.0])
    assert ours.get_best_trial(study_id).number == 1


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks of a place with daylight saving time."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("minutes", [30, 90, 150])
def test_a_trial_that_runs_while_the_clocks_change_lasts_as_long_as_it_does(
    berlin: None, minutes: int
) -> None:
    storage = VerdictStorage()
    study_id = storage.create_new_study([StudyDirection.MINIMIZE])
    for start in (dt.datetime(2026, 10, 25, 0, 30), dt.datetime(2026, 3, 29, 0, 30)):
        began = start.replace(tzinfo=dt.UTC)
        trial_id, _ = trials.create(
            study_id=study_id,
            state=TrialState.COMPLETE.value,
            values=[1.0],
            started_at=began,
            finished_at=began + dt.timedelta(minutes=minutes),
        )
        held = storage.get_trial(trial_id)
        assert held.duration == dt.timedelta(minutes=minutes)
        assert held.datetime_start == began.astimezone().replace(tzinfo=None)
        assert copy.deepcopy(held).duration == pickle.loads(pickle.dumps(held)).duration
        assert dt.datetime.now() - held.datetime_start > dt.timedelta(0)


@pytest.mark.parametrize(
    "given",
    [dt.datetime(2026, 3, 29, 2, 30), dt.datetime(2026, 10, 25, 2, 30, fold=1)],
    ids=["skipped", "shown twice"],
)
def test_any_time_that_is_given_comes_back(berlin: None, given: dt.datetime) -> None:
    storage = VerdictStorage()
    study_id = storage.create_new_study([StudyDirection.MINIMIZE])
    trial = optuna.trial.create_trial(value=1.0, system_attrs={"a": 1})
    trial.datetime_start, trial.datetime_complete = given, given + dt.timedelta(hours=3)
    held = storage.get_trial(storage.create_new_trial(study_id, trial))
    assert (held.datetime_start, held.datetime_complete) == (given, trial.datetime_complete)
    assert held.system_attrs == {"a": 1}
    assert storage.get_all_trials(study_id)[0] == held


def test_searches_of_experiments_are_studies_like_others(search: Experiment) -> None:
    storage = VerdictStorage()
    claim = claimed(search)
    trials.finish(
        trial_id=claim.trial_id, state=TrialState.COMPLETE, values=[0.5], attempt=claim.attempt
    )
    names = optuna.get_all_study_names(storage)
    assert set(names) == set(search.studies.values_list("name", flat=True))
    summaries = optuna.get_all_study_summaries(storage)
    assert sorted(summary.n_trials for summary in summaries) == [0, 1]


def test_new_studies_lie_in_the_project_that_the_storage_was_given() -> None:
    cast.project("digits")
    study = optuna.create_study(storage=VerdictStorage(project="digits"))
    assert Study.objects.get(pk=study._study_id).project.slug == "digits"


def test_several_objectives() -> None:
    study = optuna.create_study(
        storage=VerdictStorage(), directions=["minimize", "maximize"], study_name="two"
    )
    study.set_metric_names(["loss", "accuracy"])
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), t.suggest_float("y", 0, 1)), n_trials=9)
    loaded = optuna.load_study(study_name="two", storage=VerdictStorage())
    assert loaded.best_trials == study.best_trials != []
    assert loaded.metric_names == ["loss", "accuracy"]
    with pytest.raises(RuntimeError):
        _ = loaded.best_trial


def test_importance_and_plots_read_our_tables() -> None:
    study = study_on(VerdictStorage())
    study.optimize(sum_of_three, n_trials=12)
    importance = optuna.importance.get_param_importances(study)
    assert set(importance) == {"a", "b", "c"}
    figure = optuna.visualization.plot_optimization_history(study)
    assert len(figure.data[0].y) == 12
    assert optuna.visualization.plot_parallel_coordinate(study).data


def test_copies_of_trials_may_be_changed() -> None:
    study = study_on(VerdictStorage())
    trial = study.ask({"x": UNIT})
    trial.set_user_attr("list", [1, 2])
    trial.report(0.5, 0)
    study.tell(trial, 0.5)
    before = study.get_trials(deepcopy=True)[0]
    changed = study.get_trials(deepcopy=True)[0]
    changed.user_attrs["list"].append(3)
    changed.params["x"] = 2.0
    changed.intermediate_values[1] = 1.0
    changed.values = [9.0]
    changed.distributions.clear()
    assert study.trials[0] == before != changed


def test_reports_are_packed_when_a_trial_ends() -> None:
    study = study_on(VerdictStorage())
    trial = study.ask()
    for step in range(5):
        trial.report(step / 10, step)
    assert Report.objects.count() == 5
    study.tell(trial, 0.5)
    assert Report.objects.count() == 0
    loaded = optuna.load_study(study_name="shared", storage=VerdictStorage())
    assert loaded.trials[0].intermediate_values == {step: step / 10 for step in range(5)}
