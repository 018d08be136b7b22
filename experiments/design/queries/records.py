"""Frozen records of experiments, trials, replications: they hold columns, and cannot query."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from experiments.models import (
    Configuration,
    Environment,
    Experiment,
    Replication,
    Study,
    Trial,
)
from experiments.models.replication import PickedRuns


@dataclass(frozen=True, slots=True)
class StudyRecord:
    pk: int
    experiment_id: int | None
    kind: str
    side: str
    arm_index: int
    arm: str


@dataclass(frozen=True, slots=True)
class ConfigurationRecord:
    pk: int
    digest: str
    document: str


@dataclass(frozen=True, slots=True)
class EnvironmentRecord:
    pk: int
    document: str


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """Columns of a trial, as its model names them, with what it refers to."""

    pk: int
    study_id: int
    study: StudyRecord
    configuration: ConfigurationRecord | None
    environment: EnvironmentRecord | None
    number: int
    state: int
    origin: str
    parameters: str
    value: float | None
    reports: bytes | None
    pair: int | None
    train_seed: int | None
    split_seed: int | None
    search_seed: int | None
    attempt: int
    resumed: str
    device: str
    control: str
    heartbeat_at: datetime | None
    retry_of_id: int | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    latest_value: float | None
    latest_step: float | None
    best_step: float | None
    evaluations: int | None
    stopped_early: bool
    seconds: float | None
    peak_memory_mb: float | None
    failure_kind: str
    failure_reason: str
    traceback: str
    log_tail: str


@dataclass(frozen=True, slots=True)
class ExperimentRecord:
    """Columns of an experiment, as its model names them, with its best trial and the names of
    what it refers to.
    """

    pk: int
    project_id: int
    name: str
    goal: str
    notes: str
    config_link: str
    objective: str
    source: str
    document: str
    official_metric: str
    direction: str
    margin: float
    smallest_gain: float | None
    sampler: str
    pruner: str
    seed: int
    split_seed: int
    parallel: int
    budget: int
    queue: str
    priority: int
    gpus: int
    gpu_hours_cap: float | None
    state: str
    stop_reason: str
    commit: str
    extends_id: int | None
    created_by_id: int
    created_at: datetime
    finished_at: datetime | None
    active_at: datetime
    archived_at: datetime | None
    mutes_overfitting: bool
    trial_count: int
    complete_count: int
    pruned_count: int
    failed_count: int
    failed_alike: int
    best_value: float | None
    best_trial_id: int | None
    best_trial: TrialRecord | None
    is_from_outside: bool
    is_baseline: bool
    has_failed: bool
    codes: str
    code_versions: list[list[str]]
    author: str
    extends_name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ReplicationRecord:
    """Columns of a replication, as its model names them, with its experiment and both sides."""

    pk: int
    experiment_id: int
    experiment: ExperimentRecord
    purpose: str
    candidate_id: int
    candidate: ConfigurationRecord
    baseline_id: int | None
    baseline: ConfigurationRecord | None
    candidate_trial: TrialRecord | None
    against_champion: bool
    score_rule: str
    margin: float
    smallest_gain: float | None
    looks: str
    level: float
    level_source: str
    pairs_queued: int
    extra_looks: str
    guards: str
    candidates: int
    group: int
    declared_looks: tuple[int, ...]
    looks_after_the_last: tuple[int, ...]
    declared_guards: tuple[dict[str, Any], ...]
    picked_runs: PickedRuns | None
    is_retrospective: bool


# For what reads columns only, of a record or of a row that a service has locked.
AnyConfiguration = ConfigurationRecord | Configuration
AnyTrial = TrialRecord | Trial
AnyExperiment = ExperimentRecord | Experiment
AnyReplication = ReplicationRecord | Replication

# Relations that a row is read with for its record.
OF_TRIAL = ("study", "configuration", "environment")
OF_EXPERIMENT = (*(f"best_trial__{name}" for name in OF_TRIAL), "created_by", "extends")
OF_REPLICATION = (
    "candidate",
    "baseline",
    *(f"candidate_trial__{name}" for name in OF_TRIAL),
)
WITH_EXPERIMENT = (*OF_REPLICATION, *(f"experiment__{name}" for name in OF_EXPERIMENT))


def record_of(row: Experiment) -> ExperimentRecord:
    """The record of a row that was read with its best trial, its author and what it extends."""
    return ExperimentRecord(
        **_columns(ExperimentRecord, row, "best_trial author extends_name"),
        best_trial=trial_record(row.best_trial) if row.best_trial else None,
        author=row.created_by.get_username(),
        extends_name=row.extends.name if row.extends else "",
    )


def trial_record(row: Trial) -> TrialRecord:
    """The record of a row that was read with its study, configuration and environment."""
    configuration, environment = row.configuration, row.environment
    return TrialRecord(
        **_columns(TrialRecord, row, "study configuration environment"),
        study=StudyRecord(**_columns(StudyRecord, row.study)),
        configuration=ConfigurationRecord(**_columns(ConfigurationRecord, configuration))
        if configuration
        else None,
        environment=EnvironmentRecord(**_columns(EnvironmentRecord, environment))
        if environment
        else None,
    )


def replication_record(
    row: Replication, experiment: ExperimentRecord | None = None
) -> ReplicationRecord:
    """The record of a replication of that experiment that was read with `OF_REPLICATION`; without
    one, with `WITH_EXPERIMENT`.
    """
    return ReplicationRecord(
        **_columns(ReplicationRecord, row, "experiment candidate baseline candidate_trial"),
        experiment=experiment or record_of(row.experiment),
        candidate=ConfigurationRecord(**_columns(ConfigurationRecord, row.candidate)),
        baseline=ConfigurationRecord(**_columns(ConfigurationRecord, row.baseline))
        if row.baseline
        else None,
        candidate_trial=trial_record(row.candidate_trial) if row.candidate_trial else None,
    )


def _columns(
    record: type,
    row: Experiment | Trial | Study | Configuration | Environment | Replication,
    without: str = "",
) -> dict[str, Any]:
    left_out = without.split()
    return {
        field.name: getattr(row, field.name)
        for field in fields(record)
        if field.name not in left_out
    }
