"""The champions of a project, one after the other, for each of its targets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max

from experiments.decisions.registered_models import AdoptedVersion, adopted_version
from experiments.design.space.domains import Scalar
from experiments.models import Configuration, Decision
from experiments.models.decision import CHAMPION_CHOICES
from experiments.team.queries.access import Access
from experiments.verdict.queries.current_champion import ScoreSummary, candidate_scores
from experiments.web.pagination import EVERY_ROW, Page, PageOf, paged


@dataclass(frozen=True, slots=True)
class Change:
    """A parameter that differs from the champion before; None where it was not there."""

    name: str
    before: Scalar
    after: Scalar


@dataclass(frozen=True, slots=True)
class ChampionPeriod:
    """A configuration that became champion. `gain` over the one before it, in the official
    metric's unit, with the interval that decided; None without fresh seeds of both. `model`: its
    version in the registry, None where no run of it logged a model."""

    sequence: int
    choice: str
    experiment: str
    digest: str
    scores: ScoreSummary
    gain: float | None
    lower: float | None
    upper: float | None
    changes: tuple[Change, ...]
    reverts_to: int | None
    overrides_verdict: bool
    override: str
    reason: str
    decided_by: str
    decided_at: datetime
    is_current: bool
    model: AdoptedVersion | None


@dataclass(frozen=True, slots=True)
class TargetChampions:
    """A page of them, newest first; `current` is the decision whose champion stands, None before
    the first."""

    target: str
    page: Page[ChampionPeriod]
    current: int | None
    current_digest: str = ""

    @property
    def periods(self) -> Sequence[ChampionPeriod]:
        return self.page.rows


def champions_of(
    access: Access, wanted: Callable[[str], PageOf] = lambda target: EVERY_ROW
) -> tuple[TargetChampions, ...]:
    """Champions of every target, of each the page that is wanted. One query, two more a target."""
    made = Decision.objects.filter(project_id=access.project_id, choice__in=CHAMPION_CHOICES)
    rows = made.select_related("experiment", "candidate", "baseline").order_by("-sequence")
    heads = made.values("target").annotate(newest=Max("sequence")).order_by().values("newest")
    newest = {
        target: (sequence, digest or "")
        for target, sequence, digest in made.filter(sequence__in=heads).values_list(
            "target", "sequence", "candidate__digest"
        )
    }
    targets = dict.fromkeys([*access.targets, *sorted(newest)])
    return tuple(
        TargetChampions(
            target,
            paged(
                rows.filter(target=target),
                wanted(target),
                lambda row: _period(row, row.sequence == newest[row.target][0]),
            ),
            *newest.get(target, (None, "")),
        )
        for target in targets
    )


def _period(row: Decision, newest: bool) -> ChampionPeriod:
    evidence = json.loads(row.evidence or "{}")
    reverts = evidence.get("reverts") or {}
    verdict = {} if reverts else evidence.get("verdict") or {}
    return ChampionPeriod(
        sequence=row.sequence,
        choice=row.choice,
        experiment=row.experiment.name if row.experiment else "",
        digest=row.candidate.digest if row.candidate else "",
        scores=candidate_scores(evidence),
        gain=_number(verdict.get("gain")),
        lower=_number(verdict.get("lower")),
        upper=_number(verdict.get("upper")),
        changes=_changes(row.baseline, row.candidate),
        reverts_to=reverts.get("to"),
        overrides_verdict=row.overrides_verdict,
        override=row.override,
        reason=row.reason,
        decided_by=row.decided_by_name,
        decided_at=row.decided_at,
        is_current=newest,
        model=adopted_version(row),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _changes(before: Configuration | None, after: Configuration | None) -> tuple[Change, ...]:
    if before is None or after is None:
        return ()
    old, new = _flat(before), _flat(after)
    return tuple(
        Change(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _flat(configuration: Configuration) -> Mapping[str, Any]:
    """Parameters by name; objective, code, commit and data beside them."""
    document = json.loads(configuration.document)
    outside = {name: document.get(name) or None for name in ("objective", "code", "commit")}
    data = {f"data {name}": value for name, value in (document.get("data") or {}).items()}
    return {**outside, **data, **document.get("parameters", {})}
