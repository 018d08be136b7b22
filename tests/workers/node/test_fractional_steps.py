"""Steps between whole numbers, such as half epochs, from a training function to its readers."""

from __future__ import annotations

import csv
import io
import threading
from typing import Any

import pyarrow.parquet
import pytest

from experiments.models import Artifact, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.services import queue
from experiments.trials.series import series_files
from experiments.trials.series.queries import series, series_exports
from experiments.trials.series.series_encoding import encode
from tests import cast
from workers.node.runner import TrialRunner
from workers.search.asking import AskedTrial
from workers.search.storage import VerdictStorage
from workers.training.messages import Job, Outcome, Score, SeriesFlush

TOLD = [(0, 0.1), (0.5, 0.4), (1, 0.3), (1.5, 0.2)]
pytestmark = pytest.mark.django_db(transaction=True)


class _Reservation:
    """A place whose training logs at half epochs."""

    device = "cpu"

    def __init__(self) -> None:
        self.slot: Any = self

    def allocate(self, gpus: int) -> str:
        return self.device

    def run(self, job: Job, *, on_series: Any, **_: object) -> Outcome:
        score = Score(0.4, 0.5, 0.2, 1.5, 4)
        payload = encode([(step, 7, {"validation_accuracy": value}) for step, value in TOLD])
        names = ("validation_accuracy",)
        on_series(SeriesFlush(0, payload, 4, 0, 2, names, score))
        return Outcome("complete", score, names=names)


def test_half_epochs_are_four_points_with_their_best_step() -> None:
    cast.project()
    cast.search(trials_per_arm=1)
    runner = TrialRunner(worker_id=None, storage=VerdictStorage(), stopping=threading.Event())  # type: ignore[arg-type]
    try:
        assert runner.run_next("cpu", _Reservation())
    finally:
        runner.close()
    trial = Trial.objects.get(state=TrialState.COMPLETE)
    assert (trial.best_step, trial.latest_step) == (0.5, 1.5)
    columns = series.read([trial.pk])[trial.pk]["validation_accuracy"]
    assert list(zip(columns.steps.tolist(), columns.values.tolist(), strict=True)) == TOLD

    names = {trial.pk: "0"}
    assert series_exports.may_have_any_steps(names)
    table = b"".join(series_files.write(series_exports.exact(names, declared={}), "csv"))
    rows = csv.DictReader(io.StringIO(table.decode(), newline=""))
    assert [float(row["step"]) for row in rows] == [0, 0.5, 1, 1.5]
    table = b"".join(
        series_files.write(
            series_exports.exact(names, declared={}), "parquet", any_steps=lambda: True
        )
    )
    read = pyarrow.parquet.read_table(io.BytesIO(table))
    assert read["step"].to_pylist() == [0, 0.5, 1, 1.5]


def test_whole_steps_stay_whole_numbers_in_the_records() -> None:
    cast.project()
    trial = Trial.objects.filter(study__experiment=cast.finished_search(trials_per_arm=1))[0]
    Trial.objects.filter(pk=trial.pk).update(best_step=3, latest_step=2**53)
    found = Trial.objects.get(pk=trial.pk)
    assert (found.best_step, found.latest_step) == (3, 2**53)
    assert type(found.best_step) is int
    assert not series_exports.may_have_any_steps({trial.pk: "0"})
    file = Artifact.objects.create(trial=trial, kind="checkpoint", size=1, step=2.5)
    assert Artifact.objects.get(pk=file.pk).step == 2.5


def test_a_pruner_is_told_each_of_them_once() -> None:
    cast.project()
    cast.search(trials_per_arm=1)
    claim = queue.claim(queue="cpu", worker_id=None)
    assert claim is not None
    storage = VerdictStorage()
    asked = AskedTrial(storage, trial_spec.read(claim.trial_id))
    asked.parameters()
    for step, value in TOLD:
        asked.should_prune(step, value)
    reports = storage.get_trial(claim.trial_id).intermediate_values
    assert list(reports.values()) == [0.1, 0.4, 0.3, 0.2]
    assert list(reports) == sorted(reports)
