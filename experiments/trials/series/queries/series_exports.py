"""Series on their way into a file: one trial after another, exact or as they are drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from django.db.models import BinaryField
from django.db.models.functions import Substr

from experiments.design.metrics import Metric
from experiments.design.queries.records import AnyExperiment
from experiments.models import SeriesBatch, Study, Trial
from experiments.models.trial import StudyKind
from experiments.trials.series.queries import series
from experiments.trials.series.queries.curves import thinned
from experiments.trials.series.series_encoding import FRACTIONAL, SeriesColumns
from experiments.trials.series.series_files import Piece
from experiments.trials.table.queries.trial_detail import name_of


def trial_names(experiment: AnyExperiment, ids: Collection[int] | None = None) -> dict[int, str]:
    """Name by id of an experiment's trials, replicates included; of some, if `ids` are given."""
    arms = Study.objects.filter(
        experiment=experiment.pk, kind=StudyKind.SEARCH, deleted_at__isnull=True
    ).count()
    rows = Trial.objects.filter(study__experiment=experiment.pk, study__deleted_at__isnull=True)
    if ids is not None:
        rows = rows.filter(pk__in=ids)
    rows = rows.select_related("study").only("number", "study", "study__kind", "study__arm_index")
    return {row.pk: name_of(row, arms) for row in rows.order_by("study_id", "number")}


def may_have_any_steps(names: Mapping[int, str]) -> bool:
    """Test whether some steps of these trials are no whole numbers: their flushes say so."""
    rows = SeriesBatch.objects.filter(trial_id__in=list(names))
    version = Substr("payload", 3, 1, output_field=BinaryField())
    return rows.annotate(version=version).filter(version=bytes([FRACTIONAL])).exists()


def exact(
    names: Mapping[int, str],
    *,
    declared: Mapping[str, Metric],
    metrics: Collection[str] | None = None,
    steps: tuple[int, int] | None = None,
) -> Iterator[Piece]:
    """Every point, to the last bit; one stored row of a curve at a time is in memory.

    Points of earlier attempts that are on no curve follow their trial's, marked as such.
    """
    several = set(
        Trial.objects.filter(pk__in=list(names), attempt__gt=1).values_list("pk", flat=True)
    )
    for trial_id, trial in names.items():
        for flush in series.in_pieces(trial_id, names=metrics, declared=declared, steps=steps):
            for metric, columns in flush.series.items():
                columns_within = columns if steps is None else series.within(columns, *steps)
                if len(columns_within.steps):
                    yield Piece(trial, metric, columns_within, flush.attempt)
        if trial_id in several:
            yield from _off_curve(trial_id, trial, declared, metrics, steps)


def _off_curve(
    trial_id: int,
    trial: str,
    declared: Mapping[str, Metric],
    metrics: Collection[str] | None,
    steps: tuple[int, int] | None,
) -> Iterator[Piece]:
    earlier = series.earlier_attempts(trial_id, names=metrics, declared=declared)
    for attempt, found in earlier.items():
        for metric, columns in found.items():
            columns_within = columns if steps is None else series.within(columns, *steps)
            if len(columns_within.steps):
                yield Piece(trial, metric, columns_within, attempt, on_curve=False)


def drawn(
    names: Mapping[int, str],
    *,
    points: int,
    declared: Mapping[str, Metric],
    metrics: Collection[str] | None = None,
    steps: tuple[int, int] | None = None,
) -> Iterator[Piece]:
    """At most about `points` points of each series: those that a page draws."""
    for trial_id, trial in names.items():
        read = series.read([trial_id], names=metrics, declared=declared, steps=steps)
        for metric, columns in read.get(trial_id, {}).items():
            shown = thinned(columns, 0, points)
            times_ms = np.rint(shown.seconds * 1000).astype(np.int64)
            yield Piece(trial, metric, SeriesColumns(shown.steps, shown.values, times_ms))
