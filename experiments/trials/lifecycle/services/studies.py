"""Write studies: create free-standing ones, set attributes, delete."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from experiments.design.queries.records import AnyExperiment
from experiments.errors import Conflict, NotAllowed, NotFound, StudyCited, VerdictError
from experiments.models import Decision, Experiment, Project, Study, Trial
from experiments.models import trial_encoding as encoding
from experiments.models.project import Direction
from experiments.models.trial import StudyKind, TrialState
from experiments.trials.artifacts.services.artifacts import remove_files_of

FREE_PROJECT = "optuna"  # where free-standing studies lie unless their program says otherwise
NAMELESS = "no-name-"  # Optuna's own prefix
LONGEST_NAME = 512


def create(*, name: str | None, directions: Sequence[str], project: str = FREE_PROJECT) -> int:
    """Create a free-standing study.

    Args:
        name: None for a generated one.
        directions: "minimize" or "maximize" for each objective.
        project: slug of a project; the default one is created when it is not there.

    Returns:
        The study's id.

    Raises:
        Conflict: when a study of that name exists.
        NotFound: when there is no such project.
        NotAllowed: when it is archived.
        VerdictError: when the name is too long.
    """
    name = f"{NAMELESS}{uuid.uuid4()}" if name is None else name
    if len(name) > LONGEST_NAME:
        raise VerdictError(f"A study's name has at most {LONGEST_NAME} characters.")
    project_id = open_project(project)
    try:
        with transaction.atomic():
            study = Study.objects.create(
                project_id=project_id,
                kind=StudyKind.FREE,
                name=name,
                directions=" ".join(directions),
            )
    except IntegrityError:
        raise Conflict(f"There is a study named {name} already.") from None
    return study.pk


def open_project(slug: str) -> int:
    """Id of the project that a study is written into; the default one is created.

    Raises:
        NotFound: when there is no such project.
        NotAllowed: when it is archived.
    """
    if slug == FREE_PROJECT:
        Project.objects.get_or_create(
            slug=slug,
            defaults={
                "name": "Optuna",
                "official_metric": "value",
                "direction": Direction.MINIMIZE,
            },
        )
    found = Project.objects.filter(slug=slug).values_list("pk", "archived_at").first()
    if found is None:
        raise NotFound(f"There is no project {slug}.")
    if found[1] is not None:
        raise NotAllowed(f"{slug} is archived; an admin can restore it.")
    return found[0]


def delete(*, study_id: int) -> None:
    """Delete a study with all its trials and their files; its experiment counts them no longer.

    Raises:
        NotFound: when there is none, or it was deleted already.
        StudyCited: when a decision cites its experiment.
    """
    with transaction.atomic():
        # The experiment first: the order in which finishing trials lock, too.
        experiment = (
            Experiment.objects.select_for_update().filter(studies=study_id).order_by().first()
        )
        study = Study.objects.select_for_update().filter(pk=study_id).first()
        if study is None:
            raise NotFound(f"There is no study with id {study_id}.")
        if experiment is not None and _cited(experiment):
            raise StudyCited(f"A decision cites {experiment.name}: its studies cannot be deleted.")
        # Whoever writes to one of them meanwhile waits, and then finds it gone.
        trials = Trial.objects.filter(study=study)
        list(trials.select_for_update().order_by("pk").values_list("pk"))
        if hasattr(settings, "ARTIFACTS_DIR"):  # else an external program; see `artifacts sweep`
            remove_files_of(trials)
        study.delete()
        if experiment is not None:
            _recount(experiment)


def _cited(experiment: AnyExperiment) -> bool:
    cites = Q(experiment=experiment.pk) | Q(replication__experiment=experiment.pk)
    return Decision.objects.filter(cites).exists()


def _recount(experiment: AnyExperiment) -> None:
    trials = Trial.objects.filter(
        study__experiment=experiment.pk,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
    )
    counts = trials.aggregate(
        complete_count=Count("pk", filter=Q(state=TrialState.COMPLETE)),
        pruned_count=Count("pk", filter=Q(state=TrialState.PRUNED)),
        failed_count=Count("pk", filter=Q(state=TrialState.FAILED)),
    )
    value = F("value").desc() if experiment.direction == Direction.MAXIMIZE else F("value").asc()
    best = (
        trials.filter(state=TrialState.COMPLETE, value__isnull=False)
        .order_by(value, "finished_at", "pk")
        .values_list("pk", "value")
        .first()
    ) or (None, None)
    Experiment.objects.filter(pk=experiment.pk).update(
        trial_count=sum(counts.values()),
        **counts,
        best_trial_id=best[0],
        best_value=best[1],
        active_at=timezone.now(),
    )


def set_user_attribute(*, study_id: int, key: str, value: Any) -> None:
    """Write one attribute, whatever others write at the same time.

    Raises:
        NotFound: when there is no such study, or it was deleted.
    """
    _set_item(study_id, "user_attributes", key, encoding.encode(value))


def set_system_attribute(*, study_id: int, key: str, value: Any) -> None:
    """Write one of Optuna's own attributes; see `set_user_attribute`."""
    _set_item(study_id, "system_attributes", key, encoding.encode(value))


def _set_item(study_id: int, column: str, key: str, item: str) -> None:
    """Compare and set until nobody else wrote in between."""
    here = "id = %s AND deleted_at IS NULL"
    with connection.cursor() as cursor:
        while True:
            cursor.execute(f"SELECT {column} FROM experiments_study WHERE {here}", [study_id])
            found = cursor.fetchone()
            if found is None:
                raise NotFound(f"There is no study with id {study_id}.")
            cursor.execute(
                f"UPDATE experiments_study SET {column} = %s WHERE {here} AND {column} = %s",
                [encoding.with_item(found[0], key, item), study_id, found[0]],
            )
            if cursor.rowcount == 1:
                return
