"""Probes of edges as the findings of an experiment offer them, with their price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.design.space.domains import Range
from experiments.trials.lifecycle.queries.edge_probes import (
    ProbePrice,
    ProbeRow,
    price_of,
    probes_of,
)
from experiments.trials.panels.parts import ExperimentParts


@dataclass(frozen=True, slots=True)
class EdgeProbing:
    """The probe under way, else the prices of one edge and of every edge."""

    running: ProbeRow | None = None
    one: ProbePrice | None = None
    every: ProbePrice | None = None

    @property
    def under_way(self) -> Mapping[str, bool]:
        """Edges that are being probed, by their subject."""
        return {} if self.running is None else dict.fromkeys(self.running.subjects, True)


def edge_probing(parts: ExperimentParts) -> EdgeProbing:
    """Read it where a finding could be probed, or a probe runs."""
    if parts.file is None:
        return EdgeProbing()
    running = next((row for row in probes_of(parts.experiment.pk) if row.is_running), None)
    if running is not None or not any(row.is_at_an_edge for row in parts.findings.open):
        return EdgeProbing(running)
    edges = sum(
        2 - len(hyperparameter.natural)
        for hyperparameter in parts.file.space.hyperparameters
        if isinstance(hyperparameter.domain, Range)
    )
    one = price_of(parts.experiment, 1)
    return EdgeProbing(None, one, price_of(parts.experiment, edges) if edges > 1 else None)
