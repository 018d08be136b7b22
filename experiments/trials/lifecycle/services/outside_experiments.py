"""Experiments whose runs outside programs log: creation, new runs, official metric."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from experiments.design import metrics
from experiments.design.metrics import Metric
from experiments.design.queries.records import AnyExperiment
from experiments.errors import Conflict, Problem, VerdictError
from experiments.models import Experiment, ExperimentTag, Project, Study, Trial
from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.project import Direction, Role
from experiments.models.trial import StudyKind
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import run_ends

GOAL = "Runs logged by external programs."
NO_RUN_YET = "no run yet"  # a stop reason
LONGEST_METRIC = 200


@dataclass(frozen=True, slots=True)
class NewExperiment:
    """An experiment of external programs. Without `official_metric` it is named later."""

    name: str
    official_metric: str
    direction: str
    goal: str = ""
    notes: str = ""
    config_link: str = ""
    commit: str = ""
    tags: Sequence[str] = ()


def find_or_create(*, access: Access, new: NewExperiment) -> tuple[Experiment, Study, bool]:
    """The experiment of that name, locked, its one search, and whether it was made.

    Raises:
        Conflict: when workers run the experiment of that name, or it was stopped.
    """
    access.require(Role.EDITOR)
    seals = Project.objects.values_list("seals_test", flat=True).get(pk=access.project_id)
    _, made = Experiment.objects.get_or_create(
        project_id=access.project_id,
        name=new.name,
        defaults={
            "goal": new.goal or GOAL,
            "notes": new.notes,
            "config_link": new.config_link,
            "official_metric": new.official_metric,
            "direction": new.direction or Direction.MINIMIZE,
            "margin": access.margin,
            "smallest_gain": access.smallest_gain,
            "document": "{}" if seals else json.dumps({"seals_test": False}),
            "sampler": OUTSIDE,
            "state": ExperimentState.FINISHED,
            "stop_reason": NO_RUN_YET,
            "commit": new.commit[:64],
            "created_by": access.user,
        },
    )
    experiment = Experiment.objects.select_for_update().get(
        project_id=access.project_id, name=new.name
    )
    if experiment.sampler != OUTSIDE:
        raise Conflict(
            f"{new.name} is run by workers; choose another name for runs from outside.",
            [Problem("experiment", "is run by workers")],
        )
    if made:
        ExperimentTag.objects.bulk_create(
            ExperimentTag(experiment=experiment, name=tag) for tag in dict.fromkeys(new.tags)
        )
    return experiment, search_of(experiment, access.slug), made


def search_of(experiment: Experiment, slug: str) -> Study:
    """The study that holds an experiment's runs."""
    study, _ = Study.objects.get_or_create(
        experiment=experiment,
        kind=StudyKind.SEARCH,
        deleted_at=None,
        defaults={
            "project_id": experiment.project_id,
            "name": f"{slug}/{experiment.name}",
            "directions": experiment.direction,
        },
    )
    return study


def count_new_run(experiment: Experiment) -> None:
    """Count a run that begins and set its experiment running.

    Raises:
        Conflict: when a person stopped the experiment.
    """
    if experiment.state == ExperimentState.STOPPED:
        raise Conflict(
            f"{experiment.name} was stopped ({experiment.stop_reason}).",
            [Problem("experiment", "was stopped")],
        )
    Experiment.objects.filter(pk=experiment.pk).update(
        state=ExperimentState.RUNNING,
        stop_reason="",
        finished_at=None,
        active_at=timezone.now(),
        budget=F("budget") + 1,
    )


def declare(experiment: Experiment, declared: Mapping[str, Metric]) -> None:
    """Add declared metrics to the experiment's; what was declared once stands."""
    declared_before = metrics.declared_metrics(experiment.document)
    problems = [
        Problem(f"metrics.{name}", "was declared differently by an earlier run")
        for name, metric in declared.items()
        if name in declared_before and declared_before[name] != metric
    ]
    if problems:
        raise Conflict("A metric was declared differently before.", problems)
    if set(declared) - set(declared_before):
        every = {name: asdict(metric) for name, metric in {**declared_before, **declared}.items()}
        document = {**json.loads(experiment.document), "metrics": every}
        Experiment.objects.filter(pk=experiment.pk).update(
            document=json.dumps(document, sort_keys=True)
        )


def name_official_metric(
    *, access: Access, experiment: AnyExperiment, metric: str, direction: str
) -> None:
    """Name the metric that decides, once, of an experiment that began without one; what its runs
    have logged is scored by it at once.

    Raises:
        VerdictError: for no name, or no direction.
        Conflict: when it has one.
    """
    access.require(Role.EDITOR, experiment)
    problems = []
    if not 0 < len(metric.strip()) <= LONGEST_METRIC:
        problems.append(Problem("metric", "Enter the name of a metric that the runs log."))
    if direction not in Direction.values:
        problems.append(Problem("direction", "Choose minimize or maximize."))
    if problems:
        raise VerdictError("The official metric cannot be set.", problems)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if locked.official_metric:
            raise Conflict(
                f"The official metric of {locked.name} is {locked.official_metric}; every "
                "comparison so far rests on it."
            )
        adopt_metric(locked, metric=metric.strip(), direction=direction)


def adopt_metric(experiment: Experiment, *, metric: str, direction: str) -> None:
    """Score and count the runs of an experiment without a metric by this one."""
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if locked.official_metric:
            return
        locked.official_metric, locked.direction = metric, direction
        locked.save(update_fields=["official_metric", "direction"])
        Study.objects.filter(experiment=locked).update(directions=direction)
        ran = Trial.objects.filter(study__experiment=locked).select_related("study__experiment")
        for run in ran.iterator(chunk_size=500):
            run_ends.score(run)
        run_ends.recount(locked)
