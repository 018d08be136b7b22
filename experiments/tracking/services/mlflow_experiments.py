"""Experiments as MLflow's clients write them: made, renamed, tagged, archived."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from experiments.design.metrics import guess
from experiments.errors import NameTaken, NotFound
from experiments.models import ApiToken, Experiment, Study
from experiments.models import trial_encoding as encoding
from experiments.models.project import Role
from experiments.team.queries import token_access
from experiments.team.queries.access import Access, get_project
from experiments.team.services import projects
from experiments.tracking.mlflow_errors import TAKEN, UNKNOWN, MlflowError
from experiments.tracking.queries.mlflow_experiments import FALLBACK, NOTE, Place
from experiments.tracking.run_texts import address_name
from experiments.trials.lifecycle.services import editing, outside_experiments
from experiments.trials.lifecycle.services.outside_experiments import NewExperiment
from experiments.trials.table.queries.filtered_trials import FOREIGN_NAME

METRIC_TAG, DIRECTION_TAG = "verdict.official_metric", "verdict.direction"


def project_of(token: ApiToken, place: Place) -> Access:
    """The project of a name; the one for names without a project is made on first use.

    Raises:
        NotFound: for a project that the token does not open.
        NotAllowed: when it is to be made by somebody who may create none.
    """
    if place.slug == FALLBACK and token.project_id is None:
        projects.ensure_for_trackers(user=token.owner, slug=FALLBACK, name="MLflow")
    if not token_access.opens(token, place.slug):
        raise NotFound(f"There is no project {place.slug}.")
    return get_project(token.owner, place.slug)


def create(*, access: Access, name: str, tags: Mapping[str, str]) -> Experiment:
    """An experiment of that name, without a run.

    Raises:
        MlflowError: when there is one.
        Conflict: when workers run the experiment of that name.
    """
    access.require(Role.EDITOR)
    known = address_name(name)
    with transaction.atomic():
        experiment, study, made = outside_experiments.find_or_create(
            access=access, new=NewExperiment(known, official_metric="", direction="")
        )
        if not made:
            raise MlflowError(f"Experiment(name={name}) already exists.", TAKEN)
        if known != name:
            Study.objects.filter(pk=study.pk).update(
                system_attributes=encoding.encode({FOREIGN_NAME: name})
            )
        if tags:
            set_tags(access=access, experiment=experiment, tags=tags)
    return experiment


def set_tags(*, access: Access, experiment: Experiment, tags: Mapping[str, str]) -> None:
    """Set tags; the one that names the official metric does so, once.

    Raises:
        Conflict: when a metric is named that is not the experiment's.
    """
    access.require(Role.EDITOR, experiment)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        study = outside_experiments.search_of(locked, access.slug)
        every = {**encoding.decode(study.user_attributes), **tags}
        if NOTE in every:
            Experiment.objects.filter(pk=locked.pk).update(notes=every.pop(NOTE))
        Study.objects.filter(pk=study.pk).update(user_attributes=encoding.encode(every))
        Experiment.objects.filter(pk=locked.pk).update(active_at=timezone.now())
        metric = str(every.get(METRIC_TAG, "")).strip()
        is_named = METRIC_TAG in tags or DIRECTION_TAG in tags
        if is_named and metric and metric != locked.official_metric:
            direction = str(every.get(DIRECTION_TAG, "")).strip() or guess(metric).direction
            if direction:  # else it waits for the tag that tells it
                outside_experiments.name_official_metric(
                    access=access, experiment=locked, metric=metric, direction=direction
                )


def delete_tag(*, access: Access, experiment: Experiment, key: str) -> None:
    """Remove a tag.

    Raises:
        MlflowError: when there is none of that name.
    """
    access.require(Role.EDITOR, experiment)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        study = outside_experiments.search_of(locked, access.slug)
        tags = encoding.decode(study.user_attributes)
        if key == NOTE and locked.notes:
            Experiment.objects.filter(pk=locked.pk).update(notes="")
        elif key in tags:
            del tags[key]
            Study.objects.filter(pk=study.pk).update(user_attributes=encoding.encode(tags))
        else:
            raise MlflowError(f"No tag with name: {key} in experiment {locked.pk}", UNKNOWN)


def rename(*, access: Access, experiment: Experiment, name: str) -> None:
    """Give an experiment another name.

    Raises:
        MlflowError: when it is taken, or the experiment was deleted.
    """
    access.require(Role.EDITOR, experiment)
    if experiment.archived_at is not None:
        raise MlflowError("Cannot rename a non-active experiment.")
    known = address_name(name)
    try:
        editing.rename(
            access=access,
            experiment=experiment,
            name=known,
            foreign_name="" if known == name else name,
        )
    except NameTaken:
        raise MlflowError(f"Experiment(name={name}) already exists.", TAKEN) from None


def delete(*, access: Access, experiment: Experiment) -> None:
    """Archive an experiment; nothing of it is lost, and it can be restored."""
    access.require(Role.EDITOR, experiment)
    found = Experiment.objects.filter(pk=experiment.pk, archived_at__isnull=True)
    if not found.update(archived_at=timezone.now(), active_at=timezone.now()):
        raise MlflowError(
            f"The experiment {experiment.pk} must be in the 'active' state. Current state is "
            "deleted."
        )


def restore(*, access: Access, experiment: Experiment) -> None:
    """Bring an archived experiment back."""
    access.require(Role.EDITOR, experiment)
    found = Experiment.objects.filter(pk=experiment.pk, archived_at__isnull=False)
    if not found.update(archived_at=None, active_at=timezone.now()):
        raise MlflowError(
            f"The experiment {experiment.pk} must be in the 'deleted' state. Current state is "
            "active."
        )
