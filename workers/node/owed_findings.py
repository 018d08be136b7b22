"""Derived records owed after a trial's result, made by any worker where the first one could not:
its worker died, or the database went away. Runs that programs outside ended have no other reader.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Mapping
from functools import partial

from django.conf import settings
from django.db import DatabaseError

from experiments.trials.findings.queries.findings_due import (
    DueTrial,
    due_experiments,
    due_summaries,
    due_trials,
)
from experiments.trials.findings.services import findings
from experiments.trials.lifecycle.queries.search_progress import SearchProgress, progress_of
from experiments.trials.lifecycle.services import edge_probes
from experiments.trials.series.queries import series
from experiments.trials.series.series_encoding import SeriesColumns
from experiments.trials.series.services import metric_summaries
from workers.node import importance
from workers.node.findings import Account, FindingsRecorder, broken, look_at_trial, tried

logger = logging.getLogger(__name__)

AT_ONCE = 5  # trials at one heartbeat, which they must not hold up
SUMMARIES_AT_ONCE = 20


def look(findings_recorder: FindingsRecorder, most: int = AT_ONCE) -> int:
    """Record what the rules see in trials, or else in one search; returns in how many.

    What breaks is logged and tried `TRIES` times; then a finding says so in place of the others.

    Raises:
        DatabaseError: while the database is away; they stay owed.
    """
    silence = dt.timedelta(seconds=settings.STALE_AFTER_SECONDS)
    waiting = due_trials(most, silence=silence)
    for trial in waiting:
        _read(trial, findings_recorder)
    if waiting:
        return len(waiting)
    searches = due_experiments(1, silence=silence)
    for experiment_id in searches:
        derive(experiment_id, findings_recorder)
    return len(searches) or _summarise(SUMMARIES_AT_ONCE)


def _summarise(most: int) -> int:
    """Summarise metrics of trials that ended before Verdict did so; returns of how many."""
    waiting = due_summaries(most)
    for trial in waiting:
        columns: Mapping[str, SeriesColumns] = {}
        try:
            read = series.read([trial.trial_id], declared=dict(trial.metrics))
            columns = read.get(trial.trial_id, {})
        except DatabaseError:
            raise
        except Exception:  # nothing is summarised of it; other trials do not wait for it
            logger.exception("the metrics of trial %s cannot be read", trial.trial_id)
        metric_summaries.summarise(
            trial_id=trial.trial_id,
            columns=columns,
            official_metric=trial.official_metric,
            direction=trial.direction,
        )
    return len(waiting)


def derive(experiment_id: int, findings_recorder: FindingsRecorder) -> None:
    """Make what follows from all trials of a search."""
    progress = progress_of(experiment_id)
    made = importance.ImportanceRecorder().look(progress)
    if findings_recorder.look_again(experiment_id) and made:
        settle(progress)


def derive_all(experiment_ids: Iterable[int], findings_recorder: FindingsRecorder) -> None:
    """Derive for searches whose probes have ended; owed where that cannot be done now."""
    for experiment_id in experiment_ids:
        tried(f"experiment {experiment_id}", partial(derive, experiment_id, findings_recorder))


def settle(progress: SearchProgress) -> None:
    """Findings of a search are made: probe its edges if its file says so, and owe nothing more."""
    experiment_id = progress.experiment_id
    what = f"experiment {experiment_id}"
    if tried(f"the probe of {what}", lambda: edge_probes.ask_by_file(experiment_id)):
        tried(what, lambda: findings.settle(experiment_id=experiment_id, trials=progress.done))


def _read(trial: DueTrial, findings_recorder: FindingsRecorder) -> None:
    if not trial.from_outside:
        findings.unsettle(experiment_id=trial.experiment_id)
    try:
        look_at_trial(trial, trial.parameters, trial.pruned, Account())
        findings_recorder.succeeded("trial", trial.trial_id)
    except DatabaseError:
        raise
    except Exception as error:
        logger.exception("the findings of trial %s could not be made", trial.trial_id)
        if findings_recorder.gives_up("trial", trial.trial_id):
            findings.record_trial(
                experiment_id=trial.experiment_id,
                trial_id=trial.trial_id,
                diagnoses=[broken([error])],
                reading="{}",
            )
