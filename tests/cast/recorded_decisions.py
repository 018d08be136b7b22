"""Decisions on searches that were repeated."""

from __future__ import annotations

from experiments.models import Decision, Experiment, Replication
from tests.cast.findings import some_findings
from tests.cast.people import person
from tests.cast.searches import finished_search
from tests.cast.seeds import repeated


def decided(name: str, choice: str, reason: str, *, gain: float = 0.0047) -> Experiment:
    """A search, its seeds and a decision on them."""
    experiment = finished_search(name)
    some_findings(experiment, warn=False)
    decide(repeated(experiment, gain=gain, looks=(10,)), choice, reason)
    return experiment


def decide(replication: Replication, choice: str, reason: str = "It pays.") -> Decision:
    """Press a button of the Decide page as it stands."""
    from experiments.judgement.evidence import gather
    from experiments.services import decisions

    evidence = gather(replication)
    return decisions.record(
        user=person("ada"),
        experiment=replication.experiment,
        choice=choice,
        reason=reason,
        evidence=evidence.document(),
        verdict=evidence.outcome,
        replication=replication,
        state=evidence.state,
    )
