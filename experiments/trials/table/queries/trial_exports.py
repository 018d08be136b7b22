"""The trials of a search for a file: narrowed and ordered as their table, read in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.design.configuration import short_code
from experiments.design.queries.experiments import ArmRow
from experiments.design.queries.records import AnyExperiment
from experiments.design.trial_names import trial_name
from experiments.models import Study
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.table.queries.trial_table import (
    STATE_WORDS,
    TrialFilter,
    narrowed,
    search_trials,
    table_order,
)
from experiments.trials.table.trial_files import ExportedTrial

PIECE = 1000
_COLUMNS = (
    "pk",
    "number",
    "study_id",
    "study__arm_index",
    "state",
    "value",
    "best_step",
    "seconds",
    "started_at",
    "finished_at",
    "train_seed",
    "split_seed",
    "origin",
    "failure_kind",
    "failure_reason",
    "configuration__document",
    "parameters",
)


def parameter_names(experiment_id: int) -> list[str]:
    """Every parameter that any of its trials has, scientific ones of the arms first."""
    names: dict[str, None] = {}
    for arm in _arm_values(experiment_id).values():
        names.update(dict.fromkeys(arm))
    rows = search_trials(experiment_id).order_by("pk").values_list("parameters", flat=True)
    for text in set(rows.iterator(PIECE)):
        names.update(dict.fromkeys(decode(text)))
    return list(names)


def exported_trials(
    experiment: AnyExperiment,
    arms: Sequence[ArmRow],
    wanted: TrialFilter,
    parameters: Sequence[str],
) -> Iterator[ExportedTrial]:
    """The trials that the filter lets through, in its order; a page's number means nothing."""
    ordered = narrowed(experiment.pk, arms, wanted).order_by(
        *table_order(wanted, experiment.direction, parameters)
    )
    keys = list(ordered.values_list("pk", flat=True))
    values, labels = _arm_values(experiment.pk), {arm.study_id: arm.label for arm in arms}
    for start in range(0, len(keys), PIECE):
        piece = keys[start : start + PIECE]
        rows = search_trials(experiment.pk).filter(pk__in=piece).values_list(*_COLUMNS)
        found = {row[0]: row for row in rows}
        for key in piece:
            if key in found:  # else deleted meanwhile
                yield _exported(found[key], len(arms), values, labels)


def _exported(
    row: tuple[Any, ...], arms: int, values: dict[int, dict[str, Any]], labels: dict[int, str]
) -> ExportedTrial:
    _, number, study, arm_index, state, *facts, configuration, parameters = row
    facts.append(short_code(configuration) if configuration else "")
    return ExportedTrial(
        trial_name(number, arm=arm_index, arms=arms),
        STATE_WORDS[TrialState(state)],
        labels.get(study, ""),
        {**values.get(study, {}), **decode(parameters)},
        *facts,
    )


def _arm_values(experiment_id: int) -> dict[int, dict[str, Any]]:
    rows = Study.objects.filter(
        experiment_id=experiment_id, kind=StudyKind.SEARCH, deleted_at__isnull=True
    ).order_by("arm_index", "pk")
    return {row.pk: json.loads(row.arm) for row in rows}
