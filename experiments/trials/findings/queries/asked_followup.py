"""Follow-up selected by kind, by a finding, or by an end of a range."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.design.follow_ups import followups
from experiments.design.follow_ups.followups import Proposal
from experiments.design.queries.records import AnyExperiment
from experiments.trials.findings.queries.findings import evidence_of_finding


def asked_proposal(older: AnyExperiment, query: Mapping[str, str]) -> Proposal:
    """The follow-up that an address asks for: by kind, by finding, or by end of a range.

    Raises:
        InvalidExperiment: for a kind that there is not, or an experiment without a file.
    """
    finding = _number(query.get("finding", ""))
    evidence = evidence_of_finding(older.pk, finding) if finding else {}
    kind = query.get("follow") or ("extend" if finding else "clone")
    if kind == "extend" and evidence.get("side"):
        kind = "narrow"
    return followups.propose(
        older,
        kind,
        hyperparameter=query.get("hyperparameter", ""),
        edge=query.get("edge", ""),
        evidence=evidence,
    )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
