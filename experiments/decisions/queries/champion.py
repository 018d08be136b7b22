"""What deployments read: the champion of a project and the log behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db.models import Max, QuerySet

from experiments.models import Decision as Decision
from experiments.models import Project

_PIECE = 100  # decisions of one statement


def champion(project: Project, target: str) -> Decision | None:
    """The decision that made the present champion of a target; None before the first adopt."""
    return Decision.objects.crowning(project, target)


def head(project: Project) -> tuple[int, str]:
    """Length of the log and hash of its newest entry, to be kept by whoever reads it."""
    return Decision.objects.head(project)


def newest_decision() -> int:
    """A number that grows with every decision of the installation; for whoever waits for one."""
    return Decision.objects.aggregate(newest=Max("pk"))["newest"] or 0


def decisions(project: Project, target: str = "") -> QuerySet[Decision]:
    """A project's decisions, newest first."""
    found = Decision.objects.filter(project=project).select_related(
        "candidate", "baseline", "experiment"
    )
    return found.filter(target=target) if target else found


def exported(project: Project) -> Iterator[str]:
    """Every decision with its evidence as a line of JSON, oldest first."""
    rows, last = decisions(project).order_by("sequence"), -1
    while some := list(rows.filter(sequence__gt=last)[:_PIECE]):
        for decision in some:
            document = as_document(decision)
            document["evidence"] = json.loads(decision.evidence or "{}")
            yield json.dumps(document, sort_keys=True)
        last = some[-1].sequence


def as_document(decision: Decision) -> dict[str, Any]:
    """A decision as plain data, without its evidence."""
    return {
        "project": decision.project.slug,
        "target": decision.target,
        "sequence": decision.sequence,
        "choice": decision.choice,
        "verdict": decision.verdict,
        "overrides_verdict": decision.overrides_verdict,
        "reason": decision.reason,
        "experiment": decision.experiment.name if decision.experiment else None,
        "candidate": json.loads(decision.candidate.document) if decision.candidate else None,
        "candidate_digest": decision.candidate.digest if decision.candidate else None,
        "baseline": json.loads(decision.baseline.document) if decision.baseline else None,
        "baseline_digest": decision.baseline.digest if decision.baseline else None,
        "decided_by": decision.decided_by_name,
        "decided_at": decision.decided_at.isoformat(),
        "previous_hash": decision.previous_hash,
        "hash": decision.hash,
    }
