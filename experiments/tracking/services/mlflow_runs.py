"""Runs as MLflow's clients write them: begun, logged to, ended, taken up again, deleted."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from experiments.design.metrics import is_test
from experiments.models import Experiment, RunDataset, Study, Trial
from experiments.models import trial_encoding as encoding
from experiments.models.project import Role
from experiments.models.trial import FINISHED, FailureKind, Origin, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.tracking.mlflow_errors import UNKNOWN, MlflowError
from experiments.tracking.mlflow_fields import LoggedBatch, Point
from experiments.tracking.queries.mlflow_runs import FoundRun
from experiments.tracking.run_texts import seeds_in, stored_value, text_of
from experiments.trials.artifacts.queries.deployable_models import MODELS_TAG
from experiments.trials.lifecycle.services import outside_experiments, run_ends, runs, trials
from experiments.trials.series.logged_points import official_values
from experiments.trials.series.series_encoding import Call
from experiments.trials.series.services import series
from experiments.trials.table.queries.filtered_trials import SEED_PARAMETER, USER, run_id_of

NAME_TAG, PARENT_TAG, USER_TAG = "mlflow.runName", "mlflow.parentRunId", "mlflow.user"
COMMIT_TAG, CONTEXT_TAG = "mlflow.source.git.commit", "mlflow.data.context"
LONGEST_RUN_NAME = 500
_OF_EXPERIMENT = ("project_id", "name", "state", "stop_reason", "direction", "archived_at")
ENDS = {"FINISHED": "complete", "FAILED": "failed", "KILLED": "cancelled"}


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that a client begins; `started_at` None is now."""

    name: str = ""
    user: str = ""
    started_at: dt.datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def create(*, access: Access, experiment_id: int, new: NewRun) -> int:
    """Begin a run; returns the trial's id.

    Raises:
        NotAllowed: when the user is not an editor of the project.
        MlflowError: when the experiment was deleted.
        Conflict: when it was stopped.
    """
    access.require(Role.EDITOR)
    tags = dict(new.tags)
    name = (new.name or tags.get(NAME_TAG, ""))[:LONGEST_RUN_NAME]
    if name:
        tags[NAME_TAG] = name
    now = timezone.now()
    with transaction.atomic():
        rows = Experiment.objects.select_for_update().only(*_OF_EXPERIMENT)
        experiment = rows.get(pk=experiment_id)
        access.require(Role.EDITOR, experiment)
        if experiment.archived_at is not None:
            raise not_active("experiment", str(experiment.pk))
        outside_experiments.count_new_run(experiment)
        pk, _ = trials.create(
            study_id=outside_experiments.search_of(experiment, access.slug).pk,
            state=TrialState.RUNNING,
            origin=Origin.OUTSIDE,
            user_attributes=tags,
            system_attributes={USER: new.user or tags.get(USER_TAG, "")},
            attempt=runs.ATTEMPT,
            heartbeat_at=now,
            started_at=new.started_at or now,
            run_id=uuid.uuid4(),
            run_name=name,
            parent_id=_parent(access.project_id, tags),
        )
    return pk


def not_active(what: str, key: str) -> MlflowError:
    return MlflowError(
        f"The {what} {key} must be in the 'active' state. Current state is deleted."
    )


def _parent(project_id: int, tags: Mapping[str, str]) -> int | None:
    """The run that a tag says this one is nested in, where the project has it."""
    key = run_id_of(tags.get(PARENT_TAG, ""))
    if key is None:
        return None
    found = Trial.objects.filter(run_id=key, study__project_id=project_id)
    return found.values_list("pk", flat=True).first()


def log(*, run: FoundRun, batch: LoggedBatch) -> None:
    """Log metrics, parameters and tags of one request, all or nothing.

    Test scores are sealed where the project seals them. What comes after the run's end is part
    of it, and the run is scored anew; one that was given up for lost goes on.

    Raises:
        MlflowError: when the run was deleted, or a parameter has another value already.
    """
    if run.deleted:
        raise not_active("run", run.run_id)
    if not batch.parameters and not batch.tags and run.state not in FINISHED:
        _log_points(run, batch.points)
        return
    if run.failure_kind == FailureKind.LOST:
        run_ends.reopen(run_id=run.id)
    counts = run.state in FINISHED and run.failure_kind != FailureKind.LOST and batch.points
    with transaction.atomic():
        if counts:  # the experiment is locked before its runs, as everywhere
            Experiment.objects.select_for_update().get(pk=run.experiment_id)
        if batch.parameters or batch.tags:
            _write_texts(run, batch.parameters, batch.tags)
        _log_points(run, batch.points)
        if counts:
            _score_again(run)


def _log_points(run: FoundRun, points: Sequence[Point]) -> None:
    calls: list[Call] = []
    sealed: dict[str, float] = {}
    open_names = {p.key: not is_test(p.key, run.declared) for p in points}
    for point in points:
        if not open_names[point.key]:
            sealed[point.key] = point.value
        elif (
            calls
            and calls[-1][:2] == (point.step, point.time_ms)
            and point.key not in calls[-1][2]
        ):
            calls[-1] = (*calls[-1][:2], {**calls[-1][2], point.key: point.value})
        else:
            calls.append((point.step, point.time_ms, {point.key: point.value}))
    for name, value in sealed.items():
        series.seal(trial_id=run.id, name=name, value=value)
    if not calls:
        return
    official = official_values(calls, run.official_metric) if run.official_metric else None
    number = series.append_next(
        trial_id=run.id, calls=calls, heard_at=timezone.now(), official=official
    )
    if number is not None and number % runs.COMPACT_EVERY == runs.COMPACT_EVERY - 1:
        series.compact(run.id)


def _score_again(run: FoundRun) -> None:
    """Score and count an ended run that has logged on; its experiment is locked."""
    trial = Trial.objects.select_related("study__experiment").get(pk=run.id)
    experiment = trial.study.experiment
    assert experiment is not None
    run_ends.score(trial)
    run_ends.recount(experiment)


def _write_texts(run: FoundRun, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
    trial = Trial.objects.select_for_update(of=("self",)).select_related("study").get(pk=run.id)
    changes: dict[str, Any] = {"heartbeat_at": timezone.now()}
    if tags:
        changes |= _tag_changes(trial, run.project_id, tags)
    if parameters:
        changes |= _parameter_changes(trial, run.run_id, parameters)
    Trial.objects.filter(pk=run.id).update(**changes)


def _tag_changes(trial: Trial, project_id: int, tags: Mapping[str, str]) -> dict[str, Any]:
    every = {**encoding.decode(trial.user_attributes), **tags}
    changes: dict[str, Any] = {"user_attributes": encoding.encode(every)}
    if NAME_TAG in tags:
        changes["run_name"] = tags[NAME_TAG][:LONGEST_RUN_NAME]
    if PARENT_TAG in tags:
        changes["parent_id"] = _parent(project_id, tags)
    return changes


def _parameter_changes(trial: Trial, run_id: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Columns with new parameters; those that name a seed become seeds.

    Raises:
        MlflowError: for one that has another value already.
    """
    values = encoding.decode(trial.parameters)
    system = encoding.decode(trial.system_attributes)
    for key, text in parameters.items():
        before = values.get(key, system.get(SEED_PARAMETER + key))
        if before is not None and text_of(before) != text:
            raise MlflowError(
                f"Changing param values is not allowed. Param with key='{key}' was already logged "
                f"with value='{text_of(before)}' for run ID='{run_id}'. Attempted logging new "
                f"value '{text}'."
            )
    seeds = seeds_in(parameters, encoding.decode(trial.study.user_attributes))
    changes: dict[str, Any] = {}
    for name, (seed, number) in seeds.items():
        system[SEED_PARAMETER + name] = parameters[name]
        if getattr(trial, seed) is None:
            changes.setdefault(seed, number)
    texts, distributions = trial.parameters, trial.distributions
    for key, text in parameters.items():
        if key in seeds or key in values:
            continue
        value, distribution = runs.as_constant(stored_value(text))
        texts = encoding.with_item(texts, key, encoding.encode(value))
        text = encoding.encode_distribution(distribution)
        distributions = encoding.with_item(distributions, key, text)
    return changes | {
        "parameters": texts,
        "distributions": distributions,
        "system_attributes": encoding.encode(system),
    }


def delete_tag(*, run: FoundRun, key: str) -> None:
    """Remove a tag.

    Raises:
        MlflowError: when the run was deleted, or has none of that name.
    """
    if run.deleted:
        raise not_active("run", run.run_id)
    with transaction.atomic():
        trial = Trial.objects.select_for_update().get(pk=run.id)
        tags = encoding.decode(trial.user_attributes)
        if key not in tags:
            raise MlflowError(f"No tag with name: {key} in run with id {run.run_id}", UNKNOWN)
        del tags[key]
        Trial.objects.filter(pk=run.id).update(user_attributes=encoding.encode(tags))


def update(
    *, run: FoundRun, status: str = "", ended_at: dt.datetime | None = None, name: str = ""
) -> None:
    """Set a run's status, its end and its name, each where it is told.

    Raises:
        MlflowError: when the run was deleted.
    """
    if run.deleted:
        raise not_active("run", run.run_id)
    if name:
        with transaction.atomic():
            _write_texts(run, {}, {NAME_TAG: name})
    if status == "SCHEDULED":
        Trial.objects.filter(pk=run.id, state=TrialState.RUNNING).update(state=TrialState.WAITING)
    elif status == "RUNNING" and run.state != TrialState.RUNNING:
        run_ends.reopen(run_id=run.id)
    elif status in ENDS:
        if run.state in FINISHED:
            run_ends.reopen(run_id=run.id)
        _end(run, status, ended_at or timezone.now())


def _end(run: FoundRun, status: str, ended_at: dt.datetime) -> None:
    """End a run: it gets its configuration, and a score when the metric that decides is known."""
    trial = Trial.objects.select_related("study__experiment__project").get(pk=run.id)
    experiment = trial.study.experiment
    assert experiment is not None
    tags = encoding.decode(trial.user_attributes)
    trial.configuration = runs.configure(
        project_id=run.project_id,
        parameters=encoding.decode(trial.parameters),
        commit=str(tags.get(COMMIT_TAG, ""))[:64],
        data=dict(trial.datasets.order_by("name").values_list("name", "digest")),
    )
    trial.save(update_fields=["configuration"])
    project = experiment.project
    if (
        not experiment.official_metric
        and project.official_metric
        and trial.latest_metrics.filter(name=project.official_metric).exists()
    ):
        outside_experiments.adopt_metric(
            experiment, metric=project.official_metric, direction=project.direction
        )
    run_ends.finish(run_id=run.id, state=ENDS[status], finished_at=ended_at)


def delete(*, run: FoundRun) -> None:
    """Leave a run out of everything that reads an experiment's runs; it can be restored."""
    _move(run, deleted=True)


def restore(*, run: FoundRun) -> None:
    """Show a deleted run again, under its number."""
    _move(run, deleted=False)


def _move(run: FoundRun, *, deleted: bool) -> None:
    """Move a run between its experiment's search and the one that holds deleted runs."""
    with transaction.atomic():
        experiment = (
            Experiment.objects.select_for_update(of=("self",))
            .select_related("project")
            .get(pk=run.experiment_id)
        )
        search = outside_experiments.search_of(experiment, experiment.project.slug)
        removed = Study.objects.filter(
            experiment=experiment, kind=StudyKind.SEARCH, deleted_at__isnull=False
        ).first()
        if removed is None:
            removed = Study.objects.create(
                project_id=experiment.project_id,
                experiment=experiment,
                kind=StudyKind.SEARCH,
                name=f"{search.name}/deleted"[:512],
                directions=search.directions,
                deleted_at=timezone.now(),
            )
        target = removed if deleted else search
        Trial.objects.filter(pk=run.id).update(study=target)
        run_ends.recount(experiment)


def log_inputs(*, run: FoundRun, datasets: Sequence[RunDataset]) -> None:
    """Record datasets that a run read; one that it has already stays as it was."""
    if run.deleted:
        raise not_active("run", run.run_id)
    for dataset in datasets:
        dataset.trial_id = run.id
    RunDataset.objects.bulk_create(datasets, ignore_conflicts=True)


def dataset_of(fields: Mapping[str, Any], tags: Mapping[str, str]) -> RunDataset:
    """A dataset as a client describes it; its context is a tag."""
    return RunDataset(
        context=tags.get(CONTEXT_TAG, "")[:500], tags=encoding.encode(dict(tags)), **fields
    )


def record_model(*, run: FoundRun, model: Mapping[str, Any]) -> None:
    """Add a model's description to those of a run, which clients read from a tag."""
    if run.deleted:
        raise not_active("run", run.run_id)
    with transaction.atomic():
        trial = Trial.objects.select_for_update().get(pk=run.id)
        tags = encoding.decode(trial.user_attributes)
        try:
            models = json.loads(tags.get(MODELS_TAG, "[]"))
        except ValueError:
            models = []
        tags[MODELS_TAG] = json.dumps([*models, model] if isinstance(models, list) else [model])
        Trial.objects.filter(pk=run.id).update(user_attributes=encoding.encode(tags))
