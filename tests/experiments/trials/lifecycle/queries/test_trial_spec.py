from __future__ import annotations

import pytest

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience
from experiments.models import Experiment, Trial
from experiments.models.replication import Replication
from experiments.trials.lifecycle.queries import trial_spec
from tests import cast

pytestmark = pytest.mark.django_db

RULE = "early_stopping: {patience: 7, min_delta: 0.001, rule: cumulative}\n"


def _searched(name: str, more: str) -> Experiment:
    source = cast.LABEL_SMOOTHING.format(name=name, goal=cast.GOAL, trials=3) + more
    experiment = cast.search(source=source)
    cast.finish_search(experiment)
    experiment.refresh_from_db()
    return experiment


def _of_both_sides(replication: Replication) -> list[trial_spec.TrialSpec]:
    trials = Trial.objects.filter(study__replication=replication, pair=0)
    found = [trial_spec.read(trial.pk) for trial in trials.order_by("study__side")]
    assert len(found) == 2
    return found


def test_both_arms_of_a_verdict_stop_early_by_the_same_rule() -> None:
    cast.project()
    replication = cast.repeated(_searched("patient", RULE), done=0)
    baseline, candidate = _of_both_sides(replication)
    assert baseline.parameters != candidate.parameters
    assert baseline.file.early_stopping == candidate.file.early_stopping
    held = EarlyStopping("validation_accuracy", True, Patience(7, 0.001, "cumulative"))
    assert candidate.file.early_stopping == held
    assert baseline.file.folds == candidate.file.folds


@pytest.mark.parametrize("more", ["", RULE])
def test_a_champion_found_under_another_rule_is_run_under_that_of_its_challenger(
    more: str,
) -> None:
    cast.project()
    cast.decided("champion", "adopt", "It is clearly better than what we had before.")
    replication = cast.repeated(_searched("challenger", more), done=0)
    baseline, candidate = _of_both_sides(replication)
    assert baseline.file.early_stopping == candidate.file.early_stopping
    assert (candidate.file.early_stopping is not None) is bool(more)


def test_every_arm_knows_how_many_dimensions_the_widest_searches() -> None:
    cast.project()
    wide = "  momentum: {role: nuisance, low: 0.8, high: 0.99, when: {label_smoothing: 0.1}}\n"
    source = cast.LABEL_SMOOTHING.format(name="widths", goal=cast.GOAL, trials=1)
    source = source.replace("hyperparameters:\n", f"hyperparameters:\n{wide}")
    experiment = cast.search(source=source)
    cast.finish_search(experiment, 1)
    trials = Trial.objects.filter(study__experiment=experiment).order_by("study__arm_index")
    found = [trial_spec.read(trial.pk) for trial in trials]
    widths = [len(spec.arm.searched) for spec in found]
    assert widths[1] == widths[0] + 1
    assert [spec.dimensions for spec in found] == [widths[1], widths[1]]


def test_a_replicate_is_neither_pruned_nor_ended_with_its_search() -> None:
    cast.project()
    search = _searched("pruned", "stop: {terminator: true}\n")
    trial = Trial.objects.filter(study__experiment=search).first()
    assert trial is not None
    searched = trial_spec.read(trial.pk)
    assert searched.file.terminator is not None
    for spec in _of_both_sides(cast.repeated(search, done=0)):
        assert (spec.file.pruner, spec.file.terminator) == ("none", None)
