"""An experiment's search trials as a table: narrowed, ordered and cut by the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Case, F, FloatField, Func, IntegerField, QuerySet, Value, When
from django.db.models.expressions import OrderBy

from experiments.design.configuration import short_code
from experiments.design.queries.experiments import ArmRow
from experiments.design.trial_names import trial_name
from experiments.models import Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.findings.queries.findings import fired_by_trial
from experiments.web.pagination import Page, PageOf, page_bounds

STATE_WORDS: dict[int, str] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAILED: "failed",
    TrialState.WAITING: "waiting",
}
# Unfinished trials have no score yet; among equal scores the earlier trial stands first.
_PLAIN_ORDERS = {
    "number": ("number", "study__arm_index"),
    "seconds": ("seconds", "number"),
    "step": ("best_step", "number"),
    "arm": ("study__arm_index", "number"),
    "state": ("state", "number"),
}
ROWS = 25
_FIRST_PAGE = PageOf(size=ROWS)
# Columns that no table shows.
HEAVY = ("log_tail", "traceback", "reports", "system_attributes", "user_attributes")


@dataclass(frozen=True, slots=True)
class TrialFilter:
    """Filter of the table; `order` is "score", a column or "p.<hyperparameter>"."""

    state: str = ""
    arm: str = ""
    order: str = "score"
    descending: bool = False
    page: PageOf = _FIRST_PAGE


@dataclass(frozen=True, slots=True)
class TrialRow:
    """`score` is the latest value while the trial runs; `code` the first digits of the digest of
    its code, or of the commit of a command's.
    """

    id: int
    name: str
    number: int
    state: str
    arm: str
    parameters: dict[str, Any]
    score: float | None
    step: float | None
    seconds: float | None
    origin: str
    failure: str
    findings: tuple[tuple[str, str], ...]
    started_at: datetime | None
    run_name: str = ""
    code: str = ""

    @property
    def running(self) -> bool:
        return self.state == "running"


def list_trials(
    experiment_id: int,
    arms: Sequence[ArmRow],
    wanted: TrialFilter,
    *,
    direction: str,
    parameters: Sequence[str],
) -> Page[TrialRow]:
    """A page of search trials with their open findings. Three queries."""
    rows = narrowed(experiment_id, arms, wanted)
    total = rows.count()
    number, start, end = page_bounds(wanted.page, total)
    ordered = rows.order_by(*table_order(wanted, direction, parameters))
    page = list(ordered.select_related("study", "configuration").defer(*HEAVY)[start:end])
    fired = fired_by_trial([row.pk for row in page])
    labels = {arm.study_id: arm.label for arm in arms}
    built = [_row(row, len(arms), labels, fired.get(row.pk, ())) for row in page]
    return Page(built, number, total, wanted.page.size)


def narrowed(experiment_id: int, arms: Sequence[ArmRow], wanted: TrialFilter) -> QuerySet[Trial]:
    """The search trials that the filter lets through, in no order yet."""
    rows = search_trials(experiment_id)
    states = {word: state for state, word in STATE_WORDS.items()}
    if wanted.state in states:
        rows = rows.filter(state=states[wanted.state])
    letters = {arm.letter: arm.study_id for arm in arms}
    if wanted.arm in letters:
        rows = rows.filter(study_id=letters[wanted.arm])
    return rows


def search_trials(experiment_id: int) -> QuerySet[Trial]:
    """All trials of an experiment's searches, replicates left out."""
    return Trial.objects.filter(
        study__experiment_id=experiment_id,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
    )


# An argument of `order_by`.
Order = str | OrderBy | Case


def table_order(wanted: TrialFilter, direction: str, parameters: Sequence[str]) -> list[Order]:
    """Arguments of `order_by` for the order that is wanted."""
    if wanted.order == "score":
        best_first = F("value").asc if direction == "minimize" else F("value").desc
        worst_first = F("value").desc if direction == "minimize" else F("value").asc
        by = (worst_first if wanted.descending else best_first)(nulls_last=True)
        # Running trials stand above those that never got a score.
        unfinished = Case(
            When(state=TrialState.RUNNING, then=Value(0)),
            When(state=TrialState.WAITING, then=Value(2)),
            default=Value(1),
            output_field=IntegerField(),
        )
        return [by, unfinished, "number", "study__arm_index"]
    name = wanted.order.removeprefix("p.")
    if wanted.order.startswith("p.") and name in parameters:
        return [_parameter_order(name, wanted.descending), "number"]
    first, *rest = _PLAIN_ORDERS.get(wanted.order, _PLAIN_ORDERS["number"])
    column = F(first).desc if wanted.descending else F(first).asc
    return [column(nulls_last=True), *rest]


def _parameter_order(name: str, descending: bool) -> OrderBy:
    """By one hyperparameter's value inside the JSON text of the column."""
    if connection.vendor == "postgresql":
        value = Func(
            F("parameters"), Value(name), template="(%(expressions)s)", arg_joiner="::jsonb -> "
        )
    else:
        value = Func(
            F("parameters"),
            Value(f"$.{json.dumps(name)}"),
            function="json_extract",
            output_field=FloatField(),
        )
    return OrderBy(value, descending=descending, nulls_last=True)


def _row(
    trial: Trial, arms: int, labels: dict[int, str], findings: tuple[tuple[str, str], ...]
) -> TrialRow:
    running = trial.state == TrialState.RUNNING
    return TrialRow(
        id=trial.pk,
        name=trial_name(trial.number, arm=trial.study.arm_index, arms=arms),
        number=trial.number,
        state=STATE_WORDS[TrialState(trial.state)],
        arm=labels.get(trial.study_id, ""),
        parameters=decode(trial.parameters),
        score=trial.latest_value if running else trial.value,
        step=trial.latest_step if running else trial.best_step,
        seconds=trial.seconds,
        origin=trial.origin,
        failure=trial.failure_reason,
        findings=findings,
        started_at=trial.started_at,
        run_name=trial.run_name,
        code=short_code(trial.configuration.document) if trial.configuration else "",
    )
