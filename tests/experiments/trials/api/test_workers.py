from __future__ import annotations

import pytest
from django.utils import timezone

from experiments.models import Project, Trial, Worker
from experiments.models.trial import TrialState
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db


def test_workers_and_queues_are_told_and_what_runs_to_whoever_may_see_it() -> None:
    digits = cast.project()
    cast.project("speech")
    experiment = cast.running_search("r", done=1)
    now = timezone.now()
    node = Worker.objects.create(
        name="n1", host="n1", pid=1, queues="cpu gpu", started_at=now, heartbeat_at=now
    )
    running = Trial.objects.filter(study__experiment=experiment, state=TrialState.RUNNING)
    running.update(worker=node)
    told = Program("ben").get("/api/v1/workers")
    [worker] = told["workers"]
    assert (worker["name"], worker["state"], worker["queues"]) == ("n1", "alive", ["cpu", "gpu"])
    assert {job["experiment"] for job in worker["running"]} == {"r"}
    assert [queue["name"] for queue in told["queues"]].count("cpu") == 1
    speech = Program("cleo", project=Project.objects.get(slug="speech"), scopes=("read",))
    for program in (Program("dan"), speech):
        [worker] = program.get("/api/v1/workers")["workers"]
        assert len(worker["running"]) == running.count()
        assert {job["experiment"] for job in worker["running"]} == {""}
    bound = Program("cleo", project=digits, scopes=("read",))
    [worker] = bound.get("/api/v1/workers")["workers"]
    assert {job["experiment"] for job in worker["running"]} == {"r"}


def test_what_was_measured_of_batch_sizes_is_told() -> None:
    cast.project()
    assert Program("ben").get(f"{HERE}/batch-sizes") == {"measurements": []}
    assert Program("dan").ask("GET", f"{HERE}/batch-sizes")[0] == 404


def test_the_log_is_read_whole_and_narrowed() -> None:
    cast.project()
    cast.decided("d", "adopt", "It pays well.")
    reader = Program("ben")
    assert reader.get(f"{HERE}/decisions?q=pays&choice=adopt")["total"] == 1
    assert reader.get(f"{HERE}/decisions?q=costs")["total"] == 0
    assert reader.get(f"{HERE}/decisions?choice=reject")["total"] == 0
    status, lines = reader.ask("GET", f"{HERE}/decisions.jsonl")
    assert status == 200 and lines.count("\n") == 1 and '"evidence"' in lines
    assert Program("dan").ask("GET", f"{HERE}/decisions.jsonl")[0] == 404
