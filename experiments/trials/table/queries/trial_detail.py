"""One trial in full."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from experiments.design.objective_code import ObjectiveCode, recorded_code
from experiments.design.queries.experiments import arm_label
from experiments.design.queries.records import (
    AnyExperiment,
    AnyTrial,
    TrialRecord,
    trial_record,
)
from experiments.design.trial_names import (
    TrialReference,
    other_trial_name,
    parse_trial_name,
    trial_name,
)
from experiments.errors import NotFound
from experiments.models import Artifact
from experiments.models import Trial as Trial
from experiments.models.trial import Origin, StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.table.queries.trial_table import STATE_WORDS
from experiments.web.pagination import EVERY_ROW, Page, PageOf, paged

ORIGIN_WORDS = {
    "sampler": "drawn by the sampler",
    "first": "a known-good configuration, tried first",
    "manual": "added by hand",
    "retry": "a retry of a failed trial",
    "replicate": "a replicate over fresh seeds",
    "probe": "a probe beyond an edge of the search space",
    "outside": "run by an external program",
}


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One hyperparameter of a trial; `role` is empty where no file tells it."""

    name: str
    value: object
    source: str


@dataclass(frozen=True, slots=True)
class FileRow:
    id: int
    kind: str
    name: str
    size: int
    step: float | None
    sha256: str


@dataclass(frozen=True, slots=True)
class TrialDetail:
    """A trial as its page shows it. `score` is the latest value while it runs. `run_name` and
    `summary` are what an external program calls it, and wants it to be known by.

    `code` ran, in whatever configuration; `declared_code` is the digest that a replicate's
    configuration has instead, "" where they agree.
    """

    id: int
    name: str
    run_name: str
    summary: Mapping[str, Any]
    state: str
    origin: str
    arm: str
    side: str
    pair: int | None
    is_replicate: bool
    score: float | None
    score_step: float | None
    searched: tuple[ParameterRow, ...]
    configuration: Mapping[str, Any]
    digest: str
    commit: str
    code: ObjectiveCode
    declared_code: str
    train_seed: int | None
    split_seed: int | None
    search_seed: int | None
    attempt: int
    worker: str
    device: str
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    peak_memory_mb: float | None
    evaluations: int | None
    failure_kind: str
    failure_reason: str
    traceback: str
    log_tail: str
    environment: Mapping[str, Any]
    retry_of: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of all hyperparameters by name."""
        return {row.name: row.value for row in self.searched}

    @property
    def seeds(self) -> tuple[tuple[str, int | None], ...]:
        """The three seeds by their names."""
        return (
            ("training seed", self.train_seed),
            ("split seed", self.split_seed),
            ("search seed", self.search_seed),
        )


def find_trial(experiment: AnyExperiment, reference: TrialReference) -> TrialRecord | None:
    """The trial of an experiment that a name refers to."""
    rows = Trial.objects.filter(
        study__experiment_id=experiment.pk, study__deleted_at__isnull=True, number=reference.number
    )
    if reference.study is not None:
        rows = rows.filter(study_id=reference.study)
    else:
        rows = rows.filter(study__kind=StudyKind.SEARCH, study__arm_index=reference.arm or 0)
    row = rows.select_related("study", "configuration", "environment").first()
    return trial_record(row) if row else None


def get_trial(experiment: AnyExperiment, name: str) -> TrialRecord:
    """A trial by the name that the pages call it: 17, B17, s31-4.

    Raises:
        NotFound: when there is none of that name.
    """
    reference = parse_trial_name(name)
    found = find_trial(experiment, reference) if reference else None
    if found is None:
        raise NotFound(f"{experiment.name} has no trial {name}.")
    return found


def name_of(trial: AnyTrial, arms: int) -> str:
    """Name of a trial, as pages and addresses have it."""
    study = trial.study
    if study.kind == StudyKind.SEARCH:
        return trial_name(trial.number, arm=study.arm_index, arms=arms)
    return other_trial_name(study.pk, trial.number)


def detail_of(trial_id: int, arms: int) -> TrialDetail:
    """Everything about a trial but its series, files, findings and test scores."""
    related = ("study", "configuration", "environment", "worker", "retry_of__study")
    trial = Trial.objects.select_related(*related).get(pk=trial_id)
    document = json.loads(trial.configuration.document) if trial.configuration else {}
    running = trial.state == TrialState.RUNNING
    own = decode(trial.parameters)
    arm = json.loads(trial.study.arm)
    environment = json.loads(trial.environment.document) if trial.environment else {}
    code, declared = recorded_code(environment), str(document.get("code", ""))
    rows = [ParameterRow(name, value, "searched") for name, value in own.items()]
    rows += [ParameterRow(name, value, "scientific") for name, value in arm.items()]
    names = {row.name for row in rows}
    rows += [
        ParameterRow(name, value, "" if trial.study.kind == StudyKind.REPLICATION else "fixed")
        for name, value in document.get("parameters", {}).items()
        if name not in names
    ]
    return TrialDetail(
        id=trial.pk,
        name=name_of(trial, arms),
        run_name=trial.run_name,
        summary=_summary(trial),
        state=STATE_WORDS[TrialState(trial.state)],
        origin=ORIGIN_WORDS.get(trial.origin, trial.origin),
        arm=arm_label(trial.study.arm),
        side=trial.study.side,
        pair=None if trial.pair is None else trial.pair + 1,
        is_replicate=trial.study.kind == StudyKind.REPLICATION,
        score=trial.latest_value if running else trial.value,
        score_step=trial.latest_step if running else trial.best_step,
        searched=tuple(rows),
        configuration=document,
        digest=trial.configuration.digest if trial.configuration else "",
        commit=document.get("commit", "") or (code.packages[0].commit if code else ""),
        code=code,
        declared_code=declared if code.digest and declared != code.digest else "",
        train_seed=trial.train_seed,
        split_seed=trial.split_seed,
        search_seed=trial.search_seed,
        attempt=trial.attempt,
        worker=trial.worker.name if trial.worker else "",
        device=trial.device,
        queued_at=trial.queued_at,
        started_at=trial.started_at,
        finished_at=trial.finished_at,
        seconds=trial.seconds,
        peak_memory_mb=trial.peak_memory_mb,
        evaluations=trial.evaluations,
        failure_kind=trial.failure_kind,
        failure_reason=trial.failure_reason,
        traceback=trial.traceback,
        log_tail=trial.log_tail,
        environment={name: value for name, value in environment.items() if name != "code"},
        retry_of=name_of(trial.retry_of, arms) if trial.retry_of else "",
    )


def _summary(trial: Trial) -> dict[str, Any]:
    """Attributes of a run from outside, without those that MLflow clients keep for themselves."""
    if trial.origin != Origin.OUTSIDE:
        return {}
    attributes = decode(trial.user_attributes).items()
    return {name: value for name, value in attributes if not name.startswith("mlflow.")}


def files_of(trial_id: int, wanted: PageOf = EVERY_ROW) -> Page[FileRow]:
    """Files of a trial by kind and name, checkpoints among them."""
    rows = Artifact.objects.filter(trial_id=trial_id).order_by("kind", "name", "step", "pk")
    return paged(rows, wanted, _file)


def _file(row: Artifact) -> FileRow:
    return FileRow(row.pk, row.kind, row.name, row.size, row.step, row.sha256)
