"""Back to an earlier champion, and the targets that have champions."""

from __future__ import annotations

import json

from django.db import IntegrityError, transaction

from experiments.decisions.services import decision_log
from experiments.errors import Conflict, NotFound, StaleEvidence
from experiments.models import Decision, Project
from experiments.models.decision import CHAMPION_CHOICES, Choice
from experiments.models.project import Role
from experiments.team.queries.access import Access


def revert(*, access: Access, target: str, to: int, current: int, reason: str) -> Decision:
    """Make the champion of decision `to` the champion of its target again.

    `current` is the decision whose champion stood when the person looked. What the earlier
    decision rested on is frozen into this one too.

    Raises:
        VerdictError: without a reason, or for an unknown target.
        NotFound: when decision `to` made no champion of this target.
        StaleEvidence: when another champion stands meanwhile.
        Conflict: when it is the champion already, or somebody decided at the same moment.
    """
    access.require(Role.APPROVER)
    checked = decision_log.checked_reason(reason)
    decision_log.checked_target(access.targets, target)
    try:
        with transaction.atomic():
            project = Project.objects.select_for_update().get(pk=access.project_id)
            wanted = _crowned(project, target, to)
            now = Decision.objects.crowning(project, target)
            if now is None or now.sequence != current:
                by = f" by {now.decided_by_name}, decision {now.sequence}" if now else ""
                raise StaleEvidence(
                    f"The champion of {target} changed since this page was opened{by}. "
                    "Look at it again, then decide."
                )
            if wanted.candidate_id == now.candidate_id:
                raise Conflict(f"That configuration is the champion of {target} already.")
            return decision_log.append(
                project=project,
                access=access,
                choice=Choice.REVERT,
                reason=checked,
                target=target,
                evidence=_evidence(wanted, now),
                candidate=wanted.candidate,
                baseline=now.candidate,
                experiment=wanted.experiment,
            )
    except IntegrityError as error:
        raise decision_log.taken(access.project_id) from error


def _crowned(project: Project, target: str, sequence: int) -> Decision:
    made = Decision.objects.filter(project=project, target=target, choice__in=CHAMPION_CHOICES)
    found = made.select_related("candidate", "experiment").filter(sequence=sequence).first()
    if found is None:
        raise NotFound(f"Decision {sequence} made no champion of {target}.")
    return found


def _evidence(wanted: Decision, now: Decision) -> str:
    """Evidence of the earlier decision, and the decision that it replaces.

    Whoever confirmed the earlier one has not confirmed this.
    """
    earlier = json.loads(wanted.evidence or "{}")
    earlier.pop("confirmation", None)
    document = {**earlier, "reverts": {"to": wanted.sequence, "from": now.sequence}}
    return json.dumps(document, sort_keys=True, allow_nan=False)
