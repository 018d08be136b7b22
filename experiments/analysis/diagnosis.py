"""Diagnosis of a rule: fired, passed or not checkable, with its evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

Plain: TypeAlias = str | int | float | bool | None
Evidence: TypeAlias = Mapping[str, Plain | list[Plain]]


class Severity(StrEnum):
    """Weight of a fired rule."""

    NOTICE = "notice"
    WARNING = "warning"
    PROBLEM = "problem"


class Status(StrEnum):
    """Result of applying a rule."""

    FIRED = "fired"
    PASSED = "passed"
    NOT_CHECKABLE = "not_checkable"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One rule applied once: what was seen, the numbers behind it, what to do."""

    rule: str
    version: int
    status: Status
    severity: Severity
    title: str
    detail: str
    evidence: Evidence
    subject: str = ""
    meaning: str = ""
    advice: str = ""
    section: str = ""
    action: str = ""

    @property
    def fired(self) -> bool:
        """Test whether the rule saw what it looks for."""
        return self.status is Status.FIRED


@dataclass(frozen=True, slots=True)
class Rule:
    """Constants of a rule: its name, source, meaning and advice."""

    name: str
    version: int
    severity: Severity
    question: str
    meaning: str
    advice: str
    section: str
    action: str = ""
    passed_title: str = ""

    def fires(
        self,
        title: str,
        detail: str,
        evidence: Mapping[str, object],
        *,
        severity: Severity | None = None,
        subject: str = "",
        meaning: str | None = None,
        advice: str | None = None,
        action: str | None = None,
    ) -> Diagnosis:
        """Return the diagnosis of a rule that saw what it looks for."""
        return Diagnosis(
            rule=self.name,
            version=self.version,
            status=Status.FIRED,
            severity=severity or self.severity,
            title=title,
            detail=detail,
            evidence=plain_evidence(evidence),
            subject=subject,
            meaning=self.meaning if meaning is None else meaning,
            advice=self.advice if advice is None else advice,
            section=self.section,
            action=self.action if action is None else action,
        )

    def passes(
        self,
        detail: str,
        evidence: Mapping[str, object],
        *,
        title: str | None = None,
        subject: str = "",
    ) -> Diagnosis:
        """Return the diagnosis of a rule that looked and found nothing."""
        return self._quiet(
            Status.PASSED, title or self.passed_title or self.question, detail, evidence, subject
        )

    def cannot_tell(
        self, reason: str, evidence: Mapping[str, object] | None = None, *, subject: str = ""
    ) -> Diagnosis:
        """Return the diagnosis of a rule that lacks what it needs, with the reason."""
        return self._quiet(
            Status.NOT_CHECKABLE, f"{self.question} Not checkable yet", reason, evidence, subject
        )

    def _quiet(
        self,
        status: Status,
        title: str,
        detail: str,
        evidence: Mapping[str, object] | None,
        subject: str,
    ) -> Diagnosis:
        return Diagnosis(
            rule=self.name,
            version=self.version,
            status=status,
            severity=self.severity,
            title=title,
            detail=detail,
            evidence=plain_evidence(evidence or {}),
            subject=subject,
            section=self.section,
        )


def plain_evidence(evidence: Mapping[str, object]) -> dict[str, Plain | list[Plain]]:
    """Return evidence that JSON can hold: non-finite floats become "nan", "inf", "-inf"."""
    return {
        name: [plain(item) for item in value]
        if isinstance(value, list | tuple | np.ndarray | set | frozenset)
        else plain(value)
        for name, value in evidence.items()
    }


def plain(value: object) -> Plain:
    """Return one JSON scalar for a Python or NumPy scalar; None stays None."""
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    return str(value)


def guarded(
    diagnoses: Iterable[Diagnosis], on_failure: Callable[[Exception], None] | None
) -> Iterator[Diagnosis]:
    """Yield diagnoses until a rule breaks: `on_failure` is told, else the error is raised."""
    try:
        yield from diagnoses
    except Exception as error:
        if on_failure is None:
            raise
        on_failure(error)


def fired(diagnoses: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Return those that fired, the gravest first; the given order holds among equals."""
    gravity = {Severity.PROBLEM: 0, Severity.WARNING: 1, Severity.NOTICE: 2}
    return sorted((d for d in diagnoses if d.fired), key=lambda d: gravity[d.severity])


def figure(value: float, digits: int = 4) -> str:
    """Return a number as a person reads it: four significant digits, words for non-finite."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinity" if value > 0 else "minus infinity"
    return f"{value:.{digits}g}"


def step_figure(step: float) -> str:
    """Return a training step as a person reads it: 12,500; a broken one as `figure`."""
    return f"{step:,.0f}" if math.isfinite(step) and float(step).is_integer() else figure(step)


def share(value: float) -> str:
    """Return a share of one as a percentage, finer below one per cent."""
    if not math.isfinite(value):
        return figure(value)
    return f"{100 * value:.2g} %" if abs(value) < 0.1 else f"{100 * value:.0f} %"
