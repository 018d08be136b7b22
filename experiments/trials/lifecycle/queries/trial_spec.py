"""Specification of a claimed trial for the worker that runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection

from experiments.design.document import commands, experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.fidelity import Fidelity
from experiments.design.document.grid import arm_grid
from experiments.design.metrics import Metric
from experiments.design.queries.earlier_trials import ids_in
from experiments.design.space.search_space import Arm, CodeAndData, Scalar
from experiments.errors import NotFound
from experiments.models import Experiment, Trial
from experiments.models.trial import Side
from experiments.models.trial_encoding import decode


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One claimed trial: what to train, where its parameters come from, what to watch.

    `file` is the experiment's: as it was written for a trial of a search; for a replicate or a
    probe without what would end it before its time. Its early stopping names its metric.
    `parameters` are complete (fixed ones included) when they were fixed beforehand, else None:
    then `arm` says what the sampler draws. `grid` holds a grid's values by parameter, else
    nothing. `runs` holds the commit that the code must have, "" for any, and the data to train
    on. `experiment_code` is the digest of what the experiment's last trial ran; `lacks_code`: its
    configuration was fixed before any code was known. `budget` is the whole budget of a trial
    where there is a fidelity.
    """

    trial_id: int
    number: int
    attempt: int
    label: str
    project: str
    experiment_id: int
    experiment: str
    study_id: int
    study_name: str
    kind: str
    objective: str
    official_metric: str
    direction: str
    file: ExperimentFile
    budget: float | None
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
    experiment_code: str = ""
    lacks_code: bool = False

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return self.file.metrics


class _Row(NamedTuple):
    """A trial with what may change about what it belongs to."""

    number: int
    attempt: int
    row: int | None
    parameters: str
    train_seed: int | None
    split_seed: int | None
    search_seed: int | None
    configuration_id: int | None
    configuration: str | None
    study_id: int
    study: str
    kind: str
    arm_index: int
    study_attributes: str
    project: str
    experiment_id: int | None
    experiment: str
    objective: str
    official_metric: str
    direction: str
    created_at: object
    experiment_code: str
    side: str


_SELECT = """
SELECT t.number, t.attempt, t."row", t.parameters, t.train_seed, t.split_seed, t.search_seed,
    t.configuration_id, c.document, s.id, s.name, s.kind, s.arm_index, s.system_attributes,
    p.slug, e.id, e.name, e.objective, e.official_metric, e.direction, e.created_at, e.code, s.side
FROM experiments_trial t
JOIN experiments_study s ON s.id = t.study_id
JOIN experiments_project p ON p.id = s.project_id
LEFT JOIN experiments_experiment e ON e.id = s.experiment_id
LEFT JOIN experiments_configuration c ON c.id = t.configuration_id
WHERE t.id = %s
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Constants from an experiment's file; they never change."""

    file: ExperimentFile
    unpruned: ExperimentFile
    arms: tuple[Arm, ...]
    arms_differ_in_data: bool


@lru_cache(maxsize=128)
def _asked(experiment_id: int, created_at: object) -> _Asked:
    """Read once. The time tells apart what a restored database numbers alike."""
    columns = ("document", "official_metric", "direction")
    document, official, direction = Experiment.objects.values_list(*columns).get(pk=experiment_id)
    file = experiment_file.stored(document)
    # Replicates of both sides end by the same rule and have the same folds.
    file = replace(file, early_stopping=file.stopping_rule(official, direction))
    # Replicates and probes run to their end: a pruned one would have no score.
    unpruned = replace(file, pruner="none", pruner_options={}, terminator=None)
    arms = tuple(file.arms())
    data = {tuple(sorted(arm.runs.data.items())) for arm in arms}
    return _Asked(file, unpruned, arms, len(data) > 1)


def read(trial_id: int) -> TrialSpec:
    """Read the assignment of one trial. One query, and one more for the first of an experiment.

    Raises:
        NotFound: when there is no such trial.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SELECT, [trial_id])
        found = cursor.fetchone()
    if found is None:
        raise NotFound(f"There is no trial with id {trial_id}.")
    row = _Row(*found)
    if row.experiment_id is None:
        raise ValueError(f"trial {trial_id} belongs to no experiment")
    asked = _asked(row.experiment_id, row.created_at)
    arm = asked.arms[row.arm_index]
    replicate = row.kind == "replication"
    searches = row.kind == "search"
    file = asked.file if searches else asked.unpruned
    configuration = json.loads(row.configuration) if row.configuration else None
    parameters = _fixed_parameters(row.parameters, arm, configuration)
    return TrialSpec(
        trial_id=trial_id,
        number=row.number,
        attempt=row.attempt,
        label=f"{row.study}/{row.number}",
        project=row.project,
        experiment_id=row.experiment_id,
        experiment=row.experiment,
        study_id=row.study_id,
        study_name=row.study,
        kind=row.kind,
        objective=configuration["objective"] if configuration else row.objective,
        official_metric=row.official_metric,
        direction=row.direction,
        file=file,
        budget=_budget(file.fidelity, parameters),
        grid=arm_grid(arm, file.grid_points) if file.sampler == "grid" else {},
        arm=arm,
        row=row.row,
        parameters=parameters,
        train_seed=row.train_seed or 0,
        split_seed=row.split_seed or 0,
        search_seed=row.search_seed or 0,
        runs=_code_and_data(row, arm, configuration) if replicate else arm.runs,
        arms_differ_in_data=asked.arms_differ_in_data,
        dimensions=max(len(other.searched) for other in asked.arms),
        earlier_trials=ids_in(row.study_attributes) if searches else (),
        experiment_code=row.experiment_code,
        lacks_code=replicate and not (configuration or {}).get("code"),
    )


def _budget(fidelity: Fidelity | None, parameters: Mapping[str, Any] | None) -> float | None:
    """The whole budget; a configuration from another experiment keeps the one it was found on."""
    if fidelity is None:
        return None
    found = (parameters or {}).get(fidelity.name, fidelity.high)
    return found if isinstance(found, (int, float)) else fidelity.high


def _code_and_data(row: _Row, arm: Arm, configuration: Mapping[str, Any] | None) -> CodeAndData:
    """Code and data of a replicate: its configuration's data, the commit if an arm names one.

    Only where an arm named a commit is other code refused: elsewhere the champion of last month
    could never be run again, and the verdict tells which code ran.
    """
    if configuration is None or row.configuration_id is None:
        return arm.runs
    data = configuration.get("data") or {}
    if commands.name_of(configuration["objective"]) is not None:
        return CodeAndData(configuration.get("commit", ""), data)
    origin = (
        Trial.objects.filter(
            configuration_id=row.configuration_id,
            study__kind="search",
            study__experiment__isnull=False,
        )
        .select_related("study__experiment")
        .first()
    )
    if origin is None or origin.study.experiment is None:  # a baseline that begins a project
        return CodeAndData(arm.runs.commit if row.side == Side.CANDIDATE else "", data)
    source = origin.study.experiment
    found = _asked(source.pk, source.created_at).arms[origin.study.arm_index]
    return CodeAndData(found.runs.commit, data)


def _fixed_parameters(
    text: str, arm: Arm, configuration: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    if configuration is not None:
        parameters: Mapping[str, Any] = configuration["parameters"]
        return parameters
    searched = decode(text)
    if not searched and arm.searched:
        return None
    return arm.complete(searched)
