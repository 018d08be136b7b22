from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from experiments.errors import Conflict, NotAllowed, NotFound, VerdictError
from experiments.models import BatchSizeProbe, Experiment
from experiments.trials.lifecycle.services import batch_sizes, workers
from tests import cast

pytestmark = pytest.mark.django_db

ROW = {
    "batch": 8,
    "examples_per_second": 1000.0,
    "step_seconds": 0.008,
    "peak_memory_mb": 50.0,
    "ended": "",
    "reason": "",
}


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return cast.search()


@pytest.fixture
def worker() -> int:
    return workers.register(name="w", host="h", pid=1, queues=["cpu"], slots=2, devices=["cpu"])


def ask(experiment: Experiment, who: str = "cleo", **more: Any) -> int:
    fields = {"parameter": "batch_size", "first": 8, "largest": 64, "steps": 5, **more}
    return batch_sizes.ask(
        access=cast.access(cast.person(who), experiment), experiment=experiment, **fields
    )


def claim(worker: int, room: str | None = "cpu") -> batch_sizes.Order | None:
    return batch_sizes.claim(queue="cpu", worker_id=worker, allocate=lambda gpus: room)


def probe() -> BatchSizeProbe:
    return BatchSizeProbe.objects.get()


def test_a_measurement_is_claimed_once_told_and_answered(
    experiment: Experiment, worker: int
) -> None:
    made = ask(experiment)
    assert claim(worker, room=None) is None, "no room"
    order = claim(worker)
    assert order is not None and order.id == made
    assert order.parameters["epochs"] == 60 and "batch_size" not in order.parameters
    assert claim(worker) is None
    who = {"probe_id": made, "worker_id": worker}
    assert batch_sizes.report(**who, rows=[ROW], host="h")
    assert (probe().state, probe().host) == ("running", "h")
    batch_sizes.finish(**who, rows=[ROW])
    assert probe().state == "done" and probe().ended.startswith("Take 8:")
    assert probe().finished_at is not None


def test_without_a_worker_nothing_is_queued_and_it_is_said(experiment: Experiment) -> None:
    with pytest.raises(Conflict, match="a worker that listens to the queue cpu; none does"):
        ask(experiment)
    assert not BatchSizeProbe.objects.exists()


def test_one_experiment_is_measured_once_at_a_time(experiment: Experiment, worker: int) -> None:
    ask(experiment)
    with pytest.raises(Conflict, match="are being measured already"):
        ask(experiment)


def test_only_editors_ask_and_cancel(experiment: Experiment, worker: int) -> None:
    for who, error in (("ben", NotAllowed), ("dan", NotFound)):
        with pytest.raises(error):
            ask(experiment, who)
    made = ask(experiment)
    with pytest.raises(NotAllowed):
        batch_sizes.cancel(access=cast.access("ben", experiment.project), probe_id=made)


def test_a_function_that_the_operator_does_not_list_is_refused(
    experiment: Experiment, worker: int
) -> None:
    with (
        override_settings(OBJECTIVES=["team"]),
        pytest.raises(VerdictError, match="not on the operator's list"),
    ):
        ask(experiment)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"parameter": ""}, "parameter"),
        ({"parameter": "a\x00"}, "parameter"),
        ({"first": 0}, "first"),
        ({"first": 128}, "largest"),
        ({"largest": 2**21}, "largest"),
        ({"steps": 1}, "steps"),
        ({"steps": 10**6}, "steps"),
    ],
)
def test_what_is_wrong_is_named(
    experiment: Experiment, worker: int, wrong: dict[str, Any], where: str
) -> None:
    with pytest.raises(VerdictError) as raised:
        ask(experiment, **wrong)
    assert [problem.where for problem in raised.value.problems] == [where]


def test_one_that_waits_is_cancelled_at_once_and_one_that_runs_is_told(
    experiment: Experiment, worker: int
) -> None:
    def cancel(number: int) -> None:
        batch_sizes.cancel(access=cast.access("cleo", experiment.project), probe_id=number)

    first = ask(experiment)
    cancel(first)
    assert probe().state == "cancelled" and claim(worker) is None
    with pytest.raises(Conflict, match="has ended already"):
        cancel(first)
    second = ask(experiment)
    assert claim(worker) is not None
    cancel(second)
    who = {"probe_id": second, "worker_id": worker}
    assert not batch_sizes.report(**who, rows=[ROW])
    batch_sizes.finish(**who, rows=[ROW])
    held = BatchSizeProbe.objects.get(pk=second)
    assert (held.state, held.ended) == ("cancelled", "Cancelled by cleo.")
    assert '"batch": 8' in held.rows, "what was measured stays"


def test_one_whose_worker_falls_silent_fails_and_its_late_words_change_nothing(
    experiment: Experiment, worker: int
) -> None:
    made = ask(experiment)
    claim(worker)
    BatchSizeProbe.objects.update(heartbeat_at=timezone.now() - dt.timedelta(minutes=2))
    batch_sizes.fail_silent(stale_after=dt.timedelta(minutes=1))
    assert (probe().state, probe().ended) == ("failed", "Its worker sent no heartbeat for 60 s.")
    assert not batch_sizes.report(probe_id=made, worker_id=worker)
    batch_sizes.finish(probe_id=made, worker_id=worker, rows=[ROW])
    assert probe().state == "failed"
    ask(experiment)  # and it can be asked for again


def test_a_worker_that_ends_hands_it_back_to_begin_anew(
    experiment: Experiment, worker: int
) -> None:
    made = ask(experiment)
    claim(worker)
    batch_sizes.report(probe_id=made, worker_id=worker, rows=[ROW])
    batch_sizes.hand_back(probe_id=made, worker_id=worker)
    assert (probe().state, probe().rows) == ("waiting", "[]")
    assert batch_sizes.is_waiting("cpu", most_gpus=0)
    assert claim(worker) is not None


def test_nothing_measured_is_a_failure_with_its_reason(
    experiment: Experiment, worker: int
) -> None:
    made = ask(experiment)
    claim(worker)
    failed = {**ROW, "examples_per_second": None, "ended": "failed", "reason": "no such layer"}
    batch_sizes.finish(probe_id=made, worker_id=worker, rows=[failed])
    assert probe().state == "failed" and "no such layer" in probe().ended
