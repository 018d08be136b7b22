"""Trials that a sampler learns from: those of an earlier study too, and of very many some."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Container, Mapping, Sequence
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from experiments.design.queries.earlier_trials import Remembered

# Below every number of the study itself: what stands first is oldest.
BEFORE_ALL = -1


def earlier(
    remembered: Sequence[Remembered], distributions: Mapping[str, BaseDistribution]
) -> list[FrozenTrial]:
    """Trials of an earlier study as if they had been complete before the study began.

    `distributions` are those of the study that learns: only trials inside its space are given.
    """
    return [
        FrozenTrial(
            number=BEFORE_ALL,
            state=TrialState.COMPLETE,
            value=trial.value,
            datetime_start=None,
            datetime_complete=None,
            params=dict(trial.searched),
            distributions=dict(distributions),
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=trial.id,
        )
        for trial in remembered
    ]


def recent(trials: Sequence[FrozenTrial], most: int, *, maximize: bool) -> list[FrozenTrial]:
    """Of more than `most` finished trials the best quarter of `most` and the newest others.

    A draw of TPE costs as much as there are trials. The best ones make its density of good
    configurations; of the others the newest are drawn where the search is now. Trials that run
    stay, in their order.
    """
    finished = [trial for trial in trials if trial.state.is_finished()]
    if len(finished) <= most:
        return list(trials)
    scored = (trial for trial in finished if trial.state == TrialState.COMPLETE and trial.values)
    pick = heapq.nlargest if maximize else heapq.nsmallest
    shown = {id(trial) for trial in pick(most // 4, scored, key=lambda trial: trial.values[0])}
    for trial in reversed(finished):
        if len(shown) == most:
            break
        shown.add(id(trial))
    return [trial for trial in trials if not trial.state.is_finished() or id(trial) in shown]


class StudyWithHistory:
    """A study as a sampler sees it: earlier trials first, then its own, of more than `most` some
    as `recent` says; all else as it is."""

    def __init__(
        self, study: Study, history: Sequence[FrozenTrial], most: int | None = None
    ) -> None:
        self._study = study
        self._history = history
        self._most = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.get_trials()

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        before = [] if states is not None and TrialState.COMPLETE not in states else self._history
        found = [*before, *self._study._get_trials(False, states, use_cache)]
        if self._most is not None:
            maximize = self._study.directions[0] == StudyDirection.MAXIMIZE
            found = recent(found, self._most, maximize=maximize)
        return copy.deepcopy(found) if deepcopy else found


class SamplerWithHistory(BaseSampler):
    """Lets another sampler draw as if `history` were the first trials of the study, and as if of
    more than `most` finished ones there were only those that `recent` names.

    The study itself keeps its trials: its counts, its best trial and its pruner see no others.
    """

    def __init__(
        self, sampler: BaseSampler, history: Sequence[FrozenTrial], most: int | None = None
    ) -> None:
        self.sampler = sampler
        self.history = history
        self.most = most

    def _seen(self, study: Study) -> Study:
        return cast(Study, StudyWithHistory(study, self.history, self.most))

    def reseed_rng(self) -> None:
        self.sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(self._seen(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.sampler.sample_relative(self._seen(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self.sampler.sample_independent(
            self._seen(study), trial, param_name, param_distribution
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self.sampler.after_trial(study, trial, state, values)
