"""Append to the log of decisions: the only place that writes an entry."""

from __future__ import annotations

from django.utils import timezone

from experiments.decision_chain import first_previous_hash, sign, signed_fields
from experiments.models import Configuration, Decision, Experiment, Project, Replication
from experiments.models.decision import Choice
from experiments.services.permissions import Person


def append(
    *,
    project: Project,
    user: Person,
    choice: str,
    reason: str,
    target: str,
    evidence: str,
    candidate: Configuration | None,
    baseline: Configuration | None = None,
    experiment: Experiment | None = None,
    replication: Replication | None = None,
    verdict: str = "",
    overrides_verdict: bool = False,
) -> Decision:
    """Write the next entry of a project's chain; the caller holds the project's row locked.

    `evidence` is JSON text. A log that begins with its baseline begins at 0, any other at 1.

    Raises:
        IntegrityError: when somebody else took the same place of the chain.
    """
    last = Decision.objects.filter(project=project).order_by("-sequence").first()
    decision = Decision(
        project=project,
        target=target,
        sequence=last.sequence + 1 if last else int(choice != Choice.BASELINE),
        choice=choice,
        experiment=experiment,
        replication=replication,
        candidate=candidate,
        baseline=baseline,
        verdict=verdict,
        overrides_verdict=overrides_verdict,
        reason=reason,
        evidence=evidence,
        decided_by_id=user.pk,
        decided_by_name=user.get_username(),
        decided_at=timezone.now(),
        previous_hash=last.hash if last else first_previous_hash(project.pk),
    )
    decision.hash = sign(signed_fields(decision))
    decision.save(force_insert=True)
    if experiment is not None:
        Experiment.objects.filter(pk=experiment.pk).update(active_at=decision.decided_at)
    return decision
