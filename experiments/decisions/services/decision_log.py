"""Append to the log of decisions: the only place that writes an entry."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.utils import timezone

from experiments.decisions.queries.champion import as_document, sentence
from experiments.design.queries.records import AnyExperiment
from experiments.errors import Conflict, Problem, VerdictError
from experiments.models import Configuration, Decision, Experiment, Project, Replication
from experiments.models.decision import Choice
from experiments.models.webhook import EventKind
from experiments.team.page_addresses import page
from experiments.team.queries.access import Access
from experiments.team.services import messages
from experiments.verdict.decision_chain import first_previous_hash, sign, signed_fields
from experiments.verdict.queries.chain_check import intact_log
from experiments.verdict.queries.noted_heads import Head, note_head

LONGEST_REASON = 10_000


def checked_reason(reason: str) -> str:
    """The reason without the space around it.

    Raises:
        VerdictError: for none, or one that is too long to keep.
    """
    text = reason.strip()
    if not text:
        raise VerdictError(
            "A decision needs a reason.",
            [Problem("reason", "say why; it is recorded with your name and cannot be edited")],
        )
    if len(text) > LONGEST_REASON or "\x00" in text:
        raise VerdictError(
            "The reason is too long.",
            [Problem("reason", f"expected at most {LONGEST_REASON} characters and no NUL")],
        )
    return text


def checked_target(targets: Sequence[str], target: str) -> str:
    """The target, which must be one of the project's.

    Raises:
        VerdictError: for any other; the message lists those there are.
    """
    if target not in targets:
        raise VerdictError(
            f"There is no target {target!r}.",
            [Problem("target", f"expected one of {', '.join(targets)}")],
        )
    return target


def taken(project_id: int) -> Conflict:
    """The refusal for who came second at the same moment; it says who came first."""
    newest = Decision.objects.filter(project_id=project_id).order_by("-sequence").first()
    first = f"{newest.decided_by_name} (decision {newest.sequence})" if newest else "Somebody else"
    return Conflict(f"{first} decided at the same moment. Nothing was recorded; look at the log.")


def append(
    *,
    project: Project,
    access: Access,
    choice: str,
    reason: str,
    target: str,
    evidence: str,
    candidate: Configuration | None,
    baseline: Configuration | None = None,
    experiment: AnyExperiment | None = None,
    replication: Replication | None = None,
    verdict: str = "",
    overrides_verdict: bool = False,
) -> Decision:
    """Write the next entry of a project's chain; the caller holds the project's row locked.

    `evidence` is JSON text. A log that begins with its baseline begins at 0, any other at 1.

    Raises:
        Conflict: when the chain so far was altered.
        IntegrityError: when somebody else took the same place of the chain.
    """
    checked = intact_log(project)
    last = Decision.objects.filter(project=project).order_by("-sequence").first()
    decision = Decision(
        project=project,
        target=target,
        sequence=last.sequence + 1 if last else int(choice != Choice.BASELINE),
        choice=choice,
        experiment_id=experiment.pk if experiment else None,
        replication=replication,
        candidate=candidate,
        baseline=baseline,
        verdict=verdict,
        overrides_verdict=overrides_verdict,
        reason=reason,
        evidence=evidence,
        decided_by=access.user,
        decided_by_name=access.username,
        decided_at=timezone.now(),
        previous_hash=last.hash if last else first_previous_hash(project.pk),
    )
    decision.hash = sign(signed_fields(decision))
    decision.save(force_insert=True)
    head = Head(checked.head.count + 1, decision.hash)
    transaction.on_commit(partial(note_head, project.pk, project.slug, head))
    if experiment is not None:
        Experiment.objects.filter(pk=experiment.pk).update(active_at=decision.decided_at)
    _tell(decision)
    return decision


def _tell(decision: Decision) -> None:
    """Announce that the log has grown, in the transaction that wrote the entry."""
    messages.announce(
        project=decision.project,
        kind=EventKind.DECIDED,
        key=f"decided:{decision.pk}",
        text=sentence(decision),
        path=page("decision", decision.project.slug, decision.sequence),
        experiment=decision.experiment,
        decision=as_document(decision),
    )
