"""Findings as pages list them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from experiments.design.trial_names import trial_name
from experiments.models import Finding
from experiments.models.finding import MUTED

_GRAVITY = {"problem": 0, "warning": 1, "notice": 2}
_RENAMED = {"rivals": "as_good"}  # keys of evidence that earlier versions stored
MOST_TRIAL_FINDINGS = 6  # in the experiment's list; every trial shows its own


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding; `trial` is the name of the trial it speaks of, empty for the experiment."""

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
    trial_warnings: int = 0
    trial_notices: int = 0

    @property
    def open(self) -> tuple[FindingRow, ...]:
        return tuple(row for row in self.rows if row.is_open)

    @property
    def warnings(self) -> tuple[FindingRow, ...]:
        return tuple(row for row in self.rows if row.is_warning)

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
    def summary(self) -> str:
        """2 warnings, 5 passed, 1 not checkable yet."""
        parts = []
        warnings = len(self.warnings)
        notices = len(self.open) - warnings
        if warnings:
            parts.append(f"{warnings} {'warning' if warnings == 1 else 'warnings'}")
        if notices:
            parts.append(f"{notices} {'notice' if notices == 1 else 'notices'}")
        if self.dismissed:
            parts.append(f"{len(self.dismissed)} dismissed")
        if self.passed:
            parts.append(f"{len(self.passed)} passed")
        if self.waiting:
            parts.append(f"{len(self.waiting)} not checkable yet")
        return ", ".join(parts)


def findings_of(experiment_id: int, arms: int) -> Findings:
    """An experiment's own findings and the warnings of its search trials, the gravest first.

    Notices of single trials stand with their trials.
    """
    rows = (
        Finding.objects.filter(experiment_id=experiment_id)
        .exclude(trial__isnull=False, status__in=("passed", "not_checkable"))
        .exclude(trial__study__kind="replication")
        .select_related("trial__study", "dismissed_by", "experiment")
        .order_by("-found_at", "pk")
    )
    every = [_row(row, arms) for row in rows[:2000]]
    own = [row for row in every if not row.trial]
    of_trials = sorted(
        (row for row in every if row.trial),
        key=lambda row: (not row.is_open, _GRAVITY.get(row.severity, 3)),
    )
    listed = [row for row in of_trials if row.is_warning or row.is_dismissed]
    diverged = {row.trial for row in listed if row.rule == "divergence"}
    # Divergence says already that a value was no number.
    listed = [row for row in listed if row.rule != "non_finite" or row.trial not in diverged]
    # Nor is a trial told of that the experiment's own finding of this rule names.
    named = {(row.rule, each) for row in own if row.is_open for each in _trials_of(row)}
    listed = [row for row in listed if not row.is_open or (row.rule, row.trial_id) not in named]
    shown = _together(own) + _together(listed)[:MOST_TRIAL_FINDINGS]
    return Findings(
        rows=tuple(sorted(shown, key=_standing)),
        trial_warnings=sum(row.is_warning for row in of_trials),
        trial_notices=sum(row.is_open and not row.is_warning for row in of_trials),
    )


def _trials_of(row: FindingRow) -> Sequence[int]:
    found = row.evidence.get("trial_ids")
    return found if isinstance(found, list) else ()


def _together(rows: Sequence[FindingRow]) -> list[FindingRow]:
    """One row for what a rule says of several trials, or cannot say yet of several subjects."""
    groups: dict[tuple[object, ...], list[FindingRow]] = {}
    for row in rows:
        repeated = bool(row.trial) and (row.is_open or row.is_muted)
        alike = row.status == "not_checkable" or repeated
        key = (row.rule, row.status, row.severity) if alike else (row.id,)
        groups.setdefault(key, []).append(row)
    return [
        replace(first, others=_in_order(row.trial or row.subject for row in rest))
        for first, *rest in groups.values()
    ]


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """A2 before A10."""
    return tuple(sorted(names, key=lambda name: (name[:1], len(name), name)))


def _standing(row: FindingRow) -> tuple[int, int, str, str]:
    status = {"fired": 0, "passed": 2, "not_checkable": 3}.get(row.status, 4)
    if row.is_dismissed:
        status = 1
    return (status, _GRAVITY.get(row.severity, 3), row.rule, row.subject)


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
        trial: tuple(sorted(each, key=lambda named: _GRAVITY.get(named[1], 3)))
        for trial, each in found.items()
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
