"""Time left of searches, and duration of replicates: the one place that estimates them."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from experiments.analysis.time_left import Span, TimeLeft, time_left
from experiments.design.document.file_fields import MOST_FIRST
from experiments.design.queries.records import AnyExperiment
from experiments.models import Experiment, Trial
from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.trial import Origin, StudyKind, TrialState

_LEAST_ENDED = 2  # trials of a search: the first to end is the shortest of those that began
_NEWEST = 50  # trials that an estimate is made from
_READ = _NEWEST + MOST_FIRST  # a file's first configurations have their numbers before they run
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


def spans_of(
    experiment_ids: Iterable[int], states: Iterable[TrialState] = _ENDED
) -> dict[int, list[Span]]:
    """Start and end of each experiment's newest search trials, in seconds. One query, which reads
    no more trials of a big search than of a small one.
    """
    newest = Window(
        RowNumber(), partition_by=["study__experiment"], order_by=F("finished_at").desc()
    )
    rows = (
        Trial.objects.filter(
            study__experiment__in=list(experiment_ids),
            study__kind=StudyKind.SEARCH,
            study__deleted_at__isnull=True,
            state__in=list(states),
            started_at__isnull=False,
            finished_at__isnull=False,
            number__gte=F("study__next_number") - F("study__experiment__parallel") - _READ,
        )
        .exclude(origin=Origin.OUTSIDE)
        .annotate(place=newest)
        .filter(place__lte=_NEWEST)
        .values_list("study__experiment", "started_at", "finished_at")
    )
    found: dict[int, list[Span]] = {}
    for experiment, started, finished in rows:
        if started is not None and finished is not None:
            span = (started.timestamp(), finished.timestamp())
            found.setdefault(experiment, []).append(span)
    return found


def searches_time_left(searches: Iterable[tuple[AnyExperiment, int]]) -> dict[int, TimeLeft]:
    """Time until each search's budget is used, by experiment; `searches`: with running trials.

    Without those that do not run, and those of which too few trials have ended. One query at most.
    """
    now = [found for found in searches if found[0].state == ExperimentState.RUNNING]
    spans = spans_of(row.pk for row, _ in now) if now else {}
    found = {}
    for row, running in now:
        runs = row.budget - row.trial_count - running / 2
        ended = spans.get(row.pk, [])
        left = time_left(ended, runs, running=running) if len(ended) >= _LEAST_ENDED else None
        if left is not None:
            found[row.pk] = left
    return found


def search_time_left(experiment: AnyExperiment, running: int) -> TimeLeft | None:
    """Time until the budget is used; None before two trials ended, and unless it runs."""
    return searches_time_left([(experiment, running)]).get(experiment.pk)


def trials_time(
    experiment: AnyExperiment, runs: int, at_once: float | None = None
) -> TimeLeft | None:
    """Duration of so many more whole trials of a search, None before one has completed."""
    spans = spans_of([experiment.pk], [TrialState.COMPLETE]).get(experiment.pk, ())
    return time_left(spans, runs, at_once=at_once)


def look_time(experiment: AnyExperiment, pairs: int, *, candidates: int = 1) -> TimeLeft | None:
    """Duration of so many pairs of replicates, as whole trials of its search took.

    None before one of them that a worker ran.
    """
    if experiment.is_from_outside:
        return None
    return trials_time(experiment, (1 + candidates) * pairs)


def trial_time(project_id: int, objective: str) -> TimeLeft | None:
    """Duration of one trial of an objective, as in the newest search that completed one."""
    rows = Experiment.objects.filter(
        project_id=project_id, objective=objective, complete_count__gt=0
    ).exclude(sampler=OUTSIDE)
    newest = rows.order_by("-pk").first()
    return None if newest is None else trials_time(newest, 1, at_once=1)
