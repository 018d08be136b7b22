"""Stored trials as Optuna's `FrozenTrial`."""

from __future__ import annotations

import copy
import datetime as dt
import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from experiments.models.trial_rows import TrialRow
    from experiments.trials.lifecycle.services.trial_creation import TrialFields

# Why a trial failed where Optuna has one word for all: "lost" (its worker died, or it fell
# silent), "infeasible" (no finite value), "cancelled". Read-only, in `system_attrs`.
FAILURE_ATTRIBUTE = "verdict:failure_kind"
# Times as they were given, where the clocks never show them (in spring they skip an hour).
GIVEN_ATTRIBUTE = "verdict:given_times"
_TOLD_APART = frozenset({"lost", "infeasible", "cancelled"})


def frozen(row: TrialRow, reports: dict[int, float] | None = None) -> FrozenTrial:
    """Optuna's view of a row; `reports` are those of an unfinished trial."""
    system_attributes = row.system_attributes
    if row.failure_kind in _TOLD_APART:
        system_attributes[FAILURE_ATTRIBUTE] = row.failure_kind
    start, complete = _local(row.started_at), _local(row.finished_at)
    given = system_attributes.pop(GIVEN_ATTRIBUTE, None)
    if given is not None:
        start, complete = (
            None if moment is None else Moment.fromisoformat(moment) for moment in given
        )
    return FrozenTrial(
        number=row.number,
        state=TrialState(row.state),
        value=None,
        values=row.values,
        datetime_start=start,
        datetime_complete=complete,
        params=row.parameters,
        distributions=dict(row.distributions),
        user_attrs=row.user_attributes,
        system_attrs=system_attributes,
        intermediate_values=row.reports if reports is None else reports,
        trial_id=row.id,
    )


@contextmanager
def many_objects() -> Iterator[None]:
    """Make many objects that stay: looking for garbage among them costs a third of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def copies(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that a caller may change: `copy.deepcopy` for what a trial can hold, far cheaper.

    Distributions are shared, as Optuna treats them as values.
    """
    with many_objects():
        return [_copy(trial) for trial in trials]


def _copy(trial: FrozenTrial) -> FrozenTrial:
    return FrozenTrial(
        number=trial.number,
        state=trial.state,
        value=None,
        values=trial.values,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=trial.params.copy(),
        distributions=trial.distributions.copy(),
        user_attrs=_deep(trial.user_attrs),
        system_attrs=_deep(trial.system_attrs),
        intermediate_values=trial.intermediate_values.copy(),
        trial_id=trial._trial_id,
    )


def fields(trial: FrozenTrial) -> TrialFields:
    """Fields of one of Optuna's trials at creation."""
    found: TrialFields = {
        "state": trial.state.value,
        "parameters": {
            name: (value, trial.distributions[name]) for name, value in trial.params.items()
        },
        "values": trial.values,
        "user_attributes": trial.user_attrs,
        "system_attributes": trial.system_attrs,
        "reports": trial.intermediate_values,
        "started_at": _aware(trial.datetime_start),
        "finished_at": _aware(trial.datetime_complete),
    }
    times = (trial.datetime_start, trial.datetime_complete)
    if any(time is not None and _local(_aware(time)) != time for time in times):
        given = [None if moment is None else moment.isoformat() for moment in times]
        found["system_attributes"] = {**trial.system_attrs, GIVEN_ATTRIBUTE: given}
    kind = trial.system_attrs.get(FAILURE_ATTRIBUTE)
    if trial.state == TrialState.FAIL and kind in _TOLD_APART:
        found["failure_kind"] = kind
        found["system_attributes"] = {
            key: value
            for key, value in found["system_attributes"].items()
            if key != FAILURE_ATTRIBUTE
        }
    return found


class Moment(dt.datetime):
    """Optuna's naive local time whose differences are those of UTC: a trial that runs while the
    clocks are put back or on lasts as long as it does.
    """

    def __sub__(self, other: Any) -> Any:
        return _between(other, self) if isinstance(other, dt.datetime) else super().__sub__(other)

    def __rsub__(self, other: dt.datetime) -> dt.timedelta:
        return _between(self, other)


def _between(first: dt.datetime, second: dt.datetime) -> dt.timedelta:
    found: dt.timedelta = dt.datetime.__sub__(second.astimezone(dt.UTC), first.astimezone(dt.UTC))
    return found


def _aware(moment: dt.datetime | None) -> dt.datetime | None:
    """Optuna's naive local time in UTC."""
    return None if moment is None else moment.astimezone(dt.UTC)


def _local(moment: dt.datetime | None) -> Moment | None:
    if moment is None:
        return None
    local = dt.datetime.fromtimestamp(moment.timestamp())
    # Other ways to make one of a subclass lose the fold.
    return Moment(*local.timetuple()[:6], local.microsecond, fold=local.fold)


def _deep(attributes: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(attributes) if attributes else {}
