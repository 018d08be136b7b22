"""Several processes on one database, none of which was told about Django."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

import optuna
import pytest
from optuna.trial import TrialState

from experiments.models import Report
from experiments.models import Trial as StoredTrial
from tests import cast
from tests.services_under_test.redis_server import database_url_of_the_tests
from tests.waiting import PATIENCE
from tests.workers.search import outside_programs as programs
from workers.search.storage import VerdictStorage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.sql]

NAME = "many processes"
SPAWN = multiprocessing.get_context("spawn")
# Each a process of its own, forked from one that has imported what they need and nothing more.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload([programs.__name__])


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(storage=VerdictStorage(), study_name=NAME)


@pytest.fixture
def url() -> str:
    return database_url_of_the_tests()


@pytest.fixture(scope="module")
def eight() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(8, FORKSERVER) as pool:
        yield pool


def test_eight_processes_number_trials_without_a_gap_or_a_double(
    study: optuna.Study, url: str, eight: ProcessPoolExecutor
) -> None:
    assert sum(eight.map(programs.optimize, repeat(url, 8), repeat(NAME), repeat(12))) == 96
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(96))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    for trial in trials:
        assert trial.value == sum(trial.params.values()) == trial.user_attrs["sum"]
        assert list(trial.intermediate_values) == [0, 1, 2]
    assert not Report.objects.exists()


def test_a_waiting_trial_is_taken_once(
    study: optuna.Study, url: str, eight: ProcessPoolExecutor
) -> None:
    for index in range(40):
        study.enqueue_trial({"x": index}, user_attrs={"queued": True})
    taken = [
        number
        for numbers in eight.map(programs.drain, repeat(url, 8), repeat(NAME))
        for number in numbers
    ]
    assert sorted(taken) == list(range(40))


def test_one_of_eight_results_of_a_trial_stands(
    study: optuna.Study, url: str, eight: ProcessPoolExecutor
) -> None:
    for number in range(5):
        study.ask()
        first = list(
            eight.map(programs.tell, repeat(url, 8), repeat(NAME), repeat(number), range(8))
        )
        assert first.count(True) == 1
        assert study.trials[number].value == first.index(True)


def test_no_attribute_is_lost(study: optuna.Study, url: str, eight: ProcessPoolExecutor) -> None:
    trial = study.ask()
    list(eight.map(programs.set_attributes, repeat(url, 8), repeat(NAME), range(8), repeat(10)))
    names = {f"{process}-{index}" for process in range(8) for index in range(10)}
    assert set(study.user_attrs) == names
    assert set(study.trials[trial.number].user_attrs) == names


def test_an_experiments_counters_are_exact_under_eight_processes(
    url: str, eight: ProcessPoolExecutor
) -> None:
    cast.project()
    search = cast.search("counted", trials_per_arm=1)
    arms = list(search.studies.values_list("pk", flat=True))
    values = [[(process * 17 + index * 5) % 64 / 64 for index in range(8)] for process in range(8)]
    list(eight.map(programs.finish_trials, repeat(url, 8), arms * 4, values))
    search.refresh_from_db()
    best = max(value for of_one in values for value in of_one)
    assert (search.trial_count, search.complete_count, search.best_value) == (64, 64, best)
    assert search.best_trial is not None and search.best_trial.value == best


def test_another_process_sees_a_running_trial_grow(study: optuna.Study, url: str) -> None:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=programs.answer, args=(url, NAME, theirs))
    process.start()
    theirs.close()  # so that the end of the process ends the wait
    assert ours.recv() == "ready"

    def seen() -> object:
        ours.send("look")
        return ours.recv()

    trial = study.ask()
    assert seen() == ("RUNNING", {}, {}, None)
    x = trial.suggest_float("x", 0.0, 1.0)
    assert seen() == ("RUNNING", {"x": x}, {}, None)
    trial.report(0.5, 1)
    assert seen() == ("RUNNING", {"x": x}, {1: 0.5}, None)
    trial.report(0.25, 0)
    assert seen() == ("RUNNING", {"x": x}, {0: 0.25, 1: 0.5}, None)
    study.tell(trial, 0.75)
    assert seen() == ("COMPLETE", {"x": x}, {0: 0.25, 1: 0.5}, [0.75])
    ours.send("end")
    process.join(timeout=PATIENCE)
    assert process.exitcode == 0


def test_six_writers_and_a_reader_share_the_database(
    study: optuna.Study, url: str, eight: ProcessPoolExecutor
) -> None:
    """A minute of this is in `benchmarks/storage.py`; an error here would be raised here."""
    reader = eight.submit(programs.read_until, url, NAME, 6 * 12)
    writers = [eight.submit(programs.optimize, url, NAME, 12) for _ in range(6)]
    assert [writer.result() for writer in writers] == [12] * 6
    assert (counts := reader.result(timeout=PATIENCE)) == sorted(counts)
    assert StoredTrial.objects.filter(state=TrialState.COMPLETE.value).count() == 72
    assert all(len(trial.intermediate_values) == 3 for trial in study.trials)


def test_a_forked_child_leaves_its_parents_connection_alone(study: optuna.Study) -> None:
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=study.optimize, args=(programs.objective, 3))
    trial = study.ask()
    process.start()
    process.join(timeout=PATIENCE)
    assert process.exitcode == 0
    study.tell(trial, 0.5)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
