from __future__ import annotations

import pytest

from experiments.design.trial_names import TrialReference, parse_trial_name
from experiments.models import Trial
from experiments.trials.table.queries.trial_detail import detail_of, find_trial, name_of
from tests import cast

pytestmark = pytest.mark.django_db


def test_the_name_of_a_trial_finds_it_again() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    replication = cast.repeated(experiment, looks=(3,), done=1)
    of_search = Trial.objects.filter(study__experiment=experiment, study__replication=None)
    replicates = Trial.objects.filter(study__replication=replication)
    for trial in [*of_search, *replicates]:
        reference = parse_trial_name(name_of(trial, 2))
        assert reference is not None
        found = find_trial(experiment, reference)
        assert found is not None and found.pk == trial.pk


def test_searched_scientific_and_fixed_values_are_told_apart() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=1)
    trial = find_trial(experiment, TrialReference(0, arm=1))
    assert trial is not None
    detail = detail_of(trial.pk, 2)
    sources = {row.name: row.source for row in detail.searched}
    assert sources["learning_rate"] == "searched"
    assert sources["label_smoothing"] == "scientific"
    assert sources["optimizer"] == "fixed"
    assert detail.commit.startswith("4f1c2e9")


def test_a_replicate_carries_its_whole_configuration() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    replication = cast.repeated(experiment, looks=(3,), done=1)
    trial = Trial.objects.filter(study__replication=replication).order_by("pk").first()
    assert trial is not None
    detail = detail_of(trial.pk, 2)
    assert detail.is_replicate and detail.pair == 1
    assert {"learning_rate", "dropout", "optimizer"} <= {row.name for row in detail.searched}


def test_a_running_trial_shows_its_latest_value() -> None:
    cast.project()
    study = cast.search().studies.first()
    assert study is not None
    trial = cast.running_trial(study)
    detail = detail_of(trial.pk, 2)
    assert (detail.state, detail.score) == ("running", trial.latest_value)
