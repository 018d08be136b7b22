"""Hyperparameter importance by Optuna's PED-ANOVA, recomputed as trials complete.

Source: Watanabe et al. (2023), "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
Arbitrary Subspaces"; for conditional hyperparameters as Optuna's implementation handles them.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, close_old_connections

from experiments.trials.findings.queries.importance import (
    ScoredTrial,
    importance_due,
    is_maximized,
    scored_trials,
)
from experiments.trials.findings.services import importance
from experiments.trials.lifecycle.queries.search_progress import SearchProgress


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Let optional imports of a package fail, where nothing has imported it yet."""
    absent = package not in sys.modules
    if absent:
        sys.modules[package] = None  # type: ignore[assignment]  # documented to fail the import
    try:
        yield
    finally:
        if absent:
            del sys.modules[package]


# Evaluators that are not used here import scikit-learn, and it pandas: 150 MB for each worker.
with _without("sklearn"):
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

logger = logging.getLogger(__name__)
# A worker keeps no studies in memory but the passing ones below: their making is no news.
logging.getLogger("optuna.storages._in_memory").setLevel(logging.WARNING)

METHOD = "PED-ANOVA"
BEST = 0.1  # what matters is to be among the best tenth
SECONDS = 2.0  # between two computations while a search runs
HALF = 0.5  # and, nearer to the best, which of the better half are


class ImportanceRecorder:
    """Recomputes when a tenth more trials are complete, and at the end of the search.

    Not more often than every `SECONDS`, so that short trials do not wait for it. One for a worker
    process.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[int, float] = {}

    def record_if_due(self, progress: SearchProgress) -> bool:
        """Compute and record when due; errors are logged and never fail the trial. False when the
        database went away.
        """
        experiment_id = progress.experiment_id
        if progress.has_ended:
            self._next.pop(experiment_id, None)
        elif self._clock() < self._next.get(experiment_id, 0.0):
            return True
        try:
            if importance_due(progress):
                compute(experiment_id)
                if not progress.has_ended:
                    self._next[experiment_id] = self._clock() + SECONDS
        except (DatabaseError, InterfaceError):
            logger.exception("importance in experiment %s: the database is away", experiment_id)
            close_old_connections()
            return False
        except Exception:
            logger.exception(
                "the importance in experiment %s could not be computed", experiment_id
            )
        return True


def compute(experiment_id: int) -> None:
    """Read the complete trials of an experiment, compute, and record."""
    trials = scored_trials(experiment_id)
    shares = shares_of(trials, maximize=is_maximized(experiment_id))
    importance.record(
        experiment_id=experiment_id, method=METHOD, trials=len(trials), shares=shares
    )


def shares_of(trials: Sequence[ScoredTrial], *, maximize: bool) -> dict[str, tuple[float, float]]:
    """By name the share of what decides who is among the best tenth, each column adding up to 1.

    First in the whole search space, then within the better half of the trials. A hyperparameter
    that never varied is left out; all shares are 0 where nothing decides.
    """
    study = optuna.create_study(
        storage=optuna.storages.InMemoryStorage(),
        direction="maximize" if maximize else "minimize",
    )
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=dict(trial.parameters),
                distributions=dict(trial.distributions),
                value=trial.value,
            )
            for trial in trials
        ]
    )
    names = sorted({name for trial in trials for name in _varied(trial)})
    if not names:
        return {}
    whole, near = (
        _normalised(
            PedAnovaImportanceEvaluator(target_quantile=BEST, region_quantile=region).evaluate(
                study, names
            )
        )
        for region in (1.0, HALF)
    )
    return {name: (whole[name], near[name]) for name in names}


def _varied(trial: ScoredTrial) -> list[str]:
    return [name for name, values in trial.distributions.items() if not values.single()]


def _normalised(found: Mapping[str, float]) -> dict[str, float]:
    total = sum(found.values())
    return {name: value / total if total > 0 else 0.0 for name, value in found.items()}
