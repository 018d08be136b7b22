"""Findings and summaries still owed after a trial's result, derived by any worker: where the
trial's own worker died or lost the database, and for runs logged by outside programs.
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
from workers.node.findings import (
    FindingsRecorder,
    TimeBudget,
    derive_trial,
    rules_broke,
    run_logged,
)

logger = logging.getLogger(__name__)

AT_ONCE = 5  # trials at one heartbeat, so that it is not delayed
SUMMARIES_AT_ONCE = 20


def derive_due(findings_recorder: FindingsRecorder, most: int = AT_ONCE) -> int:
    """Derive findings of due trials, or else of one search; the number derived.

    Failures are logged and retried `TRIES` times; then a finding records the failure.

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
    """Summarise metrics of trials that ended before Verdict stored summaries; their number."""
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
    """Derive importance and findings of a whole search."""
    progress = progress_of(experiment_id)
    made = importance.ImportanceRecorder().record_if_due(progress)
    if findings_recorder.derive_again(experiment_id) and made:
        finish_search(progress)


def derive_all(experiment_ids: Iterable[int], findings_recorder: FindingsRecorder) -> None:
    """Derive for searches whose probes have ended; they stay owed where that fails."""
    for experiment_id in experiment_ids:
        run_logged(
            f"experiment {experiment_id}", partial(derive, experiment_id, findings_recorder)
        )


def finish_search(progress: SearchProgress) -> None:
    """Mark a search as derived; before that, request the edge probes that its file asks for."""
    experiment_id = progress.experiment_id
    what = f"experiment {experiment_id}"
    if run_logged(f"the probe of {what}", lambda: edge_probes.ask_by_file(experiment_id)):
        run_logged(
            what, lambda: findings.mark_derived(experiment_id=experiment_id, trials=progress.done)
        )


def _read(trial: DueTrial, findings_recorder: FindingsRecorder) -> None:
    if not trial.from_outside:
        findings.mark_owed(experiment_id=trial.experiment_id)
    try:
        derive_trial(trial, trial.parameters, trial.pruned, TimeBudget())
        findings_recorder.succeeded("trial", trial.trial_id)
    except DatabaseError:
        raise
    except Exception as error:
        logger.exception("the findings of trial %s could not be made", trial.trial_id)
        if findings_recorder.count_failure("trial", trial.trial_id):
            findings.record_trial(
                experiment_id=trial.experiment_id,
                trial_id=trial.trial_id,
                diagnoses=[rules_broke([error])],
                reading="{}",
            )
