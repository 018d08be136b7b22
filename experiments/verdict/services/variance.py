"""Measure one source of variance: training seed, data split, or the search itself.

"Deep Learning Tuning Playbook", 'Determining whether to adopt a training pipeline change':
trial, study and data variance. Each is measured alone, the other seeds held.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from experiments import dispatch
from experiments.analysis.seeds.fresh_seeds import fresh_seeds
from experiments.design.document import experiment_file, experiment_yaml
from experiments.design.follow_ups.experiment_changes import as_file
from experiments.design.queries.records import AnyExperiment, AnyReplication, AnyTrial
from experiments.design.space.search_space import ARM, Fixed, SearchSpace
from experiments.errors import Conflict, NotOpenYet, Problem, VerdictError
from experiments.models import Configuration, Experiment, Replication, Study, Trial
from experiments.models.experiment import ExperimentState
from experiments.models.project import Role
from experiments.models.replication import Purpose
from experiments.models.trial import Origin, Side, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import experiments, trials

DEFAULT_RUNS = 5
DEFAULT_SEARCHES = 3
SEEDS_OF_A_WINNER = 3
_FEWEST, _MOST = 2, 100


def measure(
    *,
    access: Access,
    experiment: AnyExperiment,
    purpose: str,
    runs: int | None = None,
    of: AnyReplication | None = None,
) -> Replication:
    """Queue the runs that measure one source of variance of a candidate.

    `of`: the replication whose candidate it is; by default the newest one's, and before the first
    the best trial of the search.

    `purpose` training_seed: `runs` fresh training seeds on one split; split_seed: `runs` splits
    under one training seed; search_seed: `runs` repeated searches of the candidate's arm, each
    winner re-run over fresh seeds that all winners share.

    Raises:
        NotOpenYet: before there is a candidate.
        Conflict: while this source is being measured.
        VerdictError: for an unknown purpose or a number of runs that cannot be.
    """
    access.require(Role.EDITOR, experiment)
    if purpose not in (Purpose.TRAINING_SEED, Purpose.SPLIT_SEED, Purpose.SEARCH_SEED):
        raise VerdictError("There is no such source.", [Problem("purpose", f"found {purpose!r}")])
    if experiment.is_from_outside:
        raise NotOpenYet("External programs run these trials: workers cannot measure variance.")
    count = runs or (DEFAULT_SEARCHES if purpose == Purpose.SEARCH_SEED else DEFAULT_RUNS)
    if not _FEWEST <= count <= _MOST:
        raise VerdictError(
            "The number of runs is wrong.", [Problem("runs", f"expected {_FEWEST} to {_MOST}")]
        )
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        candidate, trial = _candidate(locked, of)
        _check_not_measuring(locked, purpose, candidate)
        replication = Replication.objects.create(
            experiment=locked,
            purpose=purpose,
            candidate=candidate,
            candidate_trial=trial,
            looks=json.dumps([count]),
            level=0.05,
            root_seed=secrets.randbits(31),
            pairs_queued=count,
            created_by=access.user,
        )
        if purpose == Purpose.SEARCH_SEED:
            _repeat_searches(access, replication, trial, count)
        else:
            _queue_runs(replication, count)
    return replication


def _candidate(experiment: Experiment, of: AnyReplication | None) -> tuple[Configuration, Trial]:
    """The candidate of a replication, else of the newest, else the best trial of the search."""
    verdicts = experiment.replications.filter(purpose=Purpose.VERDICT)
    chosen = verdicts.first() if of is None else verdicts.filter(pk=of.pk).first()
    trial = chosen.candidate_trial if chosen is not None else experiment.best_trial
    if trial is None or trial.configuration is None or (of is not None and chosen is None):
        raise NotOpenYet("There is no complete trial whose variance could be measured.")
    return trial.configuration, trial


def _check_not_measuring(experiment: Experiment, purpose: str, candidate: Configuration) -> None:
    for replication in experiment.replications.filter(purpose=purpose, candidate=candidate):
        if is_running(replication):
            raise Conflict("This source is being measured already.")


def is_running(replication: Replication) -> bool:
    """Test whether a measurement has open runs."""
    unfinished = Trial.objects.filter(
        study__replication=replication, state__in=(TrialState.WAITING, TrialState.RUNNING)
    )
    if unfinished.exists():
        return True
    return replication.searches.exclude(
        state__in=(ExperimentState.STOPPED, ExperimentState.FINISHED)
    ).exists() or any(True for _ in _searches_without_winner(replication.pk))


def _study_name(replication: Replication, name: str) -> str:
    experiment = replication.experiment
    return f"{experiment.project.slug}/{experiment.name}/replication {replication.pk}/{name}"


def _winner(search: Experiment) -> str:
    return f"winner of search {search.pk}"


def _study(replication: Replication, name: str) -> Study:
    experiment = replication.experiment
    return Study.objects.create(
        project=experiment.project,
        experiment=experiment,
        replication=replication,
        kind=StudyKind.REPLICATION,
        side=Side.CANDIDATE,
        name=_study_name(replication, name),
        directions=experiment.direction,
    )


def _used_seeds(experiment: Experiment) -> set[int]:
    rows = Trial.objects.filter(study__project=experiment.project).values_list(
        "train_seed", "split_seed"
    )
    return {seed for both in rows.iterator() for seed in both if seed is not None}


def _queue_runs(replication: Replication, count: int) -> None:
    experiment = replication.experiment
    fresh = fresh_seeds(count + 1, root=replication.root_seed, taken=_used_seeds(experiment))
    over_splits = replication.purpose == Purpose.SPLIT_SEED
    study = _study(replication, replication.purpose)
    for index in range(count):
        trials.create(
            study_id=study.pk,
            state=TrialState.WAITING,
            origin=Origin.REPLICATE,
            configuration_id=replication.candidate_id,
            pair=index,
            train_seed=fresh[count] if over_splits else fresh[index],
            split_seed=fresh[index] if over_splits else experiment.split_seed,
            search_seed=experiment.seed,
        )
    dispatch.wake(experiment.queue, min(experiment.parallel, count))


def _repeat_searches(
    access: Access, replication: Replication, trial: AnyTrial, count: int
) -> None:
    experiment = replication.experiment
    taken = set(
        Experiment.objects.filter(project=experiment.project).values_list("seed", flat=True)
    )
    seeds = fresh_seeds(count, root=replication.root_seed, taken=taken)
    for number, seed in enumerate(seeds, start=1):
        text = repeated_search_file(
            experiment.source,
            experiment_file.stored(experiment.document).space,
            arm=json.loads(trial.study.arm),
            name=f"{experiment.name} - repeat {replication.pk}.{number}"[:200],
            seed=seed,
        )
        search = experiments.create(access=access, text=text, extends=experiment)
        Experiment.objects.filter(pk=search.pk).update(repeat_of=replication)


def repeated_search_file(
    source: str, space: SearchSpace, *, arm: Mapping[str, Any], name: str, seed: int
) -> str:
    """The file of the same search in one arm under another seed, without known-good trials."""
    document = experiment_yaml.load(source, [])
    document["experiment"] = name
    document["search"] = {**document["search"], "seed": seed}
    document["search"].pop("earlier_trials", None)  # a repeated search begins from nothing
    for key in ("first", "extends"):
        document.pop(key, None)
    hyperparameters = {}
    for hyperparameter in space.hyperparameters:
        if hyperparameter.name not in document["hyperparameters"]:
            continue  # the whole budget of a fidelity, which stands elsewhere in the file
        entry = dict(document["hyperparameters"][hyperparameter.name])
        if hyperparameter.name in arm:
            entry = {"role": "fixed", "value": arm[hyperparameter.name]}
        elif isinstance(hyperparameter.domain, Fixed) and hyperparameter.domain.by in arm:
            entry = {
                "role": "fixed",
                "value": hyperparameter.domain.value_under(arm),
            }
        hyperparameters[hyperparameter.name] = entry
    document["hyperparameters"] = _in_this_arm(hyperparameters, arm)
    if space.named:
        runs = document.pop("arms")[arm[ARM]] or {}
        document.update({key: runs[key] for key in ("commit", "data") if runs.get(key)})
    return as_file(source, document)


def _in_this_arm(
    hyperparameters: dict[str, dict[str, Any]], arm: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Without what does not exist in the arm; conditions that hold there are dropped."""
    values = {}
    for name, entry in hyperparameters.items():
        when = entry.pop("when", {}) or {}
        allowed = {
            other: among if isinstance(among, list) else [among] for other, among in when.items()
        }
        if all(other not in arm or arm[other] in among for other, among in allowed.items()):
            rest = {other: among for other, among in allowed.items() if other not in arm}
            values[name] = {**entry, "when": rest} if rest else entry
    return values


def _searches_without_winner(replication_id: int | None = None) -> list[Experiment]:
    """Repeated searches that have ended and whose winner has not been queued."""
    ended = Experiment.objects.filter(
        repeat_of__isnull=False,
        state__in=(ExperimentState.FINISHED, ExperimentState.STOPPED),
        best_trial__isnull=False,
    ).select_related("repeat_of__experiment", "best_trial__configuration")
    if replication_id is not None:
        ended = ended.filter(repeat_of=replication_id)
    return [search for search in ended if not _is_queued(search)]


def _is_queued(search: Experiment) -> bool:
    """The study's name says whose winner it is, and names are unique: nobody queues it twice."""
    assert search.repeat_of is not None
    name = _study_name(search.repeat_of, _winner(search))
    return Study.objects.filter(replication=search.repeat_of, name=name).exists()


def queue_winners() -> int:
    """Queue the winners of repeated searches that have ended; returns how many.

    Called by workers at every heartbeat; doing it twice is harmless.
    """
    queued = 0
    for search in _searches_without_winner():
        with transaction.atomic():
            assert search.repeat_of is not None
            replication = Replication.objects.select_for_update().get(pk=search.repeat_of.pk)
            if _is_queued(search):
                continue
            _queue_winner(replication, search)
            queued += 1
    return queued


def _queue_winner(replication: Replication, search: Experiment) -> None:
    # The same seeds for every winner, so that what differs is the configuration found.
    fresh = fresh_seeds(2 * SEEDS_OF_A_WINNER, root=replication.root_seed + 1)
    study = _study(replication, _winner(search))
    assert search.best_trial is not None
    for index in range(SEEDS_OF_A_WINNER):
        trials.create(
            study_id=study.pk,
            state=TrialState.WAITING,
            origin=Origin.REPLICATE,
            configuration_id=search.best_trial.configuration_id,
            pair=index,
            train_seed=fresh[2 * index],
            split_seed=fresh[2 * index + 1],
            search_seed=search.seed,
        )
    dispatch.wake(search.queue, SEEDS_OF_A_WINNER)
