"""Optuna's terminator: whether a search has little left to gain."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import optuna
from optuna.terminator import (
    BaseImprovementEvaluator,
    BestValueStagnationEvaluator,
    CrossValidationErrorEvaluator,
    EMMREvaluator,
    MedianErrorEvaluator,
    RegretBoundEvaluator,
    StaticErrorEvaluator,
)
from optuna.terminator.erroreval import BaseErrorEvaluator
from optuna.trial import TrialState

from experiments.design.catalogue import TERMINATORS
from experiments.design.document.search_methods import Chosen
from workers.search.storage import VerdictStorage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terminator:
    """Optuna's rule: what is left to gain lies below what counts as nothing.

    As `optuna.terminator.Terminator`, whose figures stay private.
    """

    improvement: BaseImprovementEvaluator
    error: BaseErrorEvaluator
    fewest: int  # complete trials


def build_terminator(chosen: Chosen, *, seed: int) -> Terminator:
    """The terminator of that name and options; same history and seed, same answer.

    Raises:
        ValueError: for a name that is not in the catalogue.
    """
    if chosen.name not in TERMINATORS:
        raise ValueError(f"no terminator is called {chosen.name!r}")
    options = dict(chosen.options)
    fewest = options.pop("min_n_trials", TERMINATORS[chosen.name].options["min_n_trials"].default)
    with warnings.catch_warnings():
        # Optuna 5 announces that it will remove the module in 6; it is pinned below that.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return Terminator(*_evaluators(chosen.name, options, seed), fewest)


def _evaluators(
    name: str, options: Mapping[str, Any], seed: int
) -> tuple[BaseImprovementEvaluator, BaseErrorEvaluator]:
    """Evaluators of regret and error that Optuna proposes."""
    if name == "regret_bound":
        return RegretBoundEvaluator(seed=seed, **options), CrossValidationErrorEvaluator()
    if name == "best_value_stagnation":
        return BestValueStagnationEvaluator(**options), StaticErrorEvaluator(constant=0)
    own = {key: options[key] for key in ("deterministic_objective", "delta") if key in options}
    rest = {key: value for key, value in options.items() if key not in own}
    emmr = EMMREvaluator(seed=seed, **own)
    return emmr, MedianErrorEvaluator(emmr, **rest)


@lru_cache(maxsize=64)
def _of_study(
    study_name: str, name: str, options: tuple[tuple[str, Any], ...], seed: int
) -> Terminator:
    """Terminator of a study, cached: EMMR needs twenty model fits to find its threshold."""
    return build_terminator(Chosen(name, dict(options)), seed=seed)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Expected gain of going on with a search, and why it ends or goes on."""

    ends: bool
    why: str


def outlook(storage: VerdictStorage, study_name: str, chosen: Chosen, *, seed: int) -> Outlook:
    """Outlook of a search by Optuna's rule, with the figures that it compares."""
    study = optuna.load_study(study_name=study_name, storage=storage)
    found = _of_study(study_name, chosen.name, tuple(sorted(chosen.options.items())), seed)
    complete = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    name = f"Optuna's terminator ({chosen.name})"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if complete < found.fewest:
                why = f"{name} needs {found.fewest} complete trials; there are {complete}"
                return Outlook(False, why)
            left = found.improvement.evaluate(study.trials, study.direction)
            nothing = found.error.evaluate(study.trials, study.direction)
    except Exception as error:  # a model that cannot be fitted must not cost a trial
        logger.exception("the terminator of %s could not judge", study_name)
        return Outlook(False, f"{name} could not judge: {error}"[:250])
    if left < nothing:
        return Outlook(True, f"{name}: little left to gain after {complete} trials")
    why = (
        f"{name} ends below {nothing:.3g} left to gain and saw {left:.3g} after {complete} trials"
    )
    return Outlook(False, why)
