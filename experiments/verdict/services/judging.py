"""Verdict of a replication, and a lock on it for writes that depend on the verdict."""

from __future__ import annotations

from experiments.design.queries.records import AnyReplication
from experiments.errors import Conflict, NotOpenYet, StaleEvidence
from experiments.models import Experiment, Replication
from experiments.models.replication import Purpose
from experiments.verdict.evidence.evidence import Evidence, evaluate
from experiments.verdict.evidence.evidence_state import changed_parts, evidence_state


def evaluated(replication: AnyReplication) -> Evidence:
    """Evaluate a replication from the records, before any lock is taken.

    No writer waits for it; `check_state` says under the lock whether it still stands.

    Raises:
        NotOpenYet: for runs that were not declared for a verdict.
    """
    if replication.purpose != Purpose.VERDICT:
        raise NotOpenYet("These runs were not declared for a verdict; they have none.")
    related = ("experiment__project", "candidate", "baseline", "candidate_trial")
    return evaluate(Replication.objects.select_related(*related).get(pk=replication.pk))


def lock(replication: AnyReplication) -> Replication:
    """The replication, locked after its experiment, as everywhere; call it in a transaction."""
    experiment = Experiment.objects.select_for_update().get(pk=replication.experiment_id)
    locked = Replication.objects.select_for_update().get(pk=replication.pk)
    locked.experiment = experiment
    return locked


def check_state(locked: Replication, state: str) -> None:
    """Refuse unless the evidence is still what `state` names.

    Raises:
        StaleEvidence: saying which parts of it changed.
    """
    if not state:
        raise StaleEvidence("Say which evidence you decide on: send the state that came with it.")
    changed = changed_parts(state, evidence_state(locked))
    if changed:
        raise StaleEvidence(
            f"The evidence changed since this page was opened: {', '.join(changed)}. "
            "Look at it again, then decide."
        )


def check_declared(replication: AnyReplication) -> None:
    """Refuse to run anything for a comparison of runs that existed before it."""
    if replication.is_retrospective:
        raise Conflict(
            "This compares runs that existed before: it takes no further seeds. Declare a "
            "replication, which replaces it."
        )
