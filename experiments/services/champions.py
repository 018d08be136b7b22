"""Back to an earlier champion, and the targets that have champions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from django.db import IntegrityError, transaction

from experiments.errors import Conflict, NotFound, Problem, StaleEvidence, VerdictError
from experiments.models import Decision, Project
from experiments.models.decision import CHAMPION_CHOICES, Choice
from experiments.models.project import Role
from experiments.services import decision_log
from experiments.services.permissions import Person, require

MOST_TARGETS = 20
_TARGET = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def revert(
    *, user: Person, project: Project, target: str, to: int, standing: int, reason: str
) -> Decision:
    """Make the champion of decision `to` the champion of its target again.

    `standing` is the decision whose champion stood when the person looked. What the earlier
    decision rested on is frozen into this one too.

    Raises:
        VerdictError: without a reason, or for an unknown target.
        NotFound: when decision `to` made no champion of this target.
        StaleEvidence: when another champion stands meanwhile.
        Conflict: when it is the champion already, or somebody decided at the same moment.
    """
    require(user, project, Role.APPROVER)
    said = decision_log.checked_reason(reason)
    decision_log.checked_target(project, target)
    try:
        with transaction.atomic():
            held = Project.objects.select_for_update().get(pk=project.pk)
            wanted = _crowned(held, target, to)
            now = Decision.objects.crowning(held, target)
            if now is None or now.sequence != standing:
                by = f" by {now.decided_by_name}, decision {now.sequence}" if now else ""
                raise StaleEvidence(
                    f"The champion of {target} changed since this page was opened{by}. "
                    "Look at it again, then decide."
                )
            if wanted.candidate_id == now.candidate_id:
                raise Conflict(f"That configuration is the champion of {target} already.")
            return decision_log.append(
                project=held,
                user=user,
                choice=Choice.REVERT,
                reason=said,
                target=target,
                evidence=_evidence(wanted, now),
                candidate=wanted.candidate,
                baseline=now.candidate,
                experiment=wanted.experiment,
            )
    except IntegrityError as error:
        raise decision_log.taken(project) from error


def _crowned(project: Project, target: str, sequence: int) -> Decision:
    made = Decision.objects.filter(project=project, target=target, choice__in=CHAMPION_CHOICES)
    found = made.select_related("candidate", "experiment").filter(sequence=sequence).first()
    if found is None:
        raise NotFound(f"Decision {sequence} made no champion of {target}.")
    return found


def _evidence(wanted: Decision, now: Decision) -> str:
    """What the earlier decision rested on, and which decision it takes the place of."""
    document = {
        **json.loads(wanted.evidence or "{}"),
        "reverts": {"to": wanted.sequence, "from": now.sequence},
    }
    return json.dumps(document, sort_keys=True, allow_nan=False)


def set_targets(*, user: Person, project: Project, targets: Sequence[str]) -> None:
    """Name where champions run. One that has a champion stays.

    Raises:
        VerdictError: for a name that cannot be in an address, none at all, or too many.
        Conflict: when one that is left out has decisions.
    """
    require(user, project, Role.ADMIN)
    wanted = list(dict.fromkeys(targets))
    wrong = [name for name in wanted if not _TARGET.fullmatch(name)]
    if wrong or not 1 <= len(wanted) <= MOST_TARGETS:
        raise VerdictError(
            "The targets have errors.",
            [
                Problem(
                    "targets",
                    f"want 1 to {MOST_TARGETS} names of lower-case letters, digits, - and _"
                    + (f"; found {wrong[0]!r:.80}" if wrong else ""),
                )
            ],
        )
    with transaction.atomic():
        held = Project.objects.select_for_update().get(pk=project.pk)
        used = held.decisions.values_list("target", flat=True).distinct()
        if missing := sorted(set(used) - set(wanted)):
            raise Conflict(
                f"{', '.join(missing)} has decisions and stays.",
                [Problem("targets", f"want {', '.join(missing)} among them")],
            )
        held.targets = wanted
        held.save(update_fields=["targets"])
        project.targets = wanted
