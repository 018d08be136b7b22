"""Record decisions: insert-only, one chain a project, signed with a key outside the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from experiments.errors import Conflict, NotOpenYet, Problem, StaleEvidence, VerdictError
from experiments.models import (
    Configuration,
    Decision,
    Experiment,
    Project,
    Replication,
    Trial,
)
from experiments.models.decision import Choice
from experiments.models.project import Role
from experiments.queries import deployables
from experiments.services import decision_log, replications
from experiments.services.permissions import Person, require

_NEEDS_A_VERDICT = (Choice.ADOPT, Choice.REJECT, Choice.CONTINUE)


def record(
    *,
    user: Person,
    experiment: Experiment,
    choice: str,
    reason: str,
    evidence: Mapping[str, Any],
    verdict: str = "",
    replication: Replication | None = None,
    state: str = "",
    target: str = "production",
    checkpoint: int | None = None,
) -> Decision:
    """Write a decision with its evidence frozen.

    `evidence` is JSON; `verdict` the computed outcome (adopt, reject, undecided, none);
    `state` is what `replication_state` said when the evidence was gathered. An adopt freezes
    which checkpoint is deployed, with its checksum: the candidate's first replicate's best one,
    or that of the replicate whose trial `checkpoint` names.

    Raises:
        VerdictError: without a reason, for an unknown choice, or for a `checkpoint` that is none.
        NotOpenYet: for a choice that needs a verdict before there is one.
        StaleEvidence: when replicates changed since the evidence was gathered.
        Conflict: when somebody else decided meanwhile.
    """
    require(user, experiment.project, Role.APPROVER)
    said = decision_log.checked_reason(reason)
    _check(choice, verdict, replication)
    decision_log.checked_target(experiment.project, target)
    try:
        with transaction.atomic():
            project = Project.objects.select_for_update().get(pk=experiment.project_id)
            if replication is not None:
                _check_fresh(replication, state, choice, target)
                _check_champion(replication, choice, target)
            else:
                _check_not_dropped(experiment)
            decision = decision_log.append(
                project=project,
                target=target,
                choice=choice,
                experiment=experiment,
                replication=replication,
                candidate=replication.candidate if replication else _dropped(experiment),
                baseline=replication.baseline if replication else None,
                reason=said,
                evidence=json.dumps(
                    {**evidence, **_deployed(choice, replication, checkpoint)},
                    sort_keys=True,
                    allow_nan=False,
                ),
                verdict=verdict,
                overrides_verdict=_overrides(choice, verdict),
                user=user,
            )
            if choice == Choice.CONTINUE and replication is not None:
                replications.continue_to_next_look(user=user, replication=replication)
    except IntegrityError as error:
        raise decision_log.taken(experiment.project) from error
    return decision


def _deployed(
    choice: str, replication: Replication | None, named: int | None
) -> dict[str, dict[str, Any]]:
    """What an adopt freezes of the checkpoint, where there is one."""
    if choice != Choice.ADOPT or replication is None:
        return {}
    found = deployables.best_checkpoint(replication, named)
    if found is None and named is not None:
        raise VerdictError(
            "That checkpoint cannot be deployed.",
            [Problem("checkpoint", f"trial {named} is no replicate of the candidate with one")],
        )
    document = deployables.as_document(found)
    return {"checkpoint": document} if document else {}


def _check(choice: str, verdict: str, replication: Replication | None) -> None:
    if choice not in (*_NEEDS_A_VERDICT, Choice.DROPPED):
        raise VerdictError("There is no such choice.", [Problem("choice", f"found {choice!r}")])
    if choice == Choice.CONTINUE and verdict != "undecided":
        raise Conflict("Only an undecided look is continued; the first adopt or reject ends it.")
    if choice in _NEEDS_A_VERDICT and (replication is None or verdict in ("", "none")):
        raise NotOpenYet(
            "There is no verdict yet: adopt and reject need a complete look at fresh seeds."
        )


def replication_state(replication: Replication) -> str:
    """A digest of what the replicates have become; another one means other evidence."""
    rows = Trial.objects.replicates_of(replication).order_by("pk")
    text = json.dumps(
        [
            list(rows.values_list("pk", "state", "attempt", "value")),
            replication.looks,
            replication.pairs_queued,
            replication.test_openings.count(),
            list(
                replication.experiment.findings.filter(dismissed_at__isnull=False)
                .order_by("pk")
                .values_list("pk", "dismiss_reason")
            ),
            replication.experiment.mutes_overfitting,
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _check_fresh(replication: Replication, state: str, choice: str, target: str) -> None:
    held = Replication.objects.select_for_update().get(pk=replication.pk)
    earlier = held.decisions.exclude(choice=Choice.CONTINUE).order_by("-sequence").first()
    # What one target adopted, another may adopt as well: staging first, then production.
    elsewhere = choice == Choice.ADOPT and earlier is not None and earlier.choice == Choice.ADOPT
    taken = elsewhere and held.decisions.filter(target=target, choice=Choice.ADOPT).exists()
    if earlier is not None and (taken or not elsewhere):
        raise Conflict(
            f"{earlier.decided_by_name} decided this already: {earlier.choice}. "
            "Nothing was recorded twice."
        )
    if state != replication_state(held):
        raise StaleEvidence(
            "The evidence changed since this page was opened. Look at it again, then decide."
        )


def _check_not_dropped(experiment: Experiment) -> None:
    """What was dropped is not dropped again, by a second click or a second person."""
    earlier = experiment.decisions.filter(choice=Choice.DROPPED).first()
    if earlier is not None:
        raise Conflict(
            f"{earlier.decided_by_name} decided this already: {earlier.choice} "
            f"(decision {earlier.sequence}). Nothing was recorded twice."
        )


def _check_champion(replication: Replication, choice: str, target: str) -> None:
    """A candidate is adopted over the champion that it was compared with, and no other."""
    if choice != Choice.ADOPT:
        return
    crowning = Decision.objects.crowning(replication.experiment.project, target)
    if crowning is not None and crowning.candidate_id != replication.baseline_id:
        raise Conflict(
            f"The champion changed since this repetition was declared (decision "
            f"{crowning.sequence} by {crowning.decided_by_name}), so its baseline is no "
            "longer what stands. Reject this, then repeat the candidate against the new champion."
        )


def _dropped(experiment: Experiment) -> Configuration | None:
    """What is dropped without seeds: the configuration of the best trial."""
    return experiment.best_trial.configuration if experiment.best_trial else None


def _overrides(choice: str, verdict: str) -> bool:
    """Whether a person decided against what the interval says."""
    return (choice == Choice.ADOPT and verdict != "adopt") or (
        choice == Choice.REJECT and verdict == "adopt"
    )
