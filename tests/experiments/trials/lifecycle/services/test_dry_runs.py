"""Dry runs as pages ask for them and workers report."""

from __future__ import annotations

import datetime as dt

import pytest

from experiments.analysis.time_left import time_left
from experiments.errors import Conflict, InvalidExperiment, NotAllowed
from experiments.models import ObjectiveCheck, Trial
from experiments.trials.lifecycle.queries.dry_runs import DryRun, find_dry_run
from experiments.trials.lifecycle.services import dry_runs, objective_checks
from experiments.trials.lifecycle.services.dry_runs import DryRunOrder
from tests import cast

pytestmark = pytest.mark.django_db

TEXT = cast.LABEL_SMOOTHING.format(name="one", goal="Is it?", trials=24)
FOUND = {"seconds": 10.0, "names": ["validation_accuracy"], "series": {}}


@pytest.fixture
def worker() -> int:
    cast.project()
    return cast.offering_worker().pk


def _start(text: str = TEXT, who: str = "cleo") -> int:
    return dry_runs.start(access=cast.access(who), text=text)


def _claim(worker: int) -> DryRunOrder:
    order = dry_runs.claim(queue="cpu", worker_id=worker, allocate=lambda gpus: "cpu")
    assert order is not None
    return order


def _found(number: int) -> DryRun:
    found = find_dry_run(cast.access("ben"), number)
    assert found is not None
    return found


def test_a_dry_run_tells_what_the_whole_search_will_take(worker: int) -> None:
    number = _start()
    assert _found(number).state == "waiting"
    order = _claim(worker)
    assert order.file.name == "one" and order.official_metric == "validation_accuracy"
    assert dry_runs.report(dry_run=number, worker_id=worker, found={"series": {}})
    dry_runs.finish(dry_run=number, worker_id=worker, found=FOUND, failed=False)
    found = _found(number)
    assert (found.state, found.trials, found.at_once) == ("done", 48, 1), "one slot is there"
    assert found.whole_search == time_left([(0.0, 10.0)], 48, at_once=1), "as every estimate"
    assert found.whole_search is not None
    assert found.whole_search.low < 480 < found.whole_search.high
    assert found.text == TEXT and not Trial.objects.exists()


def test_a_smaller_budget_counts_in_proportion(worker: int) -> None:
    text = TEXT.replace("  epochs:          {role: fixed, value: 60}\n", "")
    number = _start(f"{text}fidelity: {{name: epochs, min: 6, max: 60}}\n")
    _claim(worker)
    dry_runs.finish(dry_run=number, worker_id=worker, found=FOUND, failed=False)
    assert _found(number).whole_search == time_left([(0.0, 100.0)], 48, at_once=1)


def test_a_dry_run_that_failed_promises_nothing(worker: int) -> None:
    number = _start()
    _claim(worker)
    found = {**FOUND, "reason": "KeyError: 'rate'", "log": "Traceback"}
    dry_runs.finish(dry_run=number, worker_id=worker, found=found, failed=True)
    assert _found(number).state == "failed" and _found(number).whole_search is None


def test_a_file_that_cannot_run_is_not_tried(worker: int) -> None:
    with pytest.raises(InvalidExperiment):
        _start(TEXT.replace("halton", "halten"))
    with pytest.raises(NotAllowed):
        _start(who="ben")


def test_nothing_is_tried_where_no_worker_would_take_it(worker: int) -> None:
    with pytest.raises(Conflict):
        _start(f"{TEXT}queue: nobody\n")


def test_a_person_has_one_dry_run_at_a_time(worker: int) -> None:
    first = _start()
    second = _start()
    assert (_found(first).state, _found(second).state) == ("cancelled", "waiting")
    _claim(worker)
    _start()
    assert not dry_runs.report(dry_run=second, worker_id=worker, found={}), "it is to end"
    dry_runs.finish(dry_run=second, worker_id=worker, found=FOUND, failed=False)
    assert _found(second).state == "cancelled"


def test_a_worker_that_ends_hands_its_dry_run_back_and_a_silent_one_fails(worker: int) -> None:
    number = _start()
    _claim(worker)
    dry_runs.hand_back(dry_run=number, worker_id=worker)
    assert dry_runs.is_waiting("cpu", most_gpus=0)
    _claim(worker)
    dry_runs.fail_silent(stale_after=dt.timedelta(seconds=-1))
    assert "sent no heartbeat" in _found(number).reason


def test_import_checks_and_dry_runs_are_not_taken_for_each_other(worker: int) -> None:
    _start()
    assert objective_checks.claim(queues=("cpu",), worker_id=worker, most_gpus=0) is None
    ObjectiveCheck.objects.update(document="")
    assert not dry_runs.is_waiting("cpu", most_gpus=0)


def test_nobody_sees_another_projects_dry_run(worker: int) -> None:
    number = _start()
    cast.project("other")
    assert find_dry_run(cast.access("cleo", "other"), number) is None
