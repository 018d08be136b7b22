"""An experiment between design and decision: what its pages and the API share."""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.urls import reverse

from experiments.design.queries.finding_counts import FindingCounts
from experiments.design.queries.records import ExperimentRecord
from experiments.team.queries.access import Access
from experiments.trials.panels.parts import ExperimentParts, read_parts
from experiments.verdict.queries.replication_state import (
    ReplicationState,
    decision_without_seeds,
    replication_state,
)

ENDED = ("finished", "stopped")


@dataclass(frozen=True, slots=True)
class PathContext(ExperimentParts):
    """An experiment between design and decision.

    `replication`: its newest one; `dropped`: number of the decision that ended it without seeds.
    """

    replication: ReplicationState | None
    dropped: int | None

    @property
    def has_replicates(self) -> bool:
        return self.replication is not None

    @property
    def complete_replication(self) -> int | None:
        state = self.replication
        return state.id if state and state.complete else None

    @property
    def outside(self) -> bool:
        """Test whether external programs run its trials: they repeat them, too, not workers."""
        return self.file is None and not self.experiment.objective

    @property
    def searching(self) -> bool:
        return self.experiment.state not in ENDED

    @property
    def counts(self) -> FindingCounts:
        return self.findings.counts

    @property
    def decision(self) -> int | None:
        return self.replication.decision if self.replication else self.dropped

    def url(self, name: str) -> str:
        return reverse(name, args=[self.access.slug, self.experiment.name])


def path_context(
    access: Access, experiment: ExperimentRecord, *, candidate: int = 0
) -> PathContext:
    """Read what the pages of an experiment share.

    `candidate`: which of several that are repeated together, from 1; 0 leaves it open.
    """
    parts = read_parts(access, experiment)
    return PathContext(
        **{field.name: getattr(parts, field.name) for field in fields(parts)},
        replication=replication_state(experiment.pk, candidate),
        dropped=decision_without_seeds(experiment.pk),
    )
