"""Create and revoke read-only links to an experiment or a decision."""

from __future__ import annotations

import json
import secrets

from django.db import transaction
from django.utils import timezone

from experiments.decisions.queries.shared_links import digest
from experiments.design.metrics import declared_metrics, scores_on_test
from experiments.errors import Conflict, NotFound, Problem, VerdictError
from experiments.models import Decision, Experiment, SharedLink
from experiments.models.project import Role
from experiments.team.queries.access import Access
from experiments.team.services.changes import note


def create(
    *, access: Access, experiment: str = "", decision: int | None = None
) -> tuple[SharedLink, str]:
    """Make a link; its secret is returned here and never again.

    Raises:
        VerdictError: unless it names either an experiment or a decision.
        NotFound: when the project has no such thing.
        Conflict: for an experiment whose scores are those of a test split.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    if bool(experiment) == (decision is not None):
        raise VerdictError(
            "A link shows one thing.",
            [Problem("experiment", "name either an experiment or a decision")],
        )
    found = _experiment(access, experiment) if experiment else None
    made = _decision(access, decision) if decision is not None else None
    scored = found or (made.experiment if made else None)
    declared = declared_metrics(scored.document) if scored else {}
    metric = scored.official_metric if scored else _metric_of(made)
    if scores_on_test(metric, declared):
        raise Conflict(f"The official metric, {metric}, is a test score: links show none.")
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        link = SharedLink.objects.create(
            project_id=access.project_id,
            experiment=found,
            decision=made,
            prefix=secret[:6],
            digest=digest(secret),
            created_by=access.user,
        )
        shown = f"decision {decision}" if made else experiment
        note(access, f"shared {shown} by the link {link.prefix}…")
    return link, secret


def _metric_of(decision: Decision | None) -> str:
    """Metric whose scores a decision froze."""
    return str(json.loads(decision.evidence).get("metric") or "") if decision else ""


def _experiment(access: Access, name: str) -> Experiment:
    found = Experiment.objects.filter(
        project_id=access.project_id, name=name, repeat_of__isnull=True
    ).first()
    if found is None:
        raise NotFound(f"{access.slug} has no experiment {name}.")
    return found


def _decision(access: Access, sequence: int) -> Decision:
    found = Decision.objects.filter(project_id=access.project_id, sequence=sequence).first()
    if found is None:
        raise NotFound(f"{access.slug} has no decision {sequence}.")
    return found


def revoke(*, access: Access, link_id: int) -> None:
    """Make a link useless at once.

    Raises:
        NotFound: when the project has no such link.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    link = SharedLink.objects.filter(pk=link_id, project_id=access.project_id).first()
    if link is None:
        raise NotFound(f"{access.slug} has no link {link_id}.")
    with transaction.atomic():
        working = SharedLink.objects.filter(pk=link.pk, revoked_at__isnull=True)
        if working.update(revoked_at=timezone.now()):
            note(access, f"revoked the link {link.prefix}…")
