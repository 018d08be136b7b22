"""Where the repetitions of an experiment stand, as every page of the experiment says it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from experiments.models import Experiment, Replication, Trial
from experiments.models.replication import Purpose
from experiments.models.trial import FailureKind, StudyKind, TrialState
from experiments.queries.access import Access
from experiments.search_space import show
from experiments.trial_names import trial_name

_OPEN = (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True, slots=True)
class RepetitionState:
    """The newest repetition for a verdict; no scores, so it may be read at any time."""

    id: int
    looks: tuple[int, ...]
    pairs_queued: int
    replicates_done: int
    replicates_open: int
    accidents: int
    decision: int | None
    choice: str
    created_at: datetime
    author: str

    @property
    def complete(self) -> bool:
        """Whether all replicates of the present look have an outcome."""
        return not self.replicates_open and not self.accidents

    @property
    def look(self) -> int:
        """Number of the present look, from 1."""
        return self.looks.index(self.pairs_queued) + 1 if self.pairs_queued in self.looks else 0

    @property
    def schedule(self) -> str:
        """10, 20, 30 pairs."""
        return f"{', '.join(map(str, self.looks))} pairs"


@dataclass(frozen=True, slots=True)
class Choosable:
    """A complete trial that can be repeated over seeds."""

    id: int
    name: str
    score: float | None
    parameters: str


def repetition_state(experiment_id: int) -> RepetitionState | None:
    """One query; None when seeds were never asked for."""
    accident = Q(
        studies__trials__state=TrialState.FAILED,
        studies__trials__retries__isnull=True,
    ) & ~Q(studies__trials__failure_kind=FailureKind.INFEASIBLE)
    row = (
        Replication.objects.filter(experiment_id=experiment_id, purpose=Purpose.VERDICT)
        .select_related("created_by")
        .annotate(
            done=Count(
                "studies__trials",
                distinct=True,
                filter=Q(studies__trials__state__in=(TrialState.COMPLETE, TrialState.PRUNED))
                | Q(studies__trials__failure_kind=FailureKind.INFEASIBLE),
            ),
            open=Count(
                "studies__trials", distinct=True, filter=Q(studies__trials__state__in=_OPEN)
            ),
            broken=Count("studies__trials", distinct=True, filter=accident),
        )
        .order_by("-pk")
        .first()
    )
    if row is None:
        return None
    decided = row.decisions.exclude(choice="continue").order_by("-sequence").first()
    return RepetitionState(
        id=row.pk,
        looks=tuple(json.loads(row.looks)),
        pairs_queued=row.pairs_queued,
        replicates_done=row.done,
        replicates_open=row.open,
        accidents=row.broken,
        decision=decided.sequence if decided else None,
        choice=decided.choice if decided else "",
        created_at=row.created_at,
        author=row.created_by.get_username(),
    )


def find_repetition(access: Access, experiment_id: int, number: int) -> Replication | None:
    """A repetition of an experiment by its id."""
    return (
        Replication.objects.filter(
            pk=number, experiment_id=experiment_id, experiment__project_id=access.project_id
        )
        .select_related(
            "experiment__project", "candidate", "baseline", "candidate_trial", "created_by"
        )
        .first()
    )


def best_trials(experiment: Experiment, arms: int, count: int = 12) -> tuple[Choosable, ...]:
    """The best complete trials of a search, those that one may want to repeat."""
    rows = _complete(experiment)[:count]
    return tuple(_choosable(row, arms) for row in rows)


def best_of_each_arm(experiment: Experiment, arms: int) -> tuple[Choosable, ...]:
    """The best trial of each arm, the best arm first, and the known-good configurations."""
    seen: set[int] = set()
    found = []
    for row in _complete(experiment):
        if row.study_id not in seen or row.origin == "first":
            seen.add(row.study_id)
            found.append(_choosable(row, arms))
    return tuple(found)


def _complete(experiment: Experiment) -> list[Trial]:
    order = "value" if experiment.direction == "minimize" else "-value"
    rows = Trial.objects.filter(
        study__experiment=experiment,
        study__kind=StudyKind.SEARCH,
        state=TrialState.COMPLETE,
        value__isnull=False,
        configuration__isnull=False,
    )
    return list(
        rows.select_related("study")
        .only("number", "value", "parameters", "origin", "study__arm", "study__arm_index")
        .order_by(order, "number")[:2000]
    )


def find_choosable(experiment: Experiment, trial_id: int) -> Trial | None:
    """A search trial of an experiment by its id."""
    return (
        Trial.objects.select_related("study", "configuration")
        .filter(pk=trial_id, study__experiment=experiment, study__kind=StudyKind.SEARCH)
        .first()
    )


def _choosable(trial: Trial, arms: int) -> Choosable:
    values = {**json.loads(trial.study.arm), **json.loads(trial.parameters)}
    return Choosable(
        id=trial.pk,
        name=trial_name(trial.number, arm=trial.study.arm_index, arms=arms),
        score=trial.value,
        parameters=", ".join(f"{name} {show(value)}" for name, value in values.items()),
    )
