"""A probe on a worker node: its runs are claimed, trained and looked at, and its edge is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings

from experiments.models import EdgeProbe, Experiment, Finding, Trial
from experiments.models.trial import StudyKind
from experiments.trials.lifecycle.queries.search_progress import progress_of
from experiments.trials.lifecycle.services import edge_probes
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until
from workers.node.runner import TrialRunner
from workers.search.storage import VerdictStorage
from workers.training.messages import Job, Outcome, Score

pytestmark = pytest.mark.django_db(transaction=True)


class _Slot:
    """A place where training gives the score of `cast.rising`."""

    device = "cpu"

    def __init__(self) -> None:
        self.slot: Any = self

    def allocate(self, gpus: int) -> str:
        return self.device

    def run(self, job: Job, **_: object) -> Outcome:
        value = cast.rising(dict(job.params), job.train_seed)
        score = Score(value=value, best_step=1, last_value=value, last_step=1, evaluations=1)
        return Outcome("complete", score, seconds=1.0)


@pytest.fixture
def runner() -> Iterator[TrialRunner]:
    made = TrialRunner(worker_id=None, storage=VerdictStorage(), stopping=threading.Event())  # type: ignore[arg-type]
    yield made
    made.close()


def run_all(runner: TrialRunner) -> int:
    slot = _Slot()
    return sum(1 for _ in iter(lambda: runner.run_next("cpu", slot), False))


def said(experiment: Experiment) -> dict[str, str]:
    rows = Finding.objects.filter(experiment=experiment, subject="learning_rate:high")
    return dict(rows.values_list("rule", "status"))


def test_a_worker_runs_a_probe_to_its_word_on_the_edge(runner: TrialRunner) -> None:
    cast.project()
    experiment = cast.searched_rates()
    access = cast.access("cleo")
    edge_probes.ask(access=access, experiment=experiment, subjects=["learning_rate:high"])
    assert run_all(runner) == 15
    assert EdgeProbe.objects.get().state == "done"
    assert said(experiment) == {"edge_probe": "fired"}
    experiment.refresh_from_db()
    assert experiment.derived_count == 24, "nothing is owed"


def test_a_search_whose_file_says_so_is_probed_when_its_last_trial_has_ended(
    runner: TrialRunner,
) -> None:
    cast.project()
    experiment = cast.search(source=cast.rates_file(count=24, probe=True))
    assert run_all(runner) >= 24 + 15
    experiment.refresh_from_db()
    assert (experiment.state, experiment.trial_count) == ("finished", 24)
    assert progress_of(experiment.pk).done == 24
    (probe,) = EdgeProbe.objects.all()
    assert (probe.state, probe.asked_by) == ("done", None)
    assert said(experiment)["edge_probe"] == "fired"


def test_a_worker_process_ends_a_probe_by_itself(
    start_worker: Callable[..., WorkerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["tests.workers"])
    cast.project()
    objective = "tests.workers.training_functions:improves_with_the_rate"
    experiment = cast.search(source=cast.rates_file(count=20, probe=True, objective=objective))
    worker = start_worker()
    wait_until(lambda: EdgeProbe.objects.filter(state="done").exists(), worker=worker)
    wait_until(lambda: "edge_probe" in said(experiment), worker=worker)
    assert said(experiment)["edge_probe"] == "fired"
    runs = Trial.objects.filter(study__kind=StudyKind.PROBE)
    assert {trial.failure_reason for trial in runs} == {""}
