"""A pruner that gives a trial up when its curve is not heading for a new best."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from experiments.analysis.curves.extrapolation import Forecast, chance_to_beat, forecast

_CHECKS = 20  # looks at a run, evenly spread over it: each look compares with all finished runs
_MOST_FINISHED = 100  # newest runs to compare with


class ExtrapolationPruner(BasePruner):
    """Prunes a trial whose chance to beat the best complete one falls below `probability`.

    Args:
        probability: below which a trial is given up.
        n_startup_trials: complete trials before any is pruned; the forecast is corrected by them.
        n_warmup_steps: step before which no trial is pruned.
        max_resource: the last step of a run; "auto" takes the largest last step of the complete
            trials.
    """

    def __init__(
        self,
        probability: float = 0.05,
        n_startup_trials: int = 10,
        n_warmup_steps: int = 0,
        max_resource: int | str = "auto",
    ) -> None:
        if not 0 < probability < 1:
            raise ValueError(f"probability is {probability}; expected above 0 and below 1")
        if n_startup_trials < 1:
            raise ValueError(f"n_startup_trials is {n_startup_trials}; expected 1 or more")
        if n_warmup_steps < 0:
            raise ValueError(f"n_warmup_steps is {n_warmup_steps}; expected 0 or more")
        if max_resource != "auto" and (not isinstance(max_resource, int) or max_resource < 1):
            raise ValueError(f"max_resource is {max_resource!r}; expected auto or 1 or more")
        self._probability = probability
        self._n_startup_trials = n_startup_trials
        self._n_warmup_steps = n_warmup_steps
        self._max_resource = max_resource

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step < self._n_warmup_steps:
            return False
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        complete = [
            finished_trial
            for finished_trial in complete
            if finished_trial.value is not None and finished_trial.last_step
        ]
        if len(complete) < self._n_startup_trials:
            return False
        last = self._last_step(complete)
        if not self._is_a_look(trial, step, last):
            return False
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        run = _forecast(_key(trial.intermediate_values, step), sign, last)
        if run is None:
            return False
        finished = []
        for finished_trial in complete[-_MOST_FINISHED:]:
            expected = _forecast(_key(finished_trial.intermediate_values, step), sign, last)
            if expected is not None:
                finished.append((expected, sign * float(finished_trial.value or 0.0)))
        best = min(sign * float(finished_trial.value or 0.0) for finished_trial in complete)
        chance = chance_to_beat(best, run, finished)
        return chance is not None and chance < self._probability

    def _last_step(self, complete: list[FrozenTrial]) -> int:
        if isinstance(self._max_resource, int):
            return self._max_resource
        return max(trial.last_step or 0 for trial in complete)

    def _is_a_look(self, trial: FrozenTrial, step: int, last: int) -> bool:
        """Test whether this is the first report in one of the equal parts of a run."""
        if step >= last:
            return False  # nothing is left to save
        part = _CHECKS * step // last
        earlier = [at for at in trial.intermediate_values if at < step]
        return not earlier or _CHECKS * max(earlier) // last < part


def _key(values: Mapping[int, float], step: int) -> tuple[tuple[int, float], ...]:
    return tuple((at, value) for at, value in sorted(values.items()) if at <= step)


@lru_cache(maxsize=8192)
def _forecast(curve: tuple[tuple[int, float], ...], sign: float, last: int) -> Forecast | None:
    if not curve:
        return None
    steps, values = np.array(curve, dtype=np.float64).T
    return forecast(steps / last, sign * values)
