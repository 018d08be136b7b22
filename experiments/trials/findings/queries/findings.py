"""Findings as pages list them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, F, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber

from experiments.analysis.space.experiment_findings import CLAIMS
from experiments.design.queries.finding_counts import FindingCounts, count_findings, counts_of
from experiments.design.queries.records import AnyExperiment
from experiments.design.trial_names import trial_name
from experiments.models import Finding
from experiments.models.finding import GRAVEST_FIRST, MUTED

_GRAVITY = {name: place for place, name in enumerate(GRAVEST_FIRST)}
_RENAMED = {"rivals": "as_good"}  # keys of evidence that earlier versions stored
MOST_OPEN = 3  # on the experiment's page before the others are asked for
MOST_NAMED = 25  # trials of one rule; every trial shows its own findings
MOST_LISTED = 60  # open on the page; others follow once these are answered
_MOST_READ = 500


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding; `trial` is the name of the trial it speaks of, empty for the experiment.

    What one rule says of several trials is one finding: `trials` is their number, `others` names
    some of them beside `trial`.
    """

    id: int
    rule: str
    version: int
    subject: str
    status: str
    severity: str
    title: str
    detail: str
    meaning: str
    advice: str
    section: str
    action: str
    evidence: dict[str, Any]
    trial: str
    found_at: datetime
    dismissed_by: str
    dismissed_at: datetime | None
    dismiss_reason: str
    is_muted: bool = False  # by the experiment's switch
    others: tuple[str, ...] = ()  # further trials, or subjects, of which the rule says the same
    trial_id: int | None = None
    trials: int = 0

    @property
    def is_open(self) -> bool:
        """Test whether it asks for something: it fired and nobody dismissed it."""
        return self.status == "fired" and not self.is_dismissed

    @property
    def is_dismissed(self) -> bool:
        """Test whether a person dismissed it, or the experiment mutes its rule."""
        return self.dismissed_at is not None or self.is_muted

    @property
    def is_warning(self) -> bool:
        return self.is_open and self.severity in ("warning", "problem")

    @property
    def is_at_an_edge(self) -> bool:
        """Test whether it fired at an edge of the space beyond which something could be tried."""
        bounds = (self.evidence.get("suggested_low"), self.evidence.get("suggested_high"))
        return (
            self.rule in ("boundary", "edge_slope")
            and self.is_open
            and any(bound is not None for bound in bounds)
        )

    @property
    def unnamed(self) -> int:
        """Number of its trials that are not named."""
        return max(0, self.trials - len(self.others) - bool(self.trial))

    @property
    def look(self) -> str:
        """Icon of its mark."""
        if self.status == "passed":
            return "passed"
        if self.status != "fired":
            return "waiting"
        return "waiting" if self.is_dismissed else self.severity


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of an experiment: those that ask for something, and the rest."""

    rows: tuple[FindingRow, ...]
    counted: FindingCounts | None = None  # where `rows` leave some of very many out

    @property
    def open(self) -> tuple[FindingRow, ...]:
        return tuple(row for row in self.rows if row.is_open)

    @property
    def first(self) -> tuple[FindingRow, ...]:
        """The gravest open ones."""
        return self.open[:MOST_OPEN]

    @property
    def further(self) -> tuple[FindingRow, ...]:
        """The next open ones."""
        return self.open[MOST_OPEN:MOST_LISTED]

    @property
    def further_total(self) -> int:
        """Number of all open ones beside the first."""
        counts = self.counts
        return counts.problems + counts.warnings + counts.notices - len(self.first)

    @property
    def unlisted(self) -> int:
        """Number of open ones that a page does not list."""
        return self.further_total - len(self.further)

    @property
    def counts(self) -> FindingCounts:
        """Open findings by severity, as `count_findings` counts them for many experiments."""
        return self.counted or counts_of(row.severity for row in self.open)

    @property
    def dismissed(self) -> tuple[FindingRow, ...]:
        return tuple(row for row in self.rows if row.is_dismissed)

    @property
    def passed(self) -> tuple[FindingRow, ...]:
        return tuple(row for row in self.rows if row.status == "passed" and not row.is_dismissed)

    @property
    def waiting(self) -> tuple[FindingRow, ...]:
        return tuple(
            row for row in self.rows if row.status == "not_checkable" and not row.is_dismissed
        )

    @property
    def speaks_of_overfitting(self) -> bool:
        """Test whether muting that rule would change anything."""
        return any(row.rule == MUTED and row.is_open for row in self.rows)

    @property
    def quiet_summary(self) -> str:
        """1 dismissed, 5 passed, 1 not checkable yet."""
        quiet = {
            "dismissed": self.dismissed,
            "passed": self.passed,
            "not checkable yet": self.waiting,
        }
        return ", ".join(f"{len(rows)} {words}" for words, rows in quiet.items() if rows)

    @property
    def summary(self) -> str:
        """2 warnings, 5 passed, 1 not checkable yet."""
        return ", ".join(filter(None, (self.counts.summary, self.quiet_summary)))


def findings_of(experiment: AnyExperiment, arms: int, named: int = MOST_NAMED) -> Findings:
    """An experiment's findings, the gravest first: its own, and what rules warn of in its trials.

    A rule that fires on several search trials, or on them and on the experiment, is one finding.
    Notices of single trials stand with their trials. At most `named` trials of a rule are named.
    """
    rows = (
        Finding.objects.filter(experiment_id=experiment.pk)
        .filter(Q(trial__isnull=True) | Q(pk__in=_dismissed_of_trials(experiment.pk)))
        .select_related("trial__study", "dismissed_by", "experiment")
        .order_by(_ASKING_FIRST, F("trial").asc(nulls_first=True), "pk")[: _MOST_READ + 1]
    )
    every = [_row(row, arms) for row in rows]
    cut = len(every) > _MOST_READ
    of_rules = _of_trials(experiment, arms, named)
    own = [_with_trials(row, of_rules) if row.is_open else row for row in every if not row.trial]
    own_rules = {row.rule for row in own if row.is_open}
    listed = _together([*own, *(row for row in every if row.trial)])
    listed += [row for rule, row in of_rules.items() if rule not in own_rules]
    counted = count_findings([experiment.pk]).get(experiment.pk) if cut else None
    return Findings(tuple(sorted(listed, key=_standing)), counted)


# Of very many findings those that ask for something are read, the gravest of them first.
_ASKING_FIRST = Case(
    *(
        When(status="fired", dismissed_at__isnull=True, severity=name, then=Value(place))
        for name, place in _GRAVITY.items()
    ),
    default=Value(len(_GRAVITY)),
)


def _dismissed_of_trials(experiment_id: int) -> QuerySet[Finding, Any]:
    rows = Finding.objects.filter(experiment_id=experiment_id, trial__study__kind="search")
    return rows.dismissed().values("pk")


def _of_trials(experiment: AnyExperiment, arms: int, named: int) -> dict[str, FindingRow]:
    """One row a rule for the open problems and warnings of search trials. Two queries."""
    found = Finding.objects.of_search().filter(experiment_id=experiment.pk)
    counts = dict(
        found.order_by().values_list("rule").annotate(n=Count("trial", distinct=True)).order_by()
    )
    if not counts:
        return {}
    gravity = Case(*(When(severity=name, then=Value(n)) for name, n in _GRAVITY.items()))
    place = Window(RowNumber(), partition_by=["rule"], order_by=[gravity, F("pk")])
    rows = (
        found.annotate(place=place)
        .filter(place__lte=named)
        .select_related("trial__study", "dismissed_by", "experiment")
        .order_by("rule", "place")
    )
    groups: dict[str, list[FindingRow]] = {}
    for row in rows:
        groups.setdefault(row.rule, []).append(_row(row, arms))
    most = max([experiment.trial_count, *counts.values()])
    return {rule: _group(group, counts[rule], most) for rule, group in groups.items()}


def _group(rows: Sequence[FindingRow], trials: int, most: int) -> FindingRow:
    """18 of 24 trials: validation error rises."""
    first, *rest = rows
    if trials == 1:
        return replace(first, title=f"Trial {first.trial}: {first.title}", trials=1)
    claim = CLAIMS.get(first.rule, first.rule.replace("_", " "))
    return replace(
        first,
        title=f"{trials} of {most} trials: {claim[0].lower()}{claim[1:]}",
        detail=f"Trial {first.trial}: {first.title}. {first.detail}",
        others=_in_order({row.trial for row in rest} - {first.trial}),
        trials=trials,
    )


def _with_trials(own: FindingRow, of_rules: Mapping[str, FindingRow]) -> FindingRow:
    """The experiment's own finding with the trials on which its rule fires, too."""
    if own.rule not in of_rules:
        return own
    group = of_rules[own.rule]
    return replace(own, trials=group.trials, others=_in_order((group.trial, *group.others)))


def _together(rows: Sequence[FindingRow]) -> list[FindingRow]:
    """One row for what is muted in several trials, or cannot be told yet of several subjects."""
    groups: dict[tuple[object, ...], list[FindingRow]] = {}
    for row in rows:
        repeated = bool(row.trial) and row.is_dismissed
        alike = row.status == "not_checkable" or repeated
        key = (row.rule, row.status, row.dismiss_reason) if alike else (row.id,)
        groups.setdefault(key, []).append(row)
    return [
        replace(
            first,
            others=first.others or _in_order(row.trial or row.subject for row in rest),
            trials=first.trials or (1 + len(rest) if first.trial else 0),
        )
        for first, *rest in groups.values()
    ]


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """A2 before A10."""
    return tuple(sorted(names, key=lambda name: (name[:1], len(name), name)))


def _standing(row: FindingRow) -> tuple[int, int, bool, int, str, str]:
    status = {"fired": 0, "passed": 2, "not_checkable": 3}.get(row.status, 4)
    if row.is_dismissed:
        status = 1
    gravity = _GRAVITY.get(row.severity, 3)
    return (status, gravity, bool(row.trial), -row.trials, row.rule, row.subject)


def findings_of_trial(trial_id: int) -> tuple[FindingRow, ...]:
    """Every finding of one trial, those that fired first."""
    rows = Finding.objects.filter(trial_id=trial_id).select_related("dismissed_by", "experiment")
    return tuple(sorted((_row(row, 1, own=True) for row in rows), key=_standing))


def fired_by_trial(trial_ids: Sequence[int]) -> dict[int, tuple[tuple[str, str], ...]]:
    """(rule, severity) of the open findings of many trials, the gravest first, in one query."""
    rows: Iterable[tuple[int | None, str, str]] = (
        Finding.objects.asking()
        .filter(trial_id__in=trial_ids)
        .order_by("rule")
        .values_list("trial_id", "rule", "severity")
    )
    found: dict[int, tuple[tuple[str, str], ...]] = {}
    for trial_id, rule, severity in rows:
        if trial_id is not None:
            found[trial_id] = (*found.get(trial_id, ()), (rule.replace("_", " "), severity))
    return {
        trial: tuple(sorted(fired, key=lambda named: _GRAVITY.get(named[1], 3)))
        for trial, fired in found.items()
    }


def _row(finding: Finding, arms: int, *, own: bool = False) -> FindingRow:
    trial = finding.trial if finding.trial_id and not own else None
    return FindingRow(
        id=finding.pk,
        rule=finding.rule,
        version=finding.version,
        subject=finding.subject,
        status=finding.status,
        severity=finding.severity,
        title=finding.title,
        detail=finding.detail,
        meaning=finding.meaning,
        advice=finding.advice,
        section=finding.section,
        action=finding.action,
        evidence=_evidence(finding),
        trial=trial_name(trial.number, arm=trial.study.arm_index, arms=arms) if trial else "",
        trial_id=finding.trial_id,
        found_at=finding.found_at,
        dismissed_by=finding.dismissed_by.get_username() if finding.dismissed_by else "",
        dismissed_at=finding.dismissed_at,
        dismiss_reason=finding.dismiss_reason,
        is_muted=finding.status == "fired"
        and finding.rule == MUTED
        and finding.experiment.mutes_overfitting,
    )


def experiment_of_finding(project_id: int, finding_id: int) -> str | None:
    """The name of the experiment that a finding speaks of, None outside this project."""
    names = Finding.objects.filter(pk=finding_id, experiment__project_id=project_id)
    return names.values_list("experiment__name", flat=True).first()


def evidence_of_finding(experiment_id: int, finding_id: int) -> dict[str, Any]:
    """The numbers behind a finding of an experiment, empty when there is no such finding."""
    found = Finding.objects.filter(pk=finding_id, experiment_id=experiment_id).first()
    return _evidence(found) if found else {}


def _evidence(finding: Finding) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(finding.evidence or "{}")
    return {_RENAMED.get(key, key): value for key, value in stored.items()}
