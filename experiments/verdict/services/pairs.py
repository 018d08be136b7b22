"""Queue the pairs of a replication: replicate i of every side under the same fresh seeds."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from experiments import dispatch
from experiments.analysis.seeds.fresh_seeds import fresh_seeds
from experiments.models import Experiment, Replication, Study, Trial
from experiments.models.trial import FailureKind, Origin, Side, StudyKind, TrialState
from experiments.trials.lifecycle.services import trials

Seeds = tuple[int, int]


def add_studies(replication: Replication) -> None:
    """A study for each side; a baseline that is shared stands with the first of the group."""
    sides = (Side.CANDIDATE,) if replication.first_of_group_id else tuple(Side)
    experiment = replication.experiment
    start = f"{experiment.project.slug}/{experiment.name}/replication {replication.pk}"
    for side in sides:
        Study.objects.create(
            project=experiment.project,
            experiment=experiment,
            replication=replication,
            kind=StudyKind.REPLICATION,
            side=side,
            name=f"{start}/{side}",
            directions=experiment.direction,
        )


def queue_pairs(replication: Replication, upto: int) -> None:
    """Queue pairs until there are `upto`; both sides of a pair share fresh seeds.

    What the group has run or queued of the baseline already is not queued again. The caller
    holds the experiment's lock.
    """
    seeds = _seeds(replication, upto)
    candidate = Study.objects.get(replication=replication, side=Side.CANDIDATE)
    baseline = Study.objects.get(replication=replication.group, side=Side.BASELINE)
    has_baseline = set(baseline.trials.values_list("pair", flat=True))
    queued = 0
    for pair in range(replication.pairs_queued, upto):
        _queue(candidate, replication.candidate_id, replication, pair, seeds[pair])
        queued += 1
        if pair not in has_baseline:
            _queue(baseline, replication.baseline_id, replication, pair, seeds[pair])
            queued += 1
    Replication.objects.filter(pk=replication.pk).update(pairs_queued=upto)
    replication.pairs_queued = upto
    experiment = replication.experiment
    Experiment.objects.filter(pk=experiment.pk).update(active_at=timezone.now())
    dispatch.wake(experiment.queue, min(experiment.parallel, queued))


def _queue(
    study: Study, configuration_id: int | None, replication: Replication, pair: int, seeds: Seeds
) -> None:
    trials.create(
        study_id=study.pk,
        state=TrialState.WAITING,
        origin=Origin.REPLICATE,
        configuration_id=configuration_id,
        pair=pair,
        train_seed=seeds[0],
        split_seed=seeds[1],
        search_seed=replication.experiment.seed,
    )


def _seeds(replication: Replication, upto: int) -> dict[int, Seeds]:
    """Training and split seed of each pair: the group's where it has them, else fresh ones."""
    group = replication.group
    rows = Trial.objects.filter(
        study__replication__in=Replication.objects.group_of(group)
    ).values_list("pair", "train_seed", "split_seed")
    known = {pair or 0: (train or 0, split or 0) for pair, train, split in rows}
    missing = [pair for pair in range(replication.pairs_queued, upto) if pair not in known]
    fresh = _fresh(replication, 2 * len(missing))
    return known | {
        pair: (fresh[2 * place], fresh[2 * place + 1]) for place, pair in enumerate(missing)
    }


def _fresh(replication: Replication, count: int) -> list[int]:
    project = replication.experiment.project
    taken = Trial.objects.filter(study__project=project).values_list("train_seed", "split_seed")
    used = {seed for both in taken.iterator() for seed in both if seed is not None}
    return fresh_seeds(count, root=replication.root_seed, taken=used)


def unfinished(replication: Replication) -> QuerySet[Trial]:
    """Replicates that have no outcome yet: waiting or running."""
    open_states = (TrialState.WAITING, TrialState.RUNNING)
    return Trial.objects.replicates_of(replication).filter(state__in=open_states)


def accidents(replication: Replication) -> QuerySet[Trial]:
    """Replicates that failed without being infeasible and have not been queued again."""
    return (
        Trial.objects.replicates_of(replication)
        .filter(state=TrialState.FAILED, retries__isnull=True)
        .exclude(failure_kind=FailureKind.INFEASIBLE)
    )
