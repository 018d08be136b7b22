"""Record decisions: insert-only, one chain a project, signed with a key outside the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from experiments.decisions.services import adopted_models, decision_log
from experiments.design.queries.records import AnyExperiment, AnyReplication
from experiments.errors import (
    Conflict,
    NotFound,
    NotOpenYet,
    Problem,
    ReviewNeeded,
    VerdictError,
)
from experiments.models import (
    Configuration,
    Decision,
    Experiment,
    Project,
    Proposal,
    Replication,
)
from experiments.models.decision import Choice, ProposalState
from experiments.models.project import Reviews, Role
from experiments.models.replication import Purpose
from experiments.team.queries.access import Access
from experiments.trials.artifacts.queries import deployables
from experiments.verdict.evidence.evidence import Evidence
from experiments.verdict.evidence.evidence_state import changed_parts, evidence_state
from experiments.verdict.services import judging, replications

_NEEDS_A_VERDICT = (Choice.ADOPT, Choice.REJECT, Choice.CONTINUE)


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision as somebody asks for it; `state` names the evidence that the person saw,
    `override` that they decide against its verdict."""

    experiment: AnyExperiment
    choice: str
    reason: str
    replication: AnyReplication | None = None
    state: str = ""
    override: bool = False
    target: str = "production"
    checkpoint: int | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """Basis of a decision, as the records say at this moment."""

    evidence: Mapping[str, Any]
    verdict: str  # adopt, reject, undecided, or "" without one
    candidate: Configuration | None
    baseline: Configuration | None = None
    replication: Replication | None = None

    @property
    def is_retrospective(self) -> bool:
        return self.replication is not None and self.replication.is_retrospective

    def overrides(self, choice: str) -> bool:
        """Test whether a choice goes against the verdict, or adopts on a retrospective one."""
        return overrides(choice, self.verdict, self.is_retrospective)


def record(
    *,
    access: Access,
    experiment: AnyExperiment,
    choice: str,
    reason: str,
    replication: AnyReplication | None = None,
    state: str = "",
    override: bool = False,
    target: str = "production",
    checkpoint: int | None = None,
) -> Decision:
    """Write a decision with its evidence frozen.

    The verdict is computed here, from the records. `state` names the evidence that the person
    saw; `override` that they decide against its verdict. An adopt freezes which checkpoint is
    deployed, with its checksum: the candidate's first replicate's best one, or that of the
    replicate whose trial `checkpoint` names. Where the candidate has a logged model, it makes
    that a version of the target's registered model.

    Raises:
        VerdictError: without a reason, for an unknown choice, or for a `checkpoint` that is none.
        NotOpenYet: for a choice that needs a verdict before there is one.
        StaleEvidence: when the evidence is not what `state` names; the message says what changed.
        Conflict: when somebody else decided or proposed meanwhile, or the choice goes against the
            verdict without `override`.
        ReviewNeeded: when the project wants a second approver for it (`reviews.propose`).
    """
    draft = Draft(experiment, choice, reason, replication, state, override, target, checkpoint)
    seen = checked(access, draft)
    try:
        with transaction.atomic():
            project = Project.objects.select_for_update().get(pk=experiment.project_id)
            basis = basis_of(draft, seen)
            expire_or_refuse(basis.replication)
            if needs_review(project.reviews, choice, basis.overrides(choice)):
                raise ReviewNeeded(
                    f"In {project.slug} a second approver confirms this decision: propose it."
                )
            return write(access, project, draft, basis, seen)
    except IntegrityError as error:
        raise decision_log.taken(access.project_id) from error


def checked(access: Access, draft: Draft) -> Evidence | None:
    """Refuse what no state of the records admits; the evidence, judged before any lock."""
    access.require(Role.APPROVER, draft.experiment)
    decision_log.checked_reason(draft.reason)
    _check_choice(draft.choice, draft.experiment, draft.replication)
    decision_log.checked_target(access.targets, draft.target)
    return judging.evaluated(draft.replication) if draft.replication is not None else None


def basis_of(draft: Draft, seen: Evidence | None) -> Basis:
    """The records that a decision rests on, if they admit it; the project's row is locked."""
    if seen is None:
        return _without_seeds(draft.experiment)
    basis = _with_seeds(seen, draft.state, draft.choice, draft.target)
    _check_verdict(basis, draft.choice, override=draft.override)
    return basis


def needs_review(reviews: str, choice: str, is_override: bool) -> bool:
    """Test whether a project's setting wants a second approver for a choice."""
    if reviews == Reviews.ADOPTS and choice == Choice.ADOPT:
        return True
    return reviews != Reviews.NONE and is_override


def write(
    access: Access,
    project: Project,
    draft: Draft,
    basis: Basis,
    seen: Evidence | None,
    *,
    confirmation: Mapping[str, str] | None = None,
) -> Decision:
    """Append a decision to the log with its basis frozen; `access` is that of who decided."""
    version = adopted_models.next_version(project, draft.target, draft.choice, basis.replication)
    frozen = {
        **basis.evidence,
        **deployed(draft.choice, basis.replication, draft.checkpoint),
        **adopted_models.frozen(version),
    }
    if confirmation is not None:
        frozen["confirmation"] = dict(confirmation)
    decision = decision_log.append(
        project=project,
        target=draft.target,
        choice=draft.choice,
        experiment=draft.experiment,
        replication=basis.replication,
        candidate=basis.candidate,
        baseline=basis.baseline,
        reason=decision_log.checked_reason(draft.reason),
        evidence=json.dumps(frozen, sort_keys=True, allow_nan=False),
        verdict=basis.verdict,
        overrides_verdict=basis.overrides(draft.choice),
        access=access,
    )
    if version is not None:
        version.register(decision)
    if draft.choice == Choice.CONTINUE and seen is not None and basis.replication is not None:
        replications.queue_next_look(basis.replication, seen.verdict)
    return decision


def expire_or_refuse(locked: Replication | None) -> None:
    """Refuse while a proposal waits on a replication; one whose evidence changed has expired.

    Raises:
        Conflict: naming who proposed what.
    """
    waiting = Proposal.objects.filter(replication=locked, outcome=ProposalState.PENDING)
    proposal = waiting.select_related("proposed_by").first() if locked is not None else None
    if locked is None or proposal is None:
        return
    changed = changed_parts(proposal.state, evidence_state(locked))
    if not changed:
        raise Conflict(
            f"{proposal.proposed_by.get_username()} proposed {proposal.choice} here; a second "
            "approver confirms or withdraws that first."
        )
    close(proposal, ProposalState.EXPIRED, because=f"changed: {', '.join(changed)}")


def close(
    proposal: Proposal, outcome: ProposalState, *, by: User | None = None, because: str = ""
) -> None:
    """End a proposal's wait; `by` is nobody where it expired."""
    proposal.outcome = outcome
    proposal.closed_by = by
    proposal.closed_at = timezone.now()
    proposal.closed_because = because
    proposal.save(update_fields=["outcome", "closed_by", "closed_at", "closed_because"])


def _with_seeds(seen: Evidence, state: str, choice: str, target: str) -> Basis:
    """Basis with replicates, if they still say what was seen and nobody has decided."""
    locked = judging.lock(seen.replication)
    _check_undecided(locked, choice, target)
    for shown in (state, seen.state):
        judging.check_state(locked, shown)
    _check_champion(locked, choice, target)
    return Basis(seen.document(), seen.outcome, locked.candidate, locked.baseline, locked)


def deployed(
    choice: str, replication: Replication | None, named: int | None
) -> dict[str, dict[str, Any]]:
    """Checkpoint that an adopt freezes, where there is one."""
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


def _check_choice(
    choice: str, experiment: AnyExperiment, replication: AnyReplication | None
) -> None:
    if replication is not None and replication.experiment_id != experiment.pk:
        raise NotFound(f"{experiment.name} has no replication {replication.pk}.")
    if choice not in (*_NEEDS_A_VERDICT, Choice.DROPPED):
        raise VerdictError("There is no such choice.", [Problem("choice", f"found {choice!r}")])
    if choice in _NEEDS_A_VERDICT and replication is None:
        raise _no_verdict()


def _no_verdict() -> NotOpenYet:
    return NotOpenYet(
        "There is no verdict yet: adopt and reject need a complete look at fresh seeds."
    )


def _check_verdict(basis: Basis, choice: str, *, override: bool) -> None:
    verdict = basis.verdict
    if choice in _NEEDS_A_VERDICT and not verdict:
        raise _no_verdict()
    if choice == Choice.CONTINUE and verdict != "undecided":
        raise Conflict("Only an undecided look is continued; the first adopt or reject ends it.")
    if overrides(choice, verdict, basis.is_retrospective) and not override:
        if basis.is_retrospective and verdict == choice:
            raise Conflict(
                "The verdict is retrospective: whoever picked the runs could have seen their "
                "scores. Nothing was recorded; to adopt all the same, override it: the log will "
                "say that you did."
            )
        raise Conflict(
            f"The verdict is {verdict}, so {choice} goes against it. Nothing was recorded; to "
            "decide so all the same, override the verdict: the log will say that you did."
        )


def _check_undecided(locked: Replication, choice: str, target: str) -> None:
    earlier = locked.decisions.exclude(choice=Choice.CONTINUE).order_by("-sequence").first()
    # What one target adopted, another may adopt as well: staging first, then production.
    elsewhere = choice == Choice.ADOPT and earlier is not None and earlier.choice == Choice.ADOPT
    taken = elsewhere and locked.decisions.filter(target=target, choice=Choice.ADOPT).exists()
    if earlier is not None and (taken or not elsewhere):
        raise Conflict(
            f"{earlier.decided_by_name} decided this already: {earlier.choice}. "
            "Nothing was recorded twice."
        )


def _without_seeds(experiment: AnyExperiment) -> Basis:
    """Basis from the search alone; refused once there are seeds, or when it was dropped."""
    locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
    earlier = locked.decisions.filter(choice=Choice.DROPPED).first()
    if earlier is not None:
        raise Conflict(
            f"{earlier.decided_by_name} decided this already: {earlier.choice} "
            f"(decision {earlier.sequence}). Nothing was recorded twice."
        )
    if locked.replications.filter(purpose=Purpose.VERDICT).exists():
        raise Conflict(
            "Seeds were asked for, so this cannot be dropped without them. "
            "Read their evidence, then decide."
        )
    evidence = {
        "metric": locked.official_metric,
        "direction": locked.direction,
        "goal": locked.goal,
        "experiment": locked.name,
        "trials": locked.trial_count,
        "best_value": locked.best_value,
        "verdict": None,
    }
    return Basis(evidence, "", locked.best_trial.configuration if locked.best_trial else None)


def _check_champion(replication: Replication, choice: str, target: str) -> None:
    """A candidate is adopted over the champion that it was compared with, and no other."""
    if choice != Choice.ADOPT:
        return
    crowning = Decision.objects.crowning(replication.experiment.project, target)
    if crowning is not None and crowning.candidate_id != replication.baseline_id:
        raise Conflict(
            f"The champion changed since this replication was declared (decision "
            f"{crowning.sequence} by {crowning.decided_by_name}), so its baseline is no "
            "longer what stands. Reject this, then repeat the candidate against the new champion."
        )


def overrides(choice: str, verdict: str, is_retrospective: bool = False) -> bool:
    """Test whether a person decided against what the interval says, or adopted on runs that were
    picked when their scores were known.
    """
    return (choice == Choice.ADOPT and (verdict != "adopt" or is_retrospective)) or (
        choice == Choice.REJECT and verdict == "adopt"
    )
