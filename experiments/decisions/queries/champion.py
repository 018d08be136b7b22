"""Champion of a project and its log, as deployments read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypedDict

from django.db.models import Max, QuerySet

from experiments.decisions.queries.proposals import confirmation_of
from experiments.decisions.registered_models import adopted_version
from experiments.design.objective_code import ObjectiveCode, recorded_code
from experiments.errors import NotFound
from experiments.models import Configuration, Project
from experiments.models import Decision as Decision
from experiments.models.webhook import EventKind
from experiments.verdict.queries.chain_check import (
    CheckedLog,
    broken_log,
    check_log,
    own_problems,
)

_PIECE = 100  # decisions of one statement


class DecisionDocument(TypedDict):
    """A decision as plain data, as messages tell it and the log is exported."""

    project: str
    target: str
    sequence: int
    choice: str
    verdict: str
    overrides_verdict: bool
    reason: str
    experiment: str | None
    candidate: dict[str, Any] | None
    candidate_digest: str | None
    baseline: dict[str, Any] | None
    baseline_digest: str | None
    model: dict[str, Any] | None
    decided_by: str
    decided_at: str
    confirmation: dict[str, Any] | None
    previous_hash: str
    hash: str


class DecisionWithEvidence(DecisionDocument):
    evidence: dict[str, Any]


def champion(project: Project, log: CheckedLog, target: str) -> Decision | None:
    """The decision that made the present champion of a target; None before the first adopt.

    `log` is the project's, verified.

    Raises:
        Conflict: when it was altered since the log was verified.
    """
    made = log.champions.get(target)
    if made is None:
        return None
    rows = Decision.objects.select_related("project", "candidate", "baseline", "experiment")
    found = rows.filter(pk=made).first()
    if found is None:
        raise broken_log(project.slug, [f"the decision that made {target}'s champion is gone"])
    if problems := own_problems(found):
        raise broken_log(project.slug, problems)
    return found


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
    """Every decision with its evidence as a line of JSON, oldest first, the chain unverified."""
    rows, last = decisions(project).order_by("sequence"), -1
    while some := list(rows.filter(sequence__gt=last)[:_PIECE]):
        for decision in some:
            yield json.dumps(with_evidence(decision), sort_keys=True)
        last = some[-1].sequence


def sentence(decision: Decision) -> str:
    """The decision in one line: person, choice, subject."""
    about = f" on {decision.experiment.name}" if decision.experiment else ""
    against = f", {decision.override}" if decision.override else ""
    confirmed = confirmation_of(json.loads(decision.evidence or "{}"))
    second = f", confirmed by {confirmed.by}" if confirmed else ""
    return (
        f"{decision.decided_by_name} decided{about}: {decision.choice}{against}{second} "
        f"({decision.target}, decision {decision.sequence})."
    )


def message_as_sent(project_id: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """The message of an event with the head of the verified log, a receipt for who keeps it.

    What it tells of a decision is taken from the log and not from the event. While the log is
    not what was written, `problems` says what is wrong in place of head and decision.

    Raises:
        NotFound: for a decision that the log does not hold: nobody made it.
    """
    project = Project.objects.get(pk=project_id)
    log = check_log(project.pk, project.slug, cached=True)
    payload = {**document, "project": project.slug, "problems": list(log.problems)}
    if log.problems:
        error = broken_log(project.slug, log.problems)
        return {**payload, "text": error.message, "decision": None, "head": None}
    payload["head"] = {"count": log.head.count, "hash": log.head.hash}
    if document["event"] != EventKind.DECIDED:
        return {**payload, "decision": None}
    named = (document.get("decision") or {}).get("hash", "")
    made = decisions(project).filter(hash=named).first()
    if made is None or named not in log.hashes or own_problems(made):
        raise NotFound("The log holds no such decision; nothing is sent.")
    return {**payload, "text": sentence(made), "decision": as_document(made)}


def with_evidence(decision: Decision) -> DecisionWithEvidence:
    """A decision with its evidence as it was frozen."""
    return {**as_document(decision), "evidence": json.loads(decision.evidence or "{}")}


def as_document(decision: Decision) -> DecisionDocument:
    """A decision as plain data, without its evidence."""
    confirmation = confirmation_of(json.loads(decision.evidence or "{}"))
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
        "model": asdict(version) if (version := adopted_version(decision)) else None,
        "decided_by": decision.decided_by_name,
        "decided_at": decision.decided_at.isoformat(),
        "confirmation": asdict(confirmation) if confirmation else None,
        "previous_hash": decision.previous_hash,
        "hash": decision.hash,
    }


def code_of(configuration: Configuration) -> ObjectiveCode:
    """Packages of a configuration's code and where they came from, as its newest run recorded."""
    digest = json.loads(configuration.document).get("code")
    documents = (
        configuration.trials.filter(environment__isnull=False)
        .order_by("-pk")
        .values_list("environment__document", flat=True)
    )
    for document in documents[:20]:  # a replicate may have run other code
        code = recorded_code(json.loads(document))
        if code and code.digest == (digest or ""):
            return code
    return ObjectiveCode()
