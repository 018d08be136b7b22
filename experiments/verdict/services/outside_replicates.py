"""Replicates run by outside programs: assignment of an open replicate and its seeds.

They were declared and numbered like those of workers; taking one is the same compare-and-set from
waiting to running, so pages, verdicts and decisions read the same records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.db.transaction import atomic
from django.utils import timezone

from experiments.design import configuration as configurations
from experiments.design.queries.records import AnyTrial
from experiments.errors import Conflict, NotFound, Problem
from experiments.models import (
    Configuration,
    Experiment,
    Replication,
    Trial,
    trial_encoding,
)
from experiments.models.project import Role
from experiments.models.replication import Purpose
from experiments.models.trial import StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services.runs import KEY
from experiments.verdict.services.judging import check_declared
from experiments.verdict.services.replications import is_decided

_UNREADABLE = object()


@dataclass(frozen=True, slots=True)
class ReplicateRequest:
    """A program's request for a replicate.

    `pair` counts from 0, None for the next open one. Seeds are None where the program uses those
    that it is handed. `params`: what it will train with, None to take what was declared. `key`
    makes asking a second time harmless.
    """

    experiment: str
    replication: int
    side: str
    pair: int | None = None
    train_seed: int | None = None
    split_seed: int | None = None
    params: Mapping[str, Any] | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class ClaimedReplicate:
    """A replicate claimed by a program, with its parameters."""

    run_id: int
    number: int
    pair: int
    train_seed: int | None
    split_seed: int | None
    parameters: Mapping[str, Any]
    official_metric: str
    direction: str
    new: bool


@dataclass(frozen=True, slots=True)
class _Open:
    """A replicate that nobody runs yet, and the seeds that pair it with the other side's."""

    trial: Trial
    train_seed: int | None
    split_seed: int | None

    def fits(self, wanted: ReplicateRequest) -> bool:
        return all(
            asked is None or asked == own
            for asked, own in (
                (wanted.train_seed, self.train_seed),
                (wanted.split_seed, self.split_seed),
            )
        )


def claim(*, access: Access, wanted: ReplicateRequest) -> ClaimedReplicate:
    """Claim an open replicate of a declared replication.

    A program that names no seeds is handed the declared ones. One that names the seeds of an open
    pair gets that pair; one that names others runs the next open replicate with its own, provided
    that they are fresh. A replicate that is repeated after an accident keeps its seeds.

    Raises:
        NotAllowed: when the user is not an editor of the project.
        NotFound: when the experiment has no such replication.
        Conflict: when workers run it, it is decided, no replicate is open, the parameters are
            others than declared, or the seeds are not fresh.
    """
    access.require(Role.EDITOR)
    with atomic():
        replication = _replication(access.project_id, wanted)
        of_side = Trial.objects.replicates_of(replication).filter(study__side=wanted.side)
        existing = _by_key(of_side, wanted.key)
        if existing is not None:
            return _taken(existing, replication, new=False)
        if is_decided(replication):
            raise Conflict(
                f"Replication {replication.pk} has been decided; it takes no more replicates."
            )
        _check_parameters(_configuration(replication, wanted.side), wanted)
        chosen = _choose(replication, of_side, wanted)
        if not chosen.fits(wanted):
            _check_own_seeds(replication, of_side, chosen, wanted)
        return _taken(_start(chosen, wanted), replication, new=True)


def _replication(project_id: int, wanted: ReplicateRequest) -> Replication:
    """The replication, its experiment locked."""
    experiment = (
        Experiment.objects.select_for_update()
        .filter(project_id=project_id, name=wanted.experiment)
        .first()
    )
    replication = (
        Replication.objects.select_related("experiment", "candidate", "baseline")
        .filter(pk=wanted.replication, experiment=experiment, purpose=Purpose.VERDICT)
        .first()
    )
    if experiment is None or replication is None:
        raise NotFound(f"{wanted.experiment} has no replication {wanted.replication}.")
    check_declared(replication)
    if not experiment.is_from_outside:
        raise Conflict(f"Workers run the replicates of {experiment.name}.")
    return replication


def _configuration(replication: Replication, side: str) -> Configuration:
    found = replication.candidate if side == "candidate" else replication.baseline
    assert found is not None  # a constraint: a replication for a verdict has a baseline
    return found


def _by_key(rows: QuerySet[Trial], key: str) -> Trial | None:
    if not key:
        return None
    found = rows.filter(system_attributes__contains=json.dumps(key))
    return next((row for row in found if json.loads(row.system_attributes).get(KEY) == key), None)


def _check_parameters(configuration: Configuration, wanted: ReplicateRequest) -> None:
    """Check that the program trains with what was declared, name by name."""
    if wanted.params is None:
        return
    declared = json.loads(configuration.document)["parameters"]
    asked = configurations.storable(wanted.params)
    problems = [
        Problem(f"params.{name}", _otherwise(name, declared, asked))
        for name in dict.fromkeys([*declared, *asked])
        if _shown(declared, name) != _shown(asked, name)
    ]
    if problems:
        raise Conflict(
            f"These are not the parameters of the {wanted.side}; leave them out to be handed "
            "those that were declared.",
            problems,
        )


def _shown(parameters: Mapping[str, Any], name: str) -> Any:
    """A value as configurations tell values apart: 1, 1.0 and True are three."""
    return repr(parameters[name]) if name in parameters else _UNREADABLE


def _otherwise(name: str, declared: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    want = repr(declared[name]) if name in declared else "none"
    found = repr(asked[name]) if name in asked else "none"
    return f"expected {want:.100}, found {found:.100}"


def _choose(replication: Replication, of_side: QuerySet[Trial], wanted: ReplicateRequest) -> _Open:
    """The open replicate with the seeds that were named, else the next one."""
    waiting = of_side.filter(state=TrialState.WAITING).order_by("pair", "number")
    others = _seeds_of_the_other_side(replication, wanted.side)
    found = [
        _Open(trial, *others.get(trial.pair or 0, (trial.train_seed, trial.split_seed)))
        if trial.retry_of_id is None
        else _Open(trial, trial.train_seed, trial.split_seed)
        for trial in waiting
    ]
    if wanted.pair is not None:
        found = [replicate for replicate in found if replicate.trial.pair == wanted.pair]
    if found:
        return next((replicate for replicate in found if replicate.fits(wanted)), found[0])
    upto = replication.pairs_queued
    if wanted.pair is not None and wanted.pair < upto:
        what = f"Replicate {wanted.pair + 1} of the {wanted.side} is taken"
    else:
        what = f"All {upto} replicates of the {wanted.side} at this look are taken"
    raise Conflict(f"{what}; more are declared by going on to the next look.")


def _seeds_of_the_other_side(
    replication: Replication, side: str
) -> dict[int, tuple[int | None, int | None]]:
    """By pair, the seeds of replicates that the other side has run or runs."""
    rows = (
        Trial.objects.replicates_of(replication)
        .exclude(study__side=side)
        .exclude(state=TrialState.WAITING)
        .order_by("number")
    )
    return {
        pair or 0: (train, split)
        for pair, train, split in rows.values_list("pair", "train_seed", "split_seed")
    }


def _check_own_seeds(
    replication: Replication, of_side: QuerySet[Trial], chosen: _Open, wanted: ReplicateRequest
) -> None:
    """Seeds of the program's own: nothing was chosen on them, and none stands there already."""
    if chosen.trial.retry_of_id is not None:
        raise Conflict(
            "What failed by accident is repeated with its own seeds: leave them out.",
            [
                Problem("train_seed", f"expected {chosen.train_seed}"),
                Problem("split_seed", f"expected {chosen.split_seed}"),
            ],
        )
    searched = Trial.objects.filter(
        study__experiment=replication.experiment_id, study__kind=StudyKind.SEARCH
    )
    others = of_side.exclude(pk=chosen.trial.pk)
    problems = []
    for name, asked, own in (
        ("train_seed", wanted.train_seed, chosen.train_seed),
        ("split_seed", wanted.split_seed, chosen.split_seed),
    ):
        if asked is None or asked == own:
            continue
        if searched.filter(**{name: asked}).exists():
            problems.append(
                Problem(name, f"{asked} was used by the runs that chose the candidate")
            )
        elif others.filter(**{name: asked}).exists():
            problems.append(Problem(name, f"{asked} is another replicate's of the {wanted.side}"))
    if problems:
        raise Conflict(
            "A replicate needs fresh seeds; leave them out to get the declared ones.",
            problems,
        )


def _start(chosen: _Open, wanted: ReplicateRequest) -> Trial:
    """Compare-and-set to running, with the seeds that it is run with."""
    now = timezone.now()
    train = chosen.train_seed if wanted.train_seed is None else wanted.train_seed
    split = chosen.split_seed if wanted.split_seed is None else wanted.split_seed
    changed = Trial.objects.filter(pk=chosen.trial.pk, state=TrialState.WAITING).update(
        state=TrialState.RUNNING,
        train_seed=train,
        split_seed=split,
        # Whoever names a split seed splits by it; of others the run says so at its end.
        read_split_seed=wanted.split_seed is not None or None,
        system_attributes=trial_encoding.encode({KEY: wanted.key} if wanted.key else {}),
        started_at=now,
        heartbeat_at=now,
    )
    if not changed:
        raise Conflict("Somebody has taken this replicate meanwhile; try again.")
    chosen.trial.refresh_from_db()
    return chosen.trial


def _taken(trial: AnyTrial, replication: Replication, *, new: bool) -> ClaimedReplicate:
    configuration = _configuration(replication, trial.study.side)
    experiment = replication.experiment
    return ClaimedReplicate(
        run_id=trial.pk,
        number=trial.number,
        pair=trial.pair or 0,
        train_seed=trial.train_seed,
        split_seed=trial.split_seed,
        parameters=json.loads(configuration.document)["parameters"],
        official_metric=experiment.official_metric,
        direction=experiment.direction,
        new=new,
    )
