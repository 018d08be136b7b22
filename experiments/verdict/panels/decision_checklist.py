"""Checklist before a decision: what the evidence answers and what is still open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.design.queries.finding_counts import counts_of
from experiments.verdict.panels.evidence_view import EvidencePage, GuardRow, PairRow


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist before a decision; `passed` is None where nothing was measured.

    `page`: where it is answered (seeds, findings, test), empty where there is nothing to do.
    """

    title: str
    detail: str
    passed: bool | None
    page: str = ""


def checks_of(page: EvidencePage) -> list[Check]:
    """Five lines: seeds, comparison, guards, findings of the search, test scores."""
    return [
        _seeds_check(page.pairs),
        _comparison_check(page.verdict),
        _guards_check(page.guards),
        _findings_check(page.document),
        Check("Test scores", "opened", True)
        if page.test
        else Check("Test scores", "sealed", None, "test"),
    ]


def _seeds_check(pairs: Sequence[PairRow]) -> Check:
    finite = sum(row.gain is not None and math.isfinite(row.gain) for row in pairs)
    detail = f"{finite} of {len(pairs)} pairs have a finite score on both sides"
    return Check("Fresh seeds", detail, finite == len(pairs), "seeds")


def _comparison_check(verdict: Mapping[str, Any]) -> Check:
    invalid = verdict.get("invalid") or ()
    cautions = verdict.get("cautions") or ()
    if cautions and not invalid:
        detail = "; ".join(str(caution.get("text")) for caution in cautions)
        return Check("Comparison", detail, None, "seeds")
    if not invalid:
        detail = "same code, data, evaluations and hardware class on both sides"
        return Check("Comparison", detail, passed=True)
    detail = "; ".join(str(problem.get("text")) for problem in invalid)
    return Check("Comparison", detail, False, "seeds")


def _guards_check(guards: Sequence[GuardRow]) -> Check:
    if not guards:
        return Check("Guard metrics", "none declared", None)
    counts = dict.fromkeys(("broken", "not shown"), 0)
    for guard in guards:
        if guard.status in counts:
            counts[guard.status] += 1
    detail = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return Check("Guard metrics", detail or f"{len(guards)} passed", not detail)


def _findings_check(document: Mapping[str, Any]) -> Check:
    opened = document.get("open_findings") or ()
    counts = counts_of(str(finding.get("severity")) for finding in opened)
    detail = counts.summary or "none open"
    return Check("Findings of the search", detail, not counts.to_answer, "findings")
