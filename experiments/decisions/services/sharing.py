"""Create and revoke read-only links to an experiment, a decision or a frozen report."""

from __future__ import annotations

import json
import secrets

from django.db import transaction
from django.utils import timezone

from experiments.decisions.queries.shared_links import digest
from experiments.design.metrics import declared_metrics, scores_on_test
from experiments.errors import Conflict, NotFound, Problem, VerdictError
from experiments.models import Decision, Experiment, FrozenReport, SharedLink
from experiments.models.project import Role
from experiments.team.queries.access import Access
from experiments.team.services.changes import note


def create(
    *,
    access: Access,
    experiment: str = "",
    decision: int | None = None,
    frozen_report: int | None = None,
) -> tuple[SharedLink, str]:
    """Make a link; its secret is returned here and never again.

    Raises:
        VerdictError: unless it names one experiment, decision or frozen report.
        NotFound: when the project has no such thing.
        Conflict: for an experiment whose scores are those of a test split.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    if [bool(experiment), decision is not None, frozen_report is not None].count(True) != 1:
        raise VerdictError(
            "A link shows one thing.",
            [Problem("experiment", "name one experiment, decision or frozen report")],
        )
    found = _experiment(access, experiment) if experiment else None
    made = _decision(access, decision) if decision is not None else None
    frozen = _frozen(access, frozen_report) if frozen_report is not None else None
    _refuse_test_scores(found, made)
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        link = SharedLink.objects.create(
            project_id=access.project_id,
            experiment=found,
            decision=made,
            frozen_report=frozen,
            prefix=secret[:6],
            digest=digest(secret),
            created_by=access.user,
        )
        shown = f"decision {decision}" if made else experiment
        if frozen:
            shown = f"the report {frozen.version.title} as frozen on {frozen.frozen_at:%Y-%m-%d}"
        note(access, f"shared {shown} by the link {link.prefix}…")
    return link, secret


def _refuse_test_scores(experiment: Experiment | None, decision: Decision | None) -> None:
    """A frozen report holds none."""
    scored = experiment or (decision.experiment if decision else None)
    declared = declared_metrics(scored.document) if scored else {}
    metric = scored.official_metric if scored else _metric_of(decision)
    if scores_on_test(metric, declared):
        raise Conflict(f"The official metric, {metric}, is a test score: links show none.")


def _frozen(access: Access, frozen: int) -> FrozenReport:
    rows = FrozenReport.objects.filter(version__report__project_id=access.project_id, pk=frozen)
    found = rows.select_related("version").defer("content", "version__text").first()
    if found is None:
        raise NotFound(f"{access.slug} has no frozen report {frozen}.")
    return found


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
