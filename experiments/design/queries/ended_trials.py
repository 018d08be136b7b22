"""Ended trials of a search as rules across trials see them; each is read once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Q

from experiments.analysis.curves import trial_reading
from experiments.analysis.curves.trial_reading import TrialReading
from experiments.analysis.design.hyperparameter_kinds import HyperparameterKind, number_of
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.search_trials import TrialSummary
from experiments.design.document import experiment_file
from experiments.design.queries.axes import positions
from experiments.design.space.search_space import Arm
from experiments.design.trial_names import trial_name
from experiments.models import Experiment, Study, Trial
from experiments.models import TrialReading as StoredReading
from experiments.models.trial import FINISHED, FailureKind, StudyKind, TrialState
from experiments.models.trial_encoding import decode

_NOT_TRIED = (FailureKind.LOST, FailureKind.CANCELLED)  # says nothing of the configuration
_AT_ONCE = 500  # values in one list of SQL


@dataclass(frozen=True, slots=True)
class EndedTrial:
    """A trial of a search that was tried to its end.

    Attributes:
        positions: along every searched hyperparameter, see `Axis`.
        trained: whether it did not fail, and its training loss fell.
        reading: of its curves; without any where nobody has read them.
    """

    summary: TrialSummary
    parameters: Mapping[str, Any]
    positions: tuple[float, ...]
    is_complete: bool
    trained: bool
    reading: TrialReading


class _Row(NamedTuple):
    id: int
    study: int
    number: int
    state: int
    value: float | None
    text: str
    failure: str
    findings_due: bool


@dataclass(slots=True)
class _Search:
    """Trials of one search that were read.

    `trials`: by number, of each study; None where not tried. `unread`: those whose curves are
    still to be read.
    """

    document: str
    trials: dict[int, dict[int, EndedTrial | None]] = field(default_factory=dict)
    unread: dict[int, _Row] = field(default_factory=dict)


class TrialCache:
    """Ended trials and their readings never change: each is read from the database once.

    One for each thread or lock; `most` searches are kept.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._searches: dict[int, _Search] = {}

    def forget(self, experiment_id: int) -> None:
        """Read a search from its beginning next time."""
        self._searches.pop(experiment_id, None)

    def ended(self, experiment: Experiment) -> list[EndedTrial]:
        """The trials that have been tried, by arm and number. Three queries."""
        known = self._searches.pop(experiment.pk, None)
        if known is None or known.document != experiment.document:
            known = _Search(experiment.document)
        self._searches[experiment.pk] = known  # the most recently used stands last
        while len(self._searches) > self._most:
            self._searches.pop(next(iter(self._searches)))
        arms = dict(
            Study.objects.filter(
                experiment=experiment.pk, kind=StudyKind.SEARCH, deleted_at__isnull=True
            )
            .order_by("arm_index", "pk")
            .values_list("pk", "arm_index")
        )
        try:
            _read_on(known, arms)
        except BaseException:
            self.forget(experiment.pk)
            raise
        return [
            trial
            for study in arms
            for _, trial in sorted(known.trials.get(study, {}).items())
            if trial is not None
        ]


def _read_on(known: _Search, arms: Mapping[int, int]) -> None:
    """Read the trials that have ended since, and the readings that were still to come."""
    rows = [_Row(*row) for row in _unknown(known, list(arms))]
    for row in rows:
        known.trials.setdefault(row.study, {})[row.number] = None
    rows += [row for row in known.unread.values() if row.study in arms]
    tried = {row.id: row for row in rows if row.failure not in _NOT_TRIED}
    readings = _readings(list(tried))
    for trial in _as_ended(list(tried.values()), readings, arms, known.document):
        row = tried[trial.summary.id]
        known.trials[row.study][row.number] = trial
    known.unread = {
        id: row for id, row in tried.items() if row.findings_due and id not in readings
    }


def _unknown(known: _Search, studies: Sequence[int]) -> Sequence[tuple[Any, ...]]:
    """Rows of ended trials above the last known number of each study, and in the gaps below."""
    if not studies:
        return ()
    condition = Q(pk__in=())
    for study in studies:
        numbers = known.trials.get(study, {})
        last = max(numbers, default=-1)
        gaps = [number for number in range(last) if number not in numbers]
        if len(gaps) > _AT_ONCE:
            condition |= Q(study=study, number__gte=gaps[0])
        else:
            condition |= Q(study=study, number__gt=last)
            condition |= Q(study=study, number__in=gaps)
    rows = Trial.objects.filter(condition, state__in=FINISHED).order_by()
    return list(
        rows.values_list(
            "pk",
            "study_id",
            "number",
            "state",
            "value",
            "parameters",
            "failure_kind",
            "findings_due",
        )
    )


def _readings(trial_ids: Sequence[int]) -> dict[int, TrialReading]:
    """Readings of these trials, as far as there are any."""
    found = {}
    for start in range(0, len(trial_ids), _AT_ONCE):
        rows = StoredReading.objects.filter(trial_id__in=trial_ids[start : start + _AT_ONCE])
        for trial_id, text in rows.values_list("trial_id", "document"):
            reading = trial_reading.from_document(text)
            if reading is not None:
                found[trial_id] = reading
    return found


def _as_ended(
    rows: Sequence[_Row],
    readings: Mapping[int, TrialReading],
    arms: Mapping[int, int],
    document: str,
) -> list[EndedTrial]:
    if not rows:
        return []
    file = experiment_file.stored(document)
    every = file.arms()
    parameters = [decode(row.text) for row in rows]
    places = positions(file.space, parameters)
    found = []
    for row, values, place in zip(rows, parameters, places, strict=True):
        reading = readings.get(row.id)
        found.append(
            EndedTrial(
                summary=_summary(row, values, reading, arms[row.study], every),
                parameters=values,
                positions=tuple(place.tolist()),
                is_complete=row.state == TrialState.COMPLETE,
                trained=row.state != TrialState.FAILED and (reading is None or reading.trained),
                reading=reading or TrialReading(),
            )
        )
    return found


def _summary(
    row: _Row,
    parameters: Mapping[str, Any],
    reading: TrialReading | None,
    arm: int,
    arms: Sequence[Arm],
) -> TrialSummary:
    read = reading or TrialReading()
    complete = complete_of(parameters, arm, arms)
    score = math.nan if row.value is None else row.value
    return TrialSummary(
        id=row.id,
        number=row.number,
        name=trial_name(row.number, arm=arm, arms=len(arms)),
        score=score,
        feasible=_feasible(row, score, reading),
        configuration=json.dumps(parameters, sort_keys=True, default=str),
        pruned=row.state == TrialState.PRUNED,
        arm=arm,
        rules={rule: Status(status) for rule, status in read.rules.items()},
        best_step_share=read.best_step_share,
        rate=number_of(complete, HyperparameterKind.LEARNING_RATE) or math.nan,
        fit=read.fit,
        early_divergence=read.early_divergence,
        fit_step=read.fit_step,
        batch_size=number_of(complete, HyperparameterKind.BATCH_SIZE) or math.nan,
        throughput=read.throughput,
        late_deviation=read.late_deviation,
        improvement=read.improvement,
        resolution=read.resolution,
    )


def _feasible(row: _Row, score: float, reading: TrialReading | None) -> bool:
    """Test whether a trial ended in finite numbers, however well it learned."""
    ended = row.state == TrialState.PRUNED or math.isfinite(score)
    return row.state != TrialState.FAILED and ended and (reading is None or reading.finite)


def complete_of(parameters: Mapping[str, Any], arm: int, arms: Sequence[Arm]) -> Mapping[str, Any]:
    """All hyperparameters of a trial: searched, fixed, and those of its arm."""
    return arms[arm].complete(parameters) if arm < len(arms) else parameters
