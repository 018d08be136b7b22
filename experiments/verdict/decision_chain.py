"""Chain of decisions: each carries the hash of the one before it, and every hash
is made with a key that is not in the database."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from experiments.models import Decision, Proposal


def first_previous_hash(project_id: int) -> str:
    """Previous hash of a project's first decision."""
    return hashlib.sha256(f"verdict project {project_id}".encode()).hexdigest()


def signed_fields(decision: Decision) -> str:
    """Canonical text of everything a decision says; what the hash signs."""
    return json.dumps(
        [
            decision.project_id,
            decision.target,
            decision.sequence,
            decision.choice,
            decision.experiment_id,
            decision.replication_id,
            decision.candidate.document if decision.candidate else None,
            decision.baseline.document if decision.baseline else None,
            decision.verdict,
            decision.overrides_verdict,
            decision.reason,
            decision.evidence,
            decision.decided_by_id,
            decision.decided_by_name,
            decision.decided_at.astimezone(dt.UTC).isoformat(),
            decision.previous_hash,
        ],
        ensure_ascii=False,
    )


def signed_proposal(proposal: Proposal) -> str:
    """Canonical text of what somebody proposed; no decision signs such a text."""
    return json.dumps(
        [
            "proposal",
            proposal.project_id,
            proposal.replication_id,
            proposal.target,
            proposal.choice,
            proposal.verdict,
            proposal.overrides_verdict,
            proposal.reason,
            proposal.state,
            proposal.checkpoint,
            proposal.proposed_by_id,
            proposal.proposed_at.astimezone(dt.UTC).isoformat(),
        ],
        ensure_ascii=False,
    )


def sign(text: str) -> str:
    """HMAC-SHA256 under `DECISION_KEY`, in hexadecimal."""
    return hmac.new(settings.DECISION_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
