"""Decisions on searches that were repeated."""

from __future__ import annotations

from typing import Any

from django.db import connection

from experiments.models import Decision, Experiment, Replication
from tests.cast.findings import some_findings
from tests.cast.people import access
from tests.cast.searches import finished_search
from tests.cast.seeds import repeated


def decided(name: str, choice: str, reason: str, *, gain: float = 0.0047) -> Experiment:
    """A search, its seeds and a decision on them."""
    experiment = finished_search(name)
    some_findings(experiment, warn=False)
    decide(repeated(experiment, gain=gain, looks=(10,)), choice, reason)
    return experiment


def decide(
    replication: Replication, choice: str, reason: str = "It pays.", **more: Any
) -> Decision:
    """Press a button of the Decide page as it stands, the override ticked."""
    from experiments.decisions.services import decisions
    from experiments.verdict.evidence.evidence_state import evidence_state

    return decisions.record(
        access=access("ada", replication.experiment),
        experiment=replication.experiment,
        choice=choice,
        reason=reason,
        replication=replication,
        state=evidence_state(replication),
        **{"override": True, **more},
    )


_PROTECTED_BY = {
    "sqlite": (
        "DROP TRIGGER IF EXISTS verdict_decision_no_update",
        "DROP TRIGGER IF EXISTS verdict_decision_no_delete",
        "DROP TRIGGER IF EXISTS verdict_decision_no_replace",
    ),
    "postgresql": (
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ALTER TABLE experiments_decision DISABLE TRIGGER USER",
    ),
}


def by_hand(*statements: str) -> None:
    """What somebody does who owns the database: put the protection away, then write."""
    with connection.cursor() as cursor:
        for statement in (*_PROTECTED_BY[connection.vendor], *statements):
            cursor.execute(statement)
