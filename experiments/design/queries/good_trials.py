"""The best trials of a search, arm by arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.design.queries.records import AnyExperiment
from experiments.models import Study, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import decode

GOOD_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class ArmTrials:
    """Of one arm: how many trials are complete, and the parameters of its best quarter."""

    complete: int
    best: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class GoodTrials:
    arms: tuple[ArmTrials, ...]


def good_trials(experiment: AnyExperiment) -> GoodTrials:
    """The best quarter (rounded up) of each arm's complete trials; one query an arm."""
    order = "value" if experiment.direction == "minimize" else "-value"
    studies = Study.objects.filter(
        experiment=experiment.pk, kind=StudyKind.SEARCH, deleted_at__isnull=True
    )
    found = []
    for study in studies.order_by("arm_index").values_list("pk", flat=True):
        rows = Trial.objects.filter(
            study_id=study, state=TrialState.COMPLETE, value__isnull=False
        ).order_by(order, "number")
        complete = rows.count()
        best = rows.values_list("parameters", flat=True)[: math.ceil(complete * GOOD_SHARE)]
        found.append(ArmTrials(complete, tuple(decode(text) for text in best)))
    return GoodTrials(tuple(found))
