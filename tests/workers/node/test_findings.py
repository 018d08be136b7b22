from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from experiments.analysis.curves import trial_reading
from experiments.analysis.rules import RULES
from experiments.analysis.space.experiment_findings import diagnose_experiment
from experiments.design.queries import ended_trials
from experiments.design.queries.experiment_view import experiment_view
from experiments.models import Experiment, Finding, SeriesBatch, Trial, TrialReading
from experiments.models.trial import FailureKind, TrialState
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.series.lineage import Resumption, with_resumption
from tests import cast
from workers.node.findings import FindingsRecorder

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

WHOLE = {"optimizer": "adam", "epochs": 60}


def look_at_all(
    experiment: Experiment, findings_recorder: FindingsRecorder | None = None, seconds: float = 1e6
) -> None:
    """As if a worker had just finished every trial of a search."""
    findings_recorder = findings_recorder or FindingsRecorder()
    for trial in Trial.objects.filter(study__experiment=experiment).order_by("pk"):
        spec = trial_spec.read(trial.pk)
        parameters = {**WHOLE, **json.loads(trial.parameters)}
        findings_recorder.after_trial(spec, parameters, seconds=seconds, pruned=trial.state == 2)


@pytest.fixture(scope="module")
def made_experiment(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=9)


@pytest.fixture
def experiment(made_experiment: Experiment) -> Experiment:
    return copy.deepcopy(made_experiment)


def test_a_finished_trial_is_read_by_every_rule_whose_series_it_logged(
    experiment: Experiment,
) -> None:
    look_at_all(experiment)
    trial = Trial.objects.filter(study__experiment=experiment, state=1).first()
    assert trial is not None
    rules = set(Finding.objects.filter(trial=trial).values_list("rule", flat=True))
    assert rules >= {
        "divergence", "non_finite", "train_loss_rising", "overfitting", "best_checkpoint",
        "late_oscillation", "still_improving", "saturated", "loss_metric_divergence",
        "periodic_validation", "regular_evaluations", "early_instability_unseen",
        "gradient_spikes", "learning_rate_schedule", "input_bound",
    }  # fmt: skip


def test_rules_across_trials_follow_and_every_one_is_known(experiment: Experiment) -> None:
    look_at_all(experiment)
    own = Finding.objects.filter(experiment=experiment, trial__isnull=True)
    rules = set(own.values_list("rule", flat=True))
    assert rules <= set(RULES)
    assert rules >= {
        "boundary", "infeasible_share", "instability_edge", "density", "budget_pays",
        "overfitting", "late_oscillation", "train_loss_rising", "loss_metric_divergence",
        "fair_comparison", "best_of_unequal", "points_per_value", "one_example",
        "learning_rate_regime", "warmup", "unstable_above_best", "compute_bound", "best_step",
        "ready_to_exploit",
    }  # fmt: skip


def test_a_diverged_trial_is_told_though_it_has_no_score(experiment: Experiment) -> None:
    look_at_all(experiment)
    failed = Trial.objects.filter(study__experiment=experiment, state=3).first()
    assert failed is not None
    found = Finding.objects.get(trial=failed, rule="divergence")
    assert found.status == "fired" and found.severity == "problem"
    stored = trial_reading.from_document(TrialReading.objects.get(trial=failed).document)
    assert stored is not None and not stored.trained


def test_what_a_decision_rests_on_has_its_source_and_version(experiment: Experiment) -> None:
    look_at_all(experiment)
    for found in Finding.objects.filter(status="fired"):
        assert found.version >= 1 and found.title and found.detail
        assert found.meaning and found.advice and "Playbook" in found.section
        assert json.loads(found.evidence)


def test_looking_twice_changes_nothing(experiment: Experiment) -> None:
    look_at_all(experiment)
    before = list(Finding.objects.order_by("pk").values_list("pk", "status", "title"))
    look_at_all(experiment)
    assert list(Finding.objects.order_by("pk").values_list("pk", "status", "title")) == before


def test_a_rule_that_breaks_costs_its_group_only_and_is_logged(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("a rule of ours")

    monkeypatch.setattr("experiments.analysis.curves.trial_findings.gradient_spikes", broken)
    monkeypatch.setattr("experiments.analysis.space.experiment_findings.compute_bound", broken)
    with caplog.at_level(logging.ERROR, logger="workers.node.findings"):
        look_at_all(experiment)
    assert "a rule broke on trial" in caplog.text
    assert "a rule broke on experiment" in caplog.text
    rules = set(Finding.objects.values_list("rule", flat=True))
    assert "gradient_spikes" not in rules and "compute_bound" not in rules
    assert {"overfitting", "learning_rate_schedule", "boundary", "warmup"} <= rules


def test_reading_that_fails_altogether_never_reaches_the_worker(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no curves")

    monkeypatch.setattr("workers.node.findings.series.read", broken)
    look_at_all(experiment)
    assert "could not be made" in caplog.text
    assert not Finding.objects.filter(trial__isnull=False).exists()


def looks_across(
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
    findings_recorder: FindingsRecorder,
    seconds: float,
) -> int:
    """How often the rules across trials were applied."""
    views: list[object] = []

    def counted(*args: Any) -> object:
        views.append(experiment_view(*args))
        return views[-1]

    monkeypatch.setattr("workers.node.findings.experiment_view", counted)
    look_at_all(experiment, findings_recorder, seconds)
    return len(views)


def ticking(step: float) -> Callable[[], float]:
    """A clock that moves by the same amount at every look."""
    ticks: Iterator[int] = count()
    return lambda: step * next(ticks)


def test_rules_across_trials_are_applied_after_each_trial_that_takes_its_time(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = Trial.objects.count()
    assert looks_across(experiment, monkeypatch, FindingsRecorder(ticking(0.05)), 60.0) == trials


def test_where_trials_are_short_they_wait_and_follow_at_the_end(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings_recorder = FindingsRecorder(ticking(0.01))
    few = looks_across(experiment, monkeypatch, findings_recorder, 0.8)
    # Each trial earns 16 ms, of which its own look takes 10; one look across takes 10.
    assert 1 < few < Trial.objects.count()
    Finding.objects.filter(trial__isnull=True).delete()
    findings_recorder._budgets[experiment.pk].stale = True
    findings_recorder.after_search(experiment.pk)
    assert Finding.objects.filter(trial__isnull=True, rule="boundary").exists()


def test_replicates_are_scored_not_searched(experiment: Experiment) -> None:
    replication = cast.repeated(experiment, looks=(3,), done=3)
    replicate = Trial.objects.replicates_of(replication).first()
    assert replicate is not None
    spec = trial_spec.read(replicate.pk)
    FindingsRecorder().after_trial(spec, WHOLE, seconds=10.0, pruned=False)
    assert not Finding.objects.exists() and not TrialReading.objects.exists()


def test_an_experiment_is_read_the_same_from_stored_readings(experiment: Experiment) -> None:
    look_at_all(experiment)
    view = experiment_view(experiment.pk)
    assert view.rate_axis == "learning_rate" and len(view.rate_trials) == len(view.trials)
    assert view.max_train_steps == 60
    assert {axis.name for axis in view.axes} == {"learning_rate", "dropout", "hidden_units"}
    assert view.regulariser_swept and view.regulariser_is_scientific
    best = max(view.trials, key=lambda trial: trial.score if trial.feasible else -1)
    assert best.says("overfitting") is not None and 0 < best.fit < 1


def test_a_search_is_read_on_from_what_is_known_and_its_findings_are_those_of_the_whole(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_all(experiment)
    trials = Trial.objects.filter(study__experiment=experiment)
    states = dict(trials.order_by("pk").values_list("pk", "state"))
    order = [int(pk) for pk in np.random.default_rng(5).permutation(list(states))]
    readings = dict(TrialReading.objects.values_list("trial_id", "document"))
    trials.update(state=TrialState.RUNNING)
    TrialReading.objects.filter(trial_id=order[3]).delete()  # its reading comes late
    trials.filter(pk=order[3]).update(findings_due=True)
    trials.filter(pk=order[5]).update(failure_kind=FailureKind.LOST)
    read: list[int] = []

    def counted(*args: Any) -> Any:
        read.append(len(found := unknown(*args)))
        return found

    unknown = ended_trials._unknown
    monkeypatch.setattr(ended_trials, "_unknown", counted)
    cache = ended_trials.TrialCache()
    for turn, pk in enumerate(order):
        trials.filter(pk=pk).update(state=states[pk])
        if turn == 8:
            TrialReading.objects.create(trial_id=order[3], document=readings[order[3]])
        read.clear()
        with CaptureQueriesContext(connection) as asked:
            known = experiment_view(experiment.pk, cache)
        assert read == [1] and len(asked) <= 8
        whole = experiment_view(experiment.pk)
        assert repr(diagnose_experiment(known)) == repr(diagnose_experiment(whole))
        assert repr(known.trials) == repr(whole.trials)


def test_a_rate_that_changes_where_a_trial_was_taken_up_again_is_told() -> None:
    cast.project()
    experiment = cast.search(trials_per_arm=1)
    study = experiment.studies.order_by("arm_index")[0]
    trial = cast.finished_trial(study, 0, np.random.default_rng(1))
    rate = 1e-3 / np.arange(1, 61)
    for attempt, first, values in ((1, 1, rate[:30]), (2, 31, rate[30:] / 4)):
        series = {"learning_rate": values, "validation_accuracy": 1 - values}
        SeriesBatch.objects.filter(trial=trial, attempt=attempt).delete()
        cast.log(trial.pk, series, attempt=attempt, first_step=first)
    text = with_resumption("{}", 2, Resumption(30, 1))
    Trial.objects.filter(pk=trial.pk).update(attempt=2, resumed=text)
    look_at_all(experiment)
    found = Finding.objects.get(trial=trial, rule="learning_rate_schedule")
    assert found.status == "fired" and "resumed at step 31" in found.title
