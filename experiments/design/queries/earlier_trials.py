"""Trials of an experiment that lie inside the space of another one that extends it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.queries.records import AnyExperiment
from experiments.design.space.domains import refusal
from experiments.design.space.search_space import Arm, Scalar, same_scalar, searched_domain
from experiments.design.trial_names import trial_name
from experiments.models import Experiment, Study, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import decode

# Of a study: the ids of the earlier trials that its sampler was given, frozen at its creation.
ATTRIBUTE = "verdict:earlier_trials"
# What must be the same for two scores to be comparable, with the words for it.
_SAME = {
    "objective": "the objective",
    "folds": "the number of folds",
    "fidelity": "the budget of a trial",
    "early_stopping": "early stopping",
}


@dataclass(frozen=True, slots=True)
class EarlierTrial:
    """A complete trial of the older experiment; `arm` is the newer one's arm it would lie in."""

    id: int
    name: str
    arm: int
    score: float
    parameters: Mapping[str, Scalar]  # all of them, fixed ones too


@dataclass(frozen=True, slots=True)
class EarlierTrials:
    """Number of the older experiment's complete trials, and those inside the newer space.

    `why_none` says what keeps the two from being compared at all.
    """

    experiment: str
    complete: int
    inside: tuple[EarlierTrial, ...]
    why_none: str = ""


def earlier_trials(older: AnyExperiment, newer: ExperimentFile) -> EarlierTrials:
    """Trials of `older` that the space of `newer` holds, best first. Three queries at most.

    A trial lies inside when every one of its parameters has a value that an arm of `newer` fixes
    or searches, and there is no other. Scores are compared only between experiments of the same
    objective, folds, budget and early stopping. Kept until another trial of `older` is complete.
    """
    key = Experiment.objects.values_list("created_at", "complete_count").get(pk=older.pk)
    for document, found in _cache:
        if document[:2] == (older.pk, key) and document[2] == newer:
            return found
    found = _earlier_trials(older, newer)
    _cache.append(((older.pk, key, newer), found))
    return found


# The newest few answers; an experiment file holds mappings and so has no hash.
_cache: deque[tuple[tuple[int, object, ExperimentFile], EarlierTrials]] = deque(maxlen=8)


def _earlier_trials(older: AnyExperiment, newer: ExperimentFile) -> EarlierTrials:
    file = experiment_file.stored_or_none(older.document)
    if file is None:
        return EarlierTrials(older.name, older.complete_count, (), "it has no experiment file")
    differs = [words for key, words in _SAME.items() if getattr(file, key) != getattr(newer, key)]
    if differs:
        return EarlierTrials(older.name, older.complete_count, (), f"{', '.join(differs)} changed")
    studies = Study.objects.filter(experiment=older.pk, kind=StudyKind.SEARCH)
    arms, count = file.arms(), studies.filter(deleted_at__isnull=True).count()
    rows = Trial.objects.filter(
        study__experiment=older.pk,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
        state=TrialState.COMPLETE,
        value__isnull=False,
    ).order_by("-value" if older.direction == "maximize" else "value", "pk")
    into = [Holder(arm) for arm in newer.arms()]
    found = [
        EarlierTrial(
            key, trial_name(number, arm=index, arms=count), first_arm.arm.index, value, parameters
        )
        for key, number, index, text, value in rows.values_list(
            "pk", "number", "study__arm_index", "parameters", "value"
        )
        for parameters in [arms[index].complete(decode(text))]
        for first_arm in into
        if value is not None
        and first_arm.arm.runs == arms[index].runs
        and first_arm.holds(parameters)
    ]
    return EarlierTrials(older.name, older.complete_count, tuple(found))


class Holder:
    """Tells which parameters an arm could have drawn."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self._constants = arm.complete({})
        self._searched = {
            hyperparameter.name: searched_domain(hyperparameter) for hyperparameter in arm.searched
        }
        self._names = {*self._constants, *self._searched}

    def holds(self, parameters: Mapping[str, Any]) -> bool:
        """Test whether the arm could have drawn exactly these, fixed ones included."""
        if parameters.keys() != self._names:
            return False
        return all(
            same_scalar(value, self._constants[name])
            if name in self._constants
            else not refusal(self._searched[name], value)
            for name, value in parameters.items()
        )


@dataclass(frozen=True, slots=True)
class Remembered:
    """An earlier trial as a sampler's history needs it: what the newer arm searches, and score."""

    id: int
    searched: Mapping[str, Scalar]
    value: float


@lru_cache(maxsize=32)
def remembered(ids: tuple[int, ...], names: tuple[str, ...]) -> tuple[Remembered, ...]:
    """Earlier trials by their ids, in that order; `names` are what the newer arm searches.

    Kept: finished trials never change. One query.
    """
    rows = Trial.objects.filter(pk__in=ids, value__isnull=False).values_list(
        "pk", "parameters", "value", "study__arm_index", "study__experiment__document"
    )
    arms: dict[str, tuple[Arm, ...]] = {}
    found = {}
    for key, text, value, index, document in rows:
        if value is None:
            continue
        if document not in arms:
            arms[document] = experiment_file.stored(document).arms()
        everything = arms[document][index].complete(decode(text))
        found[key] = Remembered(key, {name: everything[name] for name in names}, value)
    return tuple(found[key] for key in ids if key in found)


def given_to_samplers(experiment_id: int) -> dict[int, tuple[int, ...]]:
    """Ids of the earlier trials that each arm's sampler was given, by the arm's index."""
    rows = Study.objects.filter(experiment_id=experiment_id, kind=StudyKind.SEARCH).values_list(
        "arm_index", "system_attributes"
    )
    return {index: ids for index, text in rows if (ids := ids_in(text))}


def ids_in(system_attributes: str) -> tuple[int, ...]:
    """The earlier trials that stand in a study's system attributes."""
    return tuple(decode(system_attributes).get(ATTRIBUTE, ()))
