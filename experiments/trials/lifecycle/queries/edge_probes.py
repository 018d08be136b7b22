"""Probes beyond edges of a search space: their state, and the price of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from experiments.analysis.space.edge_probe import ProbedEdge, runs_of
from experiments.analysis.time_left import TimeLeft
from experiments.design.queries.experiment_view import edges_of
from experiments.design.queries.records import AnyExperiment
from experiments.design.queries.time_left import trials_time
from experiments.models import EdgeProbe
from experiments.models.trial import FINISHED
from experiments.web.formatting import time_range


@dataclass(frozen=True, slots=True)
class ProbePrice:
    """Runs of a probe, from all edges dismissed at the first look to none before the last.

    takes: of the most, with as many at a time as the experiment lets run; `work`: one after the
    other, which is the time of workers that they use. None before a trial has completed.
    """

    edges: int
    fewest: int
    most: int
    takes: TimeLeft | None
    work: TimeLeft | None

    @property
    def words(self) -> str:
        """The price as a button tells it."""
        runs = f"{self.fewest} to {self.most} runs"
        if self.takes is None or self.work is None:
            return f"{runs}, time not known yet"
        takes, work = (time_range(time.low, time.high) for time in (self.takes, self.work))
        return f"{runs}; all of them take {takes}" + (
            f", {work} of worker time" if work != takes else ""
        )


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe. `state`: running, done or cancelled; `asked_by` is empty for the file itself.

    runs, finished: its trials so far, and those of them that have ended.
    """

    id: int
    state: str
    edges: tuple[ProbedEdge, ...]
    runs: int
    finished: int
    asked_by: str
    created_at: datetime
    finished_at: datetime | None

    @property
    def is_running(self) -> bool:
        return self.state == EdgeProbe.State.RUNNING

    @property
    def subjects(self) -> tuple[str, ...]:
        """Edges that are still probed."""
        return tuple(edge.subject for edge in self.edges if edge.live)


def probes_of(experiment_id: int) -> list[ProbeRow]:
    """Probes of an experiment, the newest first. One query."""
    trials = Count("studies__trials")
    finished = Count("studies__trials", filter=Q(studies__trials__state__in=FINISHED))
    rows = EdgeProbe.objects.filter(experiment_id=experiment_id).select_related("asked_by")
    return [
        ProbeRow(
            id=row.pk,
            state=row.state,
            edges=edges_of(row.edges),
            runs=row.runs,
            finished=row.finished,
            asked_by=row.asked_by.get_username() if row.asked_by else "",
            created_at=row.created_at,
            finished_at=row.finished_at,
        )
        for row in rows.annotate(runs=trials, finished=finished)
    ]


def price_of(experiment: AnyExperiment, edges: int) -> ProbePrice:
    """The price of a probe of so many edges."""
    most = runs_of(edges)
    return ProbePrice(
        edges,
        runs_of(edges, looks=1),
        most,
        takes=trials_time(experiment, most, at_once=experiment.parallel),
        work=trials_time(experiment, most, at_once=1),
    )
