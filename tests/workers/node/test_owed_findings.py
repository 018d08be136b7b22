from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection, connections, transaction
from django.test import Client
from django.utils import timezone

from experiments.models import (
    Experiment,
    Finding,
    LatestMetric,
    ParameterImportance,
    Project,
    Trial,
    TrialReading,
)
from experiments.trials.findings.queries.findings_due import due_trials
from experiments.trials.lifecycle.services import run_ends, runs
from experiments.trials.series.logged_points import LoggedPoints
from experiments.trials.series.queries import series
from experiments.trials.series.services import metric_summaries
from experiments.trials.series.services.series import append_next
from tests import cast
from tests.waiting import wait_until
from workers.node import findings as node_findings
from workers.node import importance, owed_findings
from workers.node.findings import TRIES, FindingsRecorder

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return cast.project()


def due() -> list[int]:
    """Trials whose findings are owed by now."""
    silence = dt.timedelta(seconds=settings.STALE_AFTER_SECONDS)
    return [trial.trial_id for trial in due_trials(99, silence=silence)]


def a_run(project: Project, *, overfits: bool, end: bool = True) -> int:
    """A run whose validation loss turns in the middle, or does not."""
    made = runs.create(
        access=cast.access("cleo", project),
        new=runs.NewRun(experiment="outside", params={"learning_rate": 0.1}),
    )
    calls = []
    for step in range(1, 61):
        turn = 0.02 * max(0, step - 25) if overfits else 0.0
        values = {
            "train_loss": 1.0 / step,
            "validation_loss": 0.2 + 1.0 / step + turn,
            "validation_accuracy": 0.9 - 0.5 / step - turn / 4,
        }
        calls.append((step, 1_700_000_000_000 + 1000 * step, values))
    logged = LoggedPoints(calls=calls, points=3 * len(calls))
    runs.log(run_id=made.run_id, official_metric="validation_accuracy", batch=0, logged=logged)
    if end:
        run_ends.finish(run_id=made.run_id, state="complete")
    return made.run_id


def test_a_run_from_outside_gets_the_findings_of_its_curves(project: Project) -> None:
    turned, sound = a_run(project, overfits=True), a_run(project, overfits=False)
    going_on = a_run(project, overfits=True, end=False)
    assert owed_findings.derive_due(FindingsRecorder()) == 2
    found = Finding.objects.filter(rule="overfitting", status="fired")
    assert [trial.trial_id for trial in found] == [turned]
    assert not Finding.objects.filter(trial=going_on).exists()
    assert Finding.objects.filter(trial=sound).exists()


def test_each_run_is_read_once_the_oldest_first(project: Project) -> None:
    ids = [a_run(project, overfits=False) for _ in range(3)]
    assert [
        owed_findings.derive_due(FindingsRecorder(), 2),
        owed_findings.derive_due(FindingsRecorder(), 2),
        owed_findings.derive_due(FindingsRecorder(), 2),
    ] == [2, 1, 0]
    read = TrialReading.objects.order_by("trial").values_list("trial_id", flat=True)
    assert list(read) == ids


def test_a_rule_that_breaks_costs_its_run_only_and_is_not_tried_for_ever(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = a_run(project, overfits=True), a_run(project, overfits=False)
    read = owed_findings.derive_trial

    def breaks(run: object, *rest: object) -> bool:
        if getattr(run, "trial_id", 0) == broken:
            raise ZeroDivisionError
        return read(run, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(owed_findings, "derive_trial", breaks)
    findings_recorder = FindingsRecorder()
    assert owed_findings.derive_due(findings_recorder) == 2
    assert due() == [broken]
    assert {finding.trial_id for finding in Finding.objects.all()} == {sound}
    for _ in range(TRIES - 1):
        assert owed_findings.derive_due(findings_recorder) == 1
    assert due() == [] and owed_findings.derive_due(findings_recorder) == 0
    told = Finding.objects.get(trial=broken)
    assert (told.rule, told.status) == ("rules-broke", "fired")
    assert told.title == "Rules could not be applied: ZeroDivisionError"
    ben = Client()
    ben.force_login(cast.person("ben"))
    page = ben.get("/projects/digits/experiments/outside/trials/0/")
    assert told.title in page.content.decode()


def test_what_breaks_once_is_made_at_the_next_try(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(project, overfits=True)
    findings_recorder = FindingsRecorder()
    with monkeypatch.context() as patch:
        patch.setattr(owed_findings, "derive_trial", lambda *_: 1 / 0)
        owed_findings.derive_due(findings_recorder)
    assert due() == [run]
    owed_findings.derive_due(findings_recorder)
    assert due() == [] and Finding.objects.filter(trial=run, rule="overfitting").exists()
    assert not Finding.objects.filter(rule="rules-broke").exists()


def test_findings_across_trials_that_break_are_owed_for_a_few_tries_and_then_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = cast.finished_search(trials_per_arm=3)
    Experiment.objects.update(active_at=timezone.now() - dt.timedelta(hours=1))
    Trial.objects.update(findings_due=False)
    findings_recorder = FindingsRecorder()
    with monkeypatch.context() as patch:
        patch.setattr(node_findings, "diagnose_experiment", breaking)
        for _ in range(TRIES - 1):
            assert owed_findings.derive_due(findings_recorder) == 1
        assert not Finding.objects.filter(rule="rules-broke").exists()
        assert owed_findings.derive_due(findings_recorder) == 1
    assert owed_findings.derive_due(findings_recorder) == 0
    assert Finding.objects.get(experiment=experiment, rule="rules-broke").status == "fired"
    findings_recorder.derive_again(experiment.pk)
    assert Finding.objects.get(experiment=experiment, rule="rules-broke").status == "passed"


def test_tries_that_broke_long_before_a_success_are_not_counted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = cast.finished_search(trials_per_arm=1)
    Trial.objects.update(findings_due=True)
    findings_recorder = FindingsRecorder()
    for _ in range(TRIES):
        with monkeypatch.context() as patch:
            patch.setattr(owed_findings, "derive_trial", lambda *_: 1 / 0)
            patch.setattr(node_findings, "diagnose_experiment", breaking)
            owed_findings.derive_due(findings_recorder)
            assert not findings_recorder.derive_again(experiment.pk)
        owed_findings.derive_due(findings_recorder)
        assert findings_recorder.derive_again(experiment.pk)
        Trial.objects.update(findings_due=True)
    assert not Finding.objects.filter(rule="rules-broke", status="fired").exists()


def test_one_rule_that_breaks_is_told_beside_what_the_others_saw(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(project, overfits=True)
    monkeypatch.setattr("experiments.analysis.curves.trial_findings._of_time", breaking)
    assert owed_findings.derive_due(FindingsRecorder()) == 1
    assert due() == []
    fired = set(Finding.objects.filter(trial=run, status="fired").values_list("rule", flat=True))
    assert {"overfitting", "rules-broke"} <= fired


def breaking(*_: object) -> Iterator[Any]:
    """A group of rules that breaks as soon as its results are asked for."""
    yield 1 / 0


def test_trials_of_our_workers_are_left_to_them_until_their_worker_has_been_silent(
    project: Project,
) -> None:
    cast.finished_search(trials_per_arm=2)
    Trial.objects.update(finished_at=timezone.now())
    assert due() == []
    Trial.objects.update(finished_at=timezone.now() - dt.timedelta(hours=1))
    assert due() == list(Trial.objects.order_by("pk").values_list("pk", flat=True))


def test_a_search_whose_worker_died_after_the_result_gets_all_that_follows_from_it(
    project: Project,
) -> None:
    experiment = cast.finished_search(trials_per_arm=12)
    Experiment.objects.update(active_at=timezone.now() - dt.timedelta(hours=1))
    findings_recorder = FindingsRecorder()
    while owed_findings.derive_due(findings_recorder, 9):
        pass
    assert due() == []
    assert TrialReading.objects.count() == Trial.objects.count() == 24
    across = Finding.objects.filter(experiment=experiment, trial=None)
    assert across.filter(rule="boundary").exists()
    held = ParameterImportance.objects.get(experiment=experiment)
    experiment.refresh_from_db()
    assert held.trials == experiment.complete_count
    assert experiment.derived_count == experiment.trial_count


def test_findings_that_come_late_are_followed_by_those_across_trials(project: Project) -> None:
    experiment = cast.finished_search(trials_per_arm=3)
    Experiment.objects.update(
        active_at=timezone.now() - dt.timedelta(hours=1), derived_count=experiment.trial_count
    )
    Trial.objects.exclude(pk=experiment.best_trial_id).update(findings_due=False)
    findings_recorder = FindingsRecorder()
    assert [
        owed_findings.derive_due(findings_recorder),
        owed_findings.derive_due(findings_recorder),
    ] == [1, 1]
    assert owed_findings.derive_due(findings_recorder) == 0
    assert Finding.objects.filter(experiment=experiment, trial=None).exists()


def test_a_database_that_goes_away_meanwhile_leaves_them_owed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = cast.finished_search(trials_per_arm=12)
    Experiment.objects.update(active_at=timezone.now() - dt.timedelta(hours=1))
    Trial.objects.update(findings_due=False)

    def away(*_: object) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(importance, "compute", away)
        patch.setattr(importance, "close_old_connections", lambda: None)  # the test's own
        assert owed_findings.derive_due(FindingsRecorder()) == 1
    experiment.refresh_from_db()
    assert experiment.derived_count == 0
    assert owed_findings.derive_due(FindingsRecorder()) == 1
    experiment.refresh_from_db()
    assert experiment.derived_count == experiment.trial_count


def test_a_search_that_goes_on_is_left_to_its_workers(project: Project) -> None:
    cast.running_search(done=3)
    Experiment.objects.update(active_at=timezone.now() - dt.timedelta(hours=1))
    Trial.objects.update(findings_due=False)
    assert owed_findings.derive_due(FindingsRecorder()) == 0


def test_metrics_that_cannot_be_read_hold_up_no_heartbeat(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_run(project, overfits=False)
    owed_findings.derive_due(FindingsRecorder())
    Trial.objects.update(metrics_due=True)

    def breaks(ids: list[int], **more: Any) -> Any:
        raise ValueError("corrupt")

    monkeypatch.setattr(series, "read", breaks)
    assert owed_findings.derive_due(FindingsRecorder()) == 1
    assert owed_findings.derive_due(FindingsRecorder()) == 0
    assert not Trial.objects.filter(metrics_due=True).exists()


def test_a_summary_of_an_older_curve_takes_no_later_point_away(project: Project) -> None:
    trial = a_run(project, overfits=False)
    columns = series.read([trial])[trial]

    def summarise() -> None:
        metric_summaries.summarise(
            trial_id=trial, columns=columns, official_metric="", direction="maximize"
        )

    summarise()
    later = LatestMetric.objects.filter(trial=trial).order_by("pk")[0]
    LatestMetric.objects.filter(pk=later.pk).update(value=0.125, step=10_000, highest=1e9)
    summarise()
    later.refresh_from_db()
    assert (later.value, later.step, later.highest) == (0.125, 10_000, 1e9)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
def test_a_client_that_logs_to_an_ended_run_while_a_worker_reads_it_is_no_deadlock() -> None:
    trial = Trial.objects.select_related("study").get(pk=a_run(cast.project(), overfits=True))
    assert trial.study.experiment_id is not None
    later = [(99, 1_700_000_100_000, {"validation_accuracy": 0.5})]
    failed: list[Exception] = []

    def read() -> None:
        try:
            owed_findings.derive_due(FindingsRecorder())
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    worker = threading.Thread(target=read)
    with transaction.atomic():  # the order in which the service of MLflow's clients locks
        Experiment.objects.select_for_update().get(pk=trial.study.experiment_id)
        worker.start()
        wait_until(_somebody_waits_for_a_lock)
        append_next(trial_id=trial.pk, calls=later, heard_at=timezone.now())
    worker.join()
    assert not failed
    assert LatestMetric.objects.get(trial=trial, name="validation_accuracy").step == 99
    assert Finding.objects.filter(trial=trial).exists()


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
