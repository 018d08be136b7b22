"""Checks of objectives as pages ask for them and workers answer."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from experiments.design.document import experiment_file
from experiments.design.queries.offers import offered
from experiments.errors import NotAllowed
from experiments.models import ObjectiveCheck, Worker
from experiments.trials.lifecycle.queries.objective_checks import ObjectiveReport
from experiments.trials.lifecycle.services import objective_checks, workers
from tests import cast

pytestmark = pytest.mark.django_db

FILE = experiment_file.parse(cast.LABEL_SMOOTHING.format(name="one", goal="Is it?", trials=4))
FOUND: dict[str, Any] = {"fault": "", "nearest": "", "log": "", "source": None}
SOURCE: dict[str, Any] = {
    "objective": FILE.objective,
    "summary": "",
    "hyperparameters": [],
    "metrics": ["validation_accuracy"],
    "logs_more": False,
}


def _worker(queues: tuple[str, ...] = ("cpu",), devices: tuple[str, ...] = ("cpu",)) -> int:
    return workers.register(
        name="node", host="here", pid=1, queues=queues, slots=1, devices=devices
    )


def _check(who: str = "cleo", **more: Any) -> ObjectiveReport:
    return objective_checks.check(access=cast.access(who), file=FILE, **more)


def _answer(**found: Any) -> None:
    worker = Worker.objects.get()
    asked = objective_checks.claim(queues=("cpu",), worker_id=worker.pk, most_gpus=0)
    assert asked is not None and asked.objective == FILE.objective
    objective_checks.answer(check_id=asked.id, found={**FOUND, **found})


def test_an_objective_is_pending_until_a_worker_has_imported_it() -> None:
    cast.project()
    _worker()
    assert _check().state == "pending" and _check().state == "pending"
    assert ObjectiveCheck.objects.count() == 1, "asked once"
    _answer(source=SOURCE)
    report = _check()
    assert (report.state, report.worker) == ("passed", "node")


def test_what_a_worker_found_wrong_is_told_with_the_nearest_name() -> None:
    cast.project()
    _worker()
    _check()
    _answer(fault="no module team.digts", nearest="team.digits:train", log="Traceback")
    report = _check()
    assert (report.state, report.message) == ("failed", "no module team.digts")
    assert (report.nearest, report.log) == ("team.digits:train", "Traceback")


def test_an_objective_that_never_logs_the_official_metric_has_failed() -> None:
    cast.project(official_metric="rmse", direction="minimize")
    _worker()
    _check()
    _answer(source=SOURCE)
    assert _check().message == (
        "it never logs rmse, the official metric; it logs validation_accuracy"
    )


@pytest.mark.parametrize(
    ("state", "names", "reason", "said"),
    [
        ("done", ["validation_accuracy", "loss"], "", ("passed", ("validation_accuracy", "loss"))),
        ("failed", ["loss"], "validation_accuracy was never logged; names seen: loss",
         ("unchecked", ())),
        ("failed", ["loss"], "out of memory", ("passed", ())),
        ("cancelled", ["loss"], "", ("passed", ())),
    ],
)  # fmt: skip
def test_metrics_of_a_dry_run_go_before_those_of_the_source_where_names_are_computed(
    state: str, names: list[str], reason: str, said: tuple[str, tuple[str, ...]]
) -> None:
    project = cast.project()
    _worker()
    ObjectiveCheck.objects.create(
        project=project,
        asked_by=cast.person("cleo"),
        objective=FILE.objective,
        queue="cpu",
        document="{}",
        state=state,
        answer=json.dumps({"names": names, "reason": reason}),
    )
    _check()
    _answer(source={**SOURCE, "metrics": ["f1"], "logs_more": True})
    report = _check()
    assert (report.state, report.logged) == said
    if report.state == "unchecked":
        assert "did not log validation_accuracy, the official metric; it logged loss" in (
            report.message
        )


def test_a_queue_without_a_worker_leaves_the_objective_unchecked() -> None:
    cast.project()
    _worker(queues=("gpu",))
    report = _check()
    assert report.state == "unchecked" and "the queue cpu; none does" in report.message
    assert not ObjectiveCheck.objects.exists()


def test_only_editors_have_code_imported() -> None:
    cast.project()
    _worker()
    with pytest.raises(NotAllowed):
        _check("ben")


def test_an_answer_that_does_not_come_is_no_green_light() -> None:
    cast.project()
    _worker()
    _check()
    ObjectiveCheck.objects.update(created_at=timezone.now() - dt.timedelta(seconds=50))
    assert _check().state == "unchecked"


def test_a_report_is_asked_for_again_after_a_minute() -> None:
    cast.project()
    _worker()
    _check()
    _answer()
    ObjectiveCheck.objects.update(created_at=timezone.now() - dt.timedelta(minutes=2))
    assert _check().state == "pending"


def test_questions_that_nobody_has_taken_give_way_to_the_next() -> None:
    cast.project()
    _worker()
    _check()
    other = experiment_file.parse(
        cast.LABEL_SMOOTHING.format(name="two", goal="Is it?", trials=4).replace(":train", ":fit")
    )
    objective_checks.check(access=cast.access("cleo"), file=other)
    assert ObjectiveCheck.objects.get().objective == "workers.problems.digits:fit"


def test_a_question_goes_to_a_node_with_enough_gpus() -> None:
    cast.project()
    _worker(devices=("cuda:0", "cuda:1"))
    text = cast.LABEL_SMOOTHING.format(name="two", goal="Is it?", trials=4)
    file = experiment_file.parse(f"{text}queue: cpu\nresources: {{gpu: 2}}\n")
    objective_checks.check(access=cast.access("cleo"), file=file)
    few = objective_checks.claim(queues=("cpu",), worker_id=1, most_gpus=1)
    assert few is None and objective_checks.any_waiting(("cpu",))


def test_a_command_is_not_said_to_be_checked() -> None:
    cast.project()
    _worker()
    text = cast.LABEL_SMOOTHING.format(name="two", goal="Is it?", trials=4)
    file = experiment_file.parse(
        text.replace("objective: workers.problems.digits:train", "command: train")
    )
    report = objective_checks.check(access=cast.access("cleo"), file=file)
    assert report.state == "unchecked" and "not imported" in report.message


def test_offers_are_those_of_living_workers_that_the_operator_allows() -> None:
    cast.project()
    node = _worker()
    offers = [SOURCE, {**SOURCE, "objective": "secret:train"}, {"of": "another version"}]
    workers.offer(worker_id=node, offers=json.dumps(offers))
    assert [offer.objective for offer in offered()] == [FILE.objective]
    workers.deregister(worker_id=node)
    assert offered() == ()
