"""Open findings of experiments, counted once and the same way for lists, pages and API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Case, F, Value, When

from experiments.models import Finding
from experiments.models.finding import GRAVEST_FIRST


@dataclass(frozen=True, slots=True)
class FindingCounts:
    """Numbers of open findings by severity. A rule that fires on many trials counts once."""

    problems: int = 0
    warnings: int = 0
    notices: int = 0

    @property
    def to_answer(self) -> int:
        """Number of problems and warnings."""
        return self.problems + self.warnings

    @property
    def gravest(self) -> str:
        """Severity of the gravest finding, "" without any."""
        counts = (self.problems, self.warnings, self.notices)
        return next((name for name, n in zip(GRAVEST_FIRST, counts, strict=True) if n), "")

    @property
    def summary(self) -> str:
        """1 problem, 2 warnings, 1 notice."""
        return _summary(self.problems, self.warnings, self.notices)

    @property
    def answer_summary(self) -> str:
        """As `summary`, without notices."""
        return _summary(self.problems, self.warnings, 0)


def _summary(*counts: int) -> str:
    named = zip(GRAVEST_FIRST, counts, strict=True)
    return ", ".join(f"{n} {name if n == 1 else name + 's'}" for name, n in named if n)


def counts_of(severities: Iterable[str]) -> FindingCounts:
    """Count findings by their severities."""
    every = list(severities)
    return FindingCounts(*(every.count(name) for name in GRAVEST_FIRST))


def count_findings(experiment_ids: Iterable[int]) -> dict[int, FindingCounts]:
    """Counts of each experiment's open findings. One query.

    Own findings each; those of search trials once by their rule, unless an own one has it. That
    is told here: a look for an own one beside each of very many takes the database minutes.
    """
    rows: Iterable[tuple[int, str, int, str]] = (
        Finding.objects.of_experiments()
        .filter(experiment_id__in=list(experiment_ids))
        .order_by()
        .annotate(own=Case(When(trial__isnull=True, then=F("pk")), default=Value(0)))
        .values_list("experiment_id", "rule", "own", "severity")
        .distinct()
    )
    gravest: dict[int, dict[tuple[str, int], str]] = {}
    for experiment, rule, own, severity in rows:
        found = gravest.setdefault(experiment, {})
        key = (rule, own)
        found[key] = min(found.get(key, severity), severity, key=GRAVEST_FIRST.index)
    return {pk: counts_of(_counted(found)) for pk, found in gravest.items()}


def _counted(found: dict[tuple[str, int], str]) -> list[str]:
    own_rules = {rule for rule, own in found if own}
    return [severity for (rule, own), severity in found.items() if own or rule not in own_rules]
