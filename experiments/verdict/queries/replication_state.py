"""State of an experiment's replications, as each of its pages shows it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from experiments.analysis.seeds.guards import Limit
from experiments.design.queries.records import (
    OF_REPLICATION,
    AnyExperiment,
    AnyTrial,
    ExperimentRecord,
    ReplicationRecord,
    replication_record,
)
from experiments.design.space.search_space import show
from experiments.design.trial_names import trial_name
from experiments.errors import NotFound
from experiments.models import Decision, Replication, Trial
from experiments.models.decision import Choice
from experiments.models.replication import Purpose
from experiments.models.trial import FailureKind, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.trials.series.queries import series

_OPEN = (TrialState.WAITING, TrialState.RUNNING)
_MOST_BASELINES = 50


@dataclass(frozen=True, slots=True)
class DeclaredCandidate:
    """One of the candidates that were declared together, and what was decided on it."""

    position: int
    replication: int
    name: str
    decision: int | None
    choice: str


@dataclass(frozen=True, slots=True)
class ReplicationState:
    """A replication for a verdict; no scores, so it may be read at any time.

    `candidates` are all candidates declared together, this one (`position`) included.
    """

    id: int
    looks: tuple[int, ...]
    extra_looks: tuple[int, ...]
    pairs_queued: int
    replicates_done: int
    replicates_open: int
    accidents: int
    decision: int | None
    choice: str
    created_at: datetime
    author: str
    level: float
    margin: float
    against_champion: bool
    guards: tuple[Limit, ...]
    retrospective: bool = False
    left_out: int = 0  # runs of a retrospective comparison without a counterpart
    position: int = 1
    candidates: tuple[DeclaredCandidate, ...] = ()

    @property
    def complete(self) -> bool:
        """Test whether all replicates of the present look have an outcome."""
        return not self.replicates_open and not self.accidents

    @property
    def look(self) -> int:
        """Number of the present look, from 1; 0 at a look beyond the declared ones."""
        return self.looks.index(self.pairs_queued) + 1 if self.pairs_queued in self.looks else 0

    @property
    def schedule(self) -> str:
        """10, 20, 30 pairs."""
        return f"{', '.join(map(str, self.looks))} pairs"

    @property
    def progress(self) -> str:
        """20 of 10, 20, 30 pairs; beyond the declared looks: 35 pairs, 5 of them extra."""
        extra = self.pairs_queued - self.looks[-1]
        if extra > 0:
            return f"{self.pairs_queued} pairs, {extra} of them extra"
        return f"{self.pairs_queued} of {self.schedule}"

    @property
    def all_decided(self) -> bool:
        """Test whether every candidate declared together has been decided."""
        return all(candidate.decision is not None for candidate in self.candidates)


@dataclass(frozen=True, slots=True)
class Choosable:
    """A complete trial that can be repeated over seeds."""

    id: int
    name: str
    score: float | None
    parameters: str


def replication_state(experiment_id: int, candidate: int = 0) -> ReplicationState | None:
    """The newest replication; None when seeds were never asked for.

    `candidate`: which of several declared together, from 1. Otherwise the first undecided one,
    or the adopted one when all are decided.
    """
    rows = Replication.objects.filter(experiment_id=experiment_id, purpose=Purpose.VERDICT)
    searches = Count("experiment__studies", filter=Q(experiment__studies__kind=StudyKind.SEARCH))
    newest = rows.annotate(arms=searches).order_by("-pk").first()
    if newest is None:
        return None
    group = list(
        rows.filter(pk__in=Replication.objects.group_of(newest.group).values("pk"))
        .select_related("created_by", "candidate_trial__study")
        .prefetch_related("decisions")
        .order_by("pk")
    )
    arms: int = vars(newest)["arms"]  # annotated above
    candidates = tuple(_candidate(place, row, arms) for place, row in enumerate(group, start=1))
    place = _chosen(candidates, candidate)
    row, chosen = group[place - 1], candidates[place - 1]
    tally = _tally(row)
    return ReplicationState(
        id=row.pk,
        looks=row.declared_looks,
        extra_looks=row.looks_after_the_last,
        pairs_queued=row.pairs_queued,
        replicates_done=tally["done"],
        replicates_open=tally["open"],
        accidents=tally["broken"],
        decision=chosen.decision,
        choice=chosen.choice,
        created_at=row.created_at,
        author=row.created_by.get_username(),
        level=row.level,
        margin=row.margin,
        against_champion=row.against_champion,
        guards=tuple(Limit(**guard) for guard in row.declared_guards),
        retrospective=row.is_retrospective,
        left_out=row.picked_runs.left_out if row.picked_runs else 0,
        position=place,
        candidates=candidates,
    )


def _candidate(place: int, row: Replication, arms: int) -> DeclaredCandidate:
    made = [decision for decision in row.decisions.all() if decision.choice != "continue"]
    decided = max(made, key=lambda decision: decision.sequence, default=None)
    trial = row.candidate_trial
    name = f"candidate {place}"
    if trial is not None:
        name = f"trial {trial_name(trial.number, arm=trial.study.arm_index, arms=arms)}"
    return DeclaredCandidate(
        place,
        row.pk,
        name,
        decided.sequence if decided else None,
        decided.choice if decided else "",
    )


def _chosen(candidates: tuple[DeclaredCandidate, ...], wanted: int) -> int:
    if 1 <= wanted <= len(candidates):
        return wanted
    undecided = (candidate.position for candidate in candidates if candidate.decision is None)
    adopted = (candidate.position for candidate in candidates if candidate.choice == "adopt")
    return next(undecided, None) or next(adopted, None) or 1


def _tally(row: Replication) -> dict[str, int]:
    infeasible = Q(failure_kind=FailureKind.INFEASIBLE)
    accident = Q(state=TrialState.FAILED, retries__isnull=True) & ~infeasible
    return Trial.objects.replicates_of(row).aggregate(
        done=Count(
            "pk",
            distinct=True,
            filter=Q(state__in=(TrialState.COMPLETE, TrialState.PRUNED)) | infeasible,
        ),
        open=Count("pk", distinct=True, filter=Q(state__in=_OPEN)),
        broken=Count("pk", distinct=True, filter=accident),
    )


def complete_replication(experiment_id: int) -> int | None:
    """Id of the newest replication while every replicate of its look has ended.

    What replicates reach is not looked at between looks.
    """
    state = replication_state(experiment_id)
    return state.id if state and state.complete else None


def decision_without_seeds(experiment_id: int) -> int | None:
    """Sequence of the decision that dropped an experiment before it had fresh seeds."""
    found: int | None = (
        Decision.objects.filter(experiment_id=experiment_id, choice=Choice.DROPPED)
        .values_list("sequence", flat=True)
        .first()
    )
    return found


def find_replication(
    access: Access, experiment: ExperimentRecord, number: int
) -> ReplicationRecord | None:
    """A replication of an experiment by its id."""
    rows = Replication.objects.filter(
        pk=number, experiment=experiment.pk, experiment__project_id=access.project_id
    )
    row = rows.select_related(*OF_REPLICATION).first()
    return replication_record(row, experiment) if row else None


def get_replication(
    access: Access, experiment: ExperimentRecord, number: int
) -> ReplicationRecord:
    """A replication over seeds by its id.

    Raises:
        NotFound: when the experiment has none with that id.
    """
    found = find_replication(access, experiment, number) if number < 2**63 else None
    if found is None:
        raise NotFound(f"{experiment.name} has no replication {number}.")
    return found


def best_trials(
    experiment: AnyExperiment, arms: int, count: int = 12, *, champion: str = ""
) -> tuple[Choosable, ...]:
    """The best complete trials of a search, those that one may want to repeat.

    `champion`: digest of the configuration that is champion already, which is none of them.
    """
    rows = _complete(experiment)
    if champion:
        rows = [row for row in rows if _digest(row) != champion]
    if experiment.is_from_outside:
        rows = _one_of_each_configuration(rows)
    return tuple(_choosable(row, arms) for row in rows[:count])


def chosen_trials(
    experiment: AnyExperiment, arms: int, ids: Sequence[int], *, champion: str = ""
) -> tuple[Choosable, ...]:
    """Those of some trials that can be repeated over seeds, the best first."""
    rows = [row for row in _complete(experiment, ids) if _digest(row) != champion]
    return tuple(_choosable(row, arms) for row in _one_of_each_configuration(rows))


def _digest(trial: AnyTrial) -> str:
    return trial.configuration.digest if trial.configuration else ""


def best_of_each_arm(experiment: AnyExperiment, arms: int) -> tuple[Choosable, ...]:
    """The best trial of each arm, the best arm first, and the known-good configurations."""
    seen: set[int] = set()
    found = []
    if experiment.is_from_outside:  # no arms: whatever parameters its programs chose
        return best_trials(experiment, arms, _MOST_BASELINES)
    for row in _complete(experiment):
        if row.study_id not in seen or row.origin == "first":
            seen.add(row.study_id)
            found.append(_choosable(row, arms))
    return tuple(found)


def _one_of_each_configuration(rows: Iterable[Trial]) -> list[Trial]:
    """The first run of each: programs repeat parameters as they like."""
    found: dict[int | None, Trial] = {}
    for row in rows:
        found.setdefault(row.configuration_id, row)
    return list(found.values())


def _complete(experiment: AnyExperiment, ids: Sequence[int] = ()) -> list[Trial]:
    order = "value" if experiment.direction == "minimize" else "-value"
    rows = Trial.objects.filter(
        study__experiment=experiment.pk,
        study__kind=StudyKind.SEARCH,
        state=TrialState.COMPLETE,
        value__isnull=False,
        configuration__isnull=False,
    )
    if ids:
        rows = rows.filter(pk__in=ids)
    return list(
        rows.select_related("study", "configuration")
        .only(
            "number",
            "value",
            "parameters",
            "origin",
            "configuration__digest",
            "study__arm",
            "study__arm_index",
        )
        .order_by(order, "number")[:2000]
    )


def guard_metrics(experiment: AnyExperiment) -> tuple[str, ...]:
    """Metrics that the best trial logged beside the official one, for guards to watch."""
    trial = experiment.best_trial_id
    if trial is None:
        return ()
    logged = series.read([trial]).get(trial, {})
    return tuple(sorted(name for name in logged if name != experiment.official_metric))


def find_choosable(experiment: AnyExperiment, trial_id: int) -> Trial | None:
    """A search trial of an experiment by its id."""
    return (
        Trial.objects.select_related("study", "configuration")
        .filter(pk=trial_id, study__experiment=experiment.pk, study__kind=StudyKind.SEARCH)
        .first()
    )


def _choosable(trial: AnyTrial, arms: int) -> Choosable:
    values = {**json.loads(trial.study.arm), **json.loads(trial.parameters)}
    return Choosable(
        id=trial.pk,
        name=trial_name(trial.number, arm=trial.study.arm_index, arms=arms),
        score=trial.value,
        parameters=", ".join(f"{name} {show(value)}" for name, value in values.items()),
    )
