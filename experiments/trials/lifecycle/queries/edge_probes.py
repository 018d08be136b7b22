"""Probes beyond edges of a search space: their state, and the price of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from django.db.models import Count, Q

from experiments.analysis.space.edge_probe import ProbedEdge, runs_of
from experiments.design.queries.experiment_view import edges_of
from experiments.design.queries.records import AnyExperiment
from experiments.models import EdgeProbe, Trial
from experiments.models.trial import FINISHED, StudyKind, TrialState
from experiments.web.formatting import duration

_TIMED = 200  # newest trials whose time is taken


@dataclass(frozen=True, slots=True)
class ProbePrice:
    """Runs of a probe, from all edges dismissed at the first look to none before the last.

    seconds: of the most, with as many at a time as the experiment lets run; None before a trial
    has finished.
    """

    edges: int
    fewest: int
    most: int
    seconds: float | None

    @property
    def words(self) -> str:
        """The price as a button tells it."""
        time = "" if self.seconds is None else f", up to {duration(self.seconds)}"
        return f"{self.fewest} to {self.most} runs{time}"


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
    """The price of a probe of so many edges. One query."""
    rows = Trial.objects.filter(
        study__experiment=experiment.pk,
        study__kind=StudyKind.SEARCH,
        state=TrialState.COMPLETE,
        seconds__isnull=False,
    )
    times = list(rows.order_by("-pk").values_list("seconds", flat=True)[:_TIMED])
    most = runs_of(edges)
    rounds = math.ceil(most / experiment.parallel)
    seconds = None if not times else rounds * median(time or 0.0 for time in times)
    return ProbePrice(edges, runs_of(edges, looks=1), most, seconds)
