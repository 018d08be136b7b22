"""What an experiment stores of its file is the whole file, exactly."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.db import connection
from django.test import Client

from experiments.design.document import experiment_file, experiment_yaml, presets
from experiments.errors import InvalidExperiment
from experiments.models import Experiment
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.services import queue
from tests import cast

EXAMPLES = sorted(Path("workers/problems/examples").glob("*.yaml"))
MIGRATION = importlib.import_module("experiments.migrations.0019_whole_documents")


def _stays_itself(text: str) -> None:
    file = experiment_file.parse(text)
    held = experiment_file.stored(experiment_file.as_document(file))
    assert cast.exactly(held) == cast.exactly(file)
    assert held.arms() == file.arms()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_comes_back_from_its_document_as_it_was(path: Path) -> None:
    _stays_itself(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", presets.all_presets(), ids=lambda preset: preset.name)
def test_every_preset_comes_back_from_its_document_as_it_was(preset: presets.Preset) -> None:
    document = experiment_yaml.load(cast.LABEL_SMOOTHING.format(name="p", goal="g", trials=30), [])
    change = preset.change(document)
    space = yaml.safe_load(change.whole) if change.whole else dict(change.entries)
    _stays_itself(yaml.safe_dump({**document, **change.extra, "hyperparameters": space}))


def test_everything_that_a_file_can_say_comes_back_from_its_document() -> None:
    _stays_itself(
        """
project: digits
experiment: everything
goal: Größer als früher?
compares: true
probe: true
objective: workers.problems.digits:train
commit: 4f1c2e9
data: {name: digits, version: 2}
arms: {before: {data: {name: digits, version: "1"}}, after: {commit: 9a0b1c2}}
metrics: {validation_loss: {official: true, direction: minimize, chance: 2}, "π": {kind: other}}
search:
  sampler: {name: tpe, n_startup_trials: 3}
  pruner: {name: patient, patience: 2, wrapped_pruner: {name: median}}
  trials: 7
  parallel: 3
  seed: 5
  split_seed: 6
early_stopping: {patience: 3, min_delta: 0.5, rule: consecutive}
fidelity: {name: epochs, min: 3, max: 81}
stop: {minutes: 5, terminator: {name: emmr, min_n_trials: 4}}
hyperparameters:
  z: {role: scientific, choices: [true, 1.0, null]}
  a: {role: nuisance, low: 1, high: 9, step: 2, natural: [low, high], when: {z: [true]}}
  b: {role: fixed, value: {by: z, "true": 1, "1": 1.0, "null": x}}
first: [{z: true, a: 3}]
tags: [one, two]
margin: 0
smallest_gain: 0.1
resources: {gpu: 2}
"""
    )


def test_what_a_program_described_has_no_file() -> None:
    with pytest.raises(InvalidExperiment, match="A program described"):
        experiment_file.stored('{"metrics": {}}')


def _refuse_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("YAML was read again")

    monkeypatch.setattr(experiment_yaml, "load", refuse)
    monkeypatch.setattr(experiment_yaml, "compose", refuse)


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["", "seeds/", "live/", "trials/A0/"])
def test_no_page_of_an_experiment_reads_yaml(
    page: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    client.force_login(cast.person("ada"))
    _refuse_yaml(monkeypatch)
    assert client.get(cast.address(experiment, page)).status_code == 200


@pytest.mark.django_db
def test_a_worker_reads_no_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    cast.project()
    cast.search("queued", trials_per_arm=1)
    _refuse_yaml(monkeypatch)
    claim = queue.claim(queue="cpu", worker_id=None)
    assert claim is not None
    assert trial_spec.read(claim.trial_id).file.sampler == "halton"


@pytest.mark.django_db
def test_the_migration_writes_the_document_of_every_file_and_touches_nothing_else() -> None:
    cast.project()
    kept = cast.search("kept", trials_per_arm=2)
    broken = cast.search("broken", trials_per_arm=2)
    before = kept.document
    Experiment.objects.filter(pk=kept.pk).update(document='{"folds": 0, "stop": {}}')
    Experiment.objects.filter(pk=broken.pk).update(source="project: [", document='{"folds": 3}')
    MIGRATION.write_documents(apps, SimpleNamespace(connection=connection))
    after = Experiment.objects.get(pk=kept.pk)
    assert (after.document, after.source) == (before, kept.source)
    assert Experiment.objects.get(pk=broken.pk).document == '{"folds": 3}'
