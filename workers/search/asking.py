"""Ask Optuna for the parameters of a claimed trial, and let its pruner judge reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState

from experiments.queries.assignments import Assignment
from workers.search.samplers import build_pruner, build_sampler
from workers.search.storage import VerdictStorage


class AskedTrial:
    """A claimed trial as Optuna sees it, on Verdict's own tables."""

    def __init__(self, storage: VerdictStorage, assignment: Assignment) -> None:
        self._assignment = assignment
        self._storage = storage
        storage.claimed(assignment.trial_id, assignment.attempt)
        self._study = optuna.load_study(
            study_name=assignment.study_name,
            storage=storage,
            sampler=build_sampler(
                assignment.sampler,
                assignment.sampler_options,
                seed=assignment.search_seed,
                number=assignment.number,
                row=assignment.row or 0,
                space=assignment.arm.distributions(),
            ),
            pruner=build_pruner(assignment.pruner, assignment.pruner_options),
        )
        self._trial: Trial | None = None

    def parameters(self) -> Mapping[str, Any]:
        """All parameters of the trial: as they were fixed, or drawn now, in one statement."""
        if self._assignment.parameters is not None:
            return self._assignment.parameters
        with self._storage.parameters_at_once(self._assignment.trial_id):
            trial = self._optuna_trial()
            drawn = {
                name: _suggest(trial, name, distribution)
                for name, distribution in self._assignment.arm.distributions().items()
            }
        return self._assignment.arm.complete(drawn)

    def should_prune(self, step: int, value: float) -> bool:
        """Report an evaluation of the official metric and ask the pruner."""
        trial = self._optuna_trial()
        trial.report(value, step)
        return trial.should_prune()

    def after(self, state: TrialState, values: list[float] | None) -> None:
        """Let the sampler note the end of the trial, before the result is written."""
        if self._assignment.kind != "search":
            return
        frozen = self._storage.get_trial(self._assignment.trial_id)
        self._study.sampler.after_trial(self._study, frozen, state, values)

    def _optuna_trial(self) -> Trial:
        if self._trial is None:
            self._trial = Trial(self._study, self._assignment.trial_id)
        return self._trial


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    raise TypeError(f"{name}: cannot ask for a {type(distribution).__name__}")
