"""What a worker needs to know to run the trial that it has claimed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from experiments import experiment_file
from experiments.analysis.early_stopping import EarlyStopping
from experiments.experiment_file import ExperimentFile
from experiments.fidelity import Fidelity
from experiments.grid import arm_grid
from experiments.metrics import Metric
from experiments.models import Trial
from experiments.queries.earlier_trials import ids_in
from experiments.search_methods import Chosen
from experiments.search_space import Arm, CodeAndData, Scalar
from experiments.trial_encoding import decode


@dataclass(frozen=True, slots=True)
class Assignment:
    """One claimed trial: what to train, where its parameters come from, what to watch.

    `parameters` are complete (fixed ones included) when they were fixed beforehand, else None:
    then `arm` says what the sampler draws. `grid` holds a grid's values by parameter, else
    nothing. `runs` holds the commit that the code must have, "" for any, and the data to train
    on. `budget` is the whole budget of a trial where there is a fidelity.
    """

    trial_id: int
    number: int
    attempt: int
    label: str
    project: str
    experiment_id: int
    experiment: str
    study_name: str
    kind: str
    objective: str
    official_metric: str
    direction: str
    metrics: Mapping[str, Metric]
    sampler: str
    sampler_options: Mapping[str, Any]
    pruner: str
    pruner_options: Mapping[str, Any]
    terminator: Chosen | None
    early_stopping: EarlyStopping | None
    fidelity: Fidelity | None
    budget: float | None
    folds: int
    grid: Mapping[str, tuple[Scalar, ...]]
    arm: Arm
    row: int | None
    parameters: Mapping[str, Any] | None
    train_seed: int
    split_seed: int
    search_seed: int
    runs: CodeAndData = field(default_factory=CodeAndData)
    arms_differ_in_data: bool = False
    dimensions: int = 0  # that the widest arm searches
    earlier_trials: tuple[int, ...] = ()  # of another experiment, for the sampler to learn from


@lru_cache(maxsize=128)
def _parsed(experiment_id: int, source: str) -> ExperimentFile:
    return experiment_file.parse(source)


def read(trial_id: int) -> Assignment:
    """Read the assignment of one trial. One query."""
    trial = Trial.objects.select_related(
        "study__experiment", "study__project", "configuration"
    ).get(pk=trial_id)
    study, experiment = trial.study, trial.study.experiment
    if experiment is None:
        raise ValueError(f"trial {trial_id} belongs to no experiment")
    file = _parsed(experiment.pk, experiment.source)
    arm = file.arms()[study.arm_index]
    replicate = study.kind == "replication"
    configuration = json.loads(trial.configuration.document) if trial.configuration else None
    parameters = _fixed_parameters(trial, arm, configuration)
    return Assignment(
        trial_id=trial.pk,
        number=trial.number,
        attempt=trial.attempt,
        label=f"{study.name}/{trial.number}",
        project=study.project.slug,
        experiment_id=experiment.pk,
        experiment=experiment.name,
        study_name=study.name,
        kind=study.kind,
        objective=configuration["objective"] if configuration else experiment.objective,
        official_metric=experiment.official_metric,
        direction=experiment.direction,
        metrics=file.metrics,
        sampler=file.sampler,
        sampler_options=file.sampler_options,
        # A replicate runs to its end: a pruned one would have no score.
        pruner="none" if replicate else file.pruner,
        pruner_options={} if replicate else file.pruner_options,
        terminator=None if replicate else file.terminator,
        # Replicates of both sides end by the same rule and have the same folds.
        early_stopping=_early_stopping(file, experiment.official_metric, experiment.direction),
        fidelity=file.fidelity,
        budget=_budget(file.fidelity, parameters),
        folds=file.folds,
        grid=arm_grid(arm, file.grid_points) if file.sampler == "grid" else {},
        arm=arm,
        row=trial.row,
        parameters=parameters,
        train_seed=trial.train_seed or 0,
        split_seed=trial.split_seed or 0,
        search_seed=trial.search_seed or 0,
        runs=_code_and_data(trial, arm, configuration) if replicate else arm.runs,
        arms_differ_in_data=_differ_in_data(file),
        dimensions=max(len(each.searched) for each in file.arms()),
        earlier_trials=() if replicate else ids_in(study.system_attributes),
    )


def _early_stopping(file: ExperimentFile, official: str, direction: str) -> EarlyStopping | None:
    """The experiment's rule with its metric named."""
    rule = file.early_stopping
    if rule is None or rule.metric not in ("", official):
        return rule
    return EarlyStopping(official, direction == "maximize", rule.patience)


def _budget(fidelity: Fidelity | None, parameters: Mapping[str, Any] | None) -> float | None:
    """The whole budget; a configuration from another experiment keeps the one it was found on."""
    if fidelity is None:
        return None
    found = (parameters or {}).get(fidelity.name, fidelity.high)
    return found if isinstance(found, (int, float)) else fidelity.high


def _differ_in_data(file: ExperimentFile) -> bool:
    return len({tuple(sorted(arm.runs.data.items())) for arm in file.arms()}) > 1


def _code_and_data(trial: Trial, arm: Arm, configuration: Mapping[str, Any] | None) -> CodeAndData:
    """What a replicate runs on: its configuration's data, and the commit if an arm asked for it.

    A configuration holds the commit that it was found with. Only where an arm named a commit is
    other code refused: elsewhere the champion of last month could never be run again.
    """
    if configuration is None:
        return arm.runs
    data = configuration.get("data") or {}
    origin = (
        Trial.objects.filter(
            configuration=trial.configuration,
            study__kind="search",
            study__experiment__isnull=False,
        )
        .select_related("study__experiment")
        .first()
    )
    if origin is None or origin.study.experiment is None:
        return CodeAndData("", data)
    held = origin.study.experiment
    found = _parsed(held.pk, held.source).arms()[origin.study.arm_index]
    return CodeAndData(configuration.get("commit", "") if found.runs.commit else "", data)


def _fixed_parameters(
    trial: Trial, arm: Arm, configuration: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    if configuration is not None:
        parameters: Mapping[str, Any] = configuration["parameters"]
        return parameters
    searched = decode(trial.parameters)
    if not searched and arm.searched:
        return None
    return arm.complete(searched)
