"""Read the trials of a search along its hyperparameters: the input of rules about the space."""

from __future__ import annotations

import math

import numpy as np

from experiments import experiment_file
from experiments.analysis.space import Axis, AxisKind, unit_positions
from experiments.models import Experiment, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.search_space import Hyperparameter, Range, searched_domain
from experiments.trial_encoding import decode


def axes(experiment_id: int) -> list[Axis]:
    """One axis for each searched hyperparameter over all finished search trials. Two queries.

    Complete and pruned trials count; failed ones are infeasible. Pruned ones have no score that
    could be compared, so they are left out.
    """
    source = Experiment.objects.values_list("source", flat=True).get(pk=experiment_id)
    space = experiment_file.parse(source).space
    rows = list(
        Trial.objects.filter(
            study__experiment_id=experiment_id,
            study__kind=StudyKind.SEARCH,
            study__deleted_at__isnull=True,
            state__in=(TrialState.COMPLETE, TrialState.FAILED),
        )
        .order_by("study__arm_index", "number")
        .values_list("parameters", "value", "state", "study__arm_index")
    )
    parameters = [decode(text) for text, *_ in rows]
    scores = np.array([math.nan if value is None else value for _, value, *_ in rows])
    feasible = np.array([state == TrialState.COMPLETE for *_, state, _ in rows], dtype=bool)
    arms = np.array([arm for *_, arm in rows], dtype=np.int64)
    several = len(set(arms.tolist())) > 1
    searched = {each.name: each for arm in space.arms() for each in arm.searched}
    return [
        _axis(
            each,
            [found.get(name) for found in parameters],
            scores,
            feasible,
            arms if several else None,
        )
        for name, each in searched.items()
    ]


def _axis(
    each: Hyperparameter,
    values: list[object],
    scores: np.ndarray,
    feasible: np.ndarray,
    arms: np.ndarray | None,
) -> Axis:
    domain = searched_domain(each)
    if isinstance(domain, Range):
        return Axis(
            name=each.name,
            unit=unit_positions(values, low=domain.low, high=domain.high, log=domain.log),
            scores=scores,
            feasible=feasible,
            kind=AxisKind.INTEGER if domain.integer else AxisKind.CONTINUOUS,
            natural=each.natural,
            low=domain.low,
            high=domain.high,
            log=domain.log,
            arm=arms,
        )
    return Axis(
        name=each.name,
        unit=unit_positions(values, choices=domain.values),
        scores=scores,
        feasible=feasible,
        kind=AxisKind.ORDERED if domain.ordered else AxisKind.CATEGORICAL,
        natural=each.natural,
        choices=domain.values,
        arm=arms,
    )
