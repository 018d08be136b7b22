"""Ask Optuna for the parameters of a claimed trial, and let its pruner judge reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any

from optuna import Study, create_study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import HyperbandPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import Trial, TrialState

from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.fidelity import Rung
from experiments.design.document.first_configurations import first_arms
from experiments.design.document.grid import arm_grid
from experiments.design.queries.earlier_trials import remembered
from experiments.design.space.domains import Range, domain_of
from experiments.design.space.search_space import Arm
from experiments.models.trial_encoding import Parameter
from experiments.models.trial_rows import TrialRow
from experiments.trials.lifecycle.queries.trial_spec import TrialSpec
from workers.search.history import SamplerWithHistory, earlier
from workers.search.pruners import build_pruner, rungs
from workers.search.samplers import Draw, build_sampler
from workers.search.storage import VerdictStorage

# Optuna's name for the values of the folds; its terminator reads them.
FOLDS_ATTRIBUTE = "terminator:cv_scores"


class StudyOfRows(Study):
    """A study whose end is decided by its rows: samplers that would stop it are not heeded."""

    def stop(self) -> None:
        """Optuna's grid calls it when the last point has been tried; no row is left then."""


class AskedTrial:
    """A claimed trial as Optuna sees it, on Verdict's own tables."""

    def __init__(
        self, storage: VerdictStorage, spec: TrialSpec, row: TrialRow | None = None
    ) -> None:
        """`row`: the trial as it was claimed, which saves reading it."""
        self._assignment = spec
        self._storage = storage
        storage.claimed(spec.trial_id, spec.attempt, row)
        self._study = copy(_study(storage, spec.study_id, spec.study_name))
        self._study.sampler = _sampler(spec)
        self._study.pruner = build_pruner(
            spec.file.pruner,
            spec.file.pruner_options,
            spec.file.fidelity,
            seed=spec.search_seed,
        )
        if isinstance(self._study.pruner, HyperbandPruner):
            # Optuna does this at the first report; but samplers ask for the bracket before, and
            # would be shown the trials of all brackets as if they were of one.
            self._study.pruner._try_initialization(self._study)
        self._trial: Trial | None = None
        self._report_steps: dict[float, int] = {}  # of reports, by the steps that were told
        self.drawn: Mapping[str, Parameter] = {}

    def parameters(self) -> Mapping[str, Any]:
        """All parameters of the trial: as they were fixed, or drawn now.

        What was drawn stands in `drawn`, and is stored by `queue.begin`; then call `begun`.
        """
        if self._assignment.parameters is not None:
            return self._assignment.parameters
        with self._storage.gathering(self._assignment.trial_id) as gathered:
            trial = self._optuna_trial()
            drawn = {
                name: _on_step(distribution, _suggest(trial, name, distribution))
                for name, distribution in self._assignment.arm.distributions().items()
            }
        self.drawn = {name: (drawn[name], fixed) for name, (_, fixed) in gathered.items()}
        return self._assignment.arm.complete(drawn)

    def begun(self, again: Callable[[], object]) -> None:
        """Say that what was drawn has been stored; `again` stores it once more."""
        self._storage.written(self._assignment.trial_id, self.drawn, again)

    def rungs(self) -> tuple[Rung, ...]:
        """The budgets on which the trial is trained anew, from the first that can end it."""
        file = self._assignment.file
        found = rungs(file.pruner, file.pruner_options, file.fidelity)
        first: int = file.pruner_options.get("min_early_stopping_rate", 0)
        if found and isinstance(self._study.pruner, HyperbandPruner):
            trial = self._storage.get_trial(self._assignment.trial_id)
            first = self._study.pruner._get_bracket_id(self._study, trial)
        return found[min(first, len(found) - 1) :] if found else ()

    def should_prune(self, step: float, value: float) -> bool:
        """Report an evaluation of the official metric and ask the pruner."""
        trial = self._optuna_trial()
        trial.report(value, self._report_step(step))
        return trial.should_prune()

    def _report_step(self, step: float) -> int:
        """Optuna's reports have whole steps: from the first step on that is none, evaluations are
        counted.
        """
        if step not in self._report_steps:
            known = self._report_steps
            if isinstance(step, int) and all(isinstance(known_step, int) for known_step in known):
                known[step] = step
            else:
                known[step] = max(max(known.values(), default=0), len(known)) + 1
        return self._report_steps[step]

    def keep_folds(self, values: Sequence[float]) -> None:
        """Keep the value of each fold beside the trial's own, which is their mean."""
        self._storage.set_trial_system_attr(
            self._assignment.trial_id, FOLDS_ATTRIBUTE, list(values)
        )

    def after(self, state: TrialState, values: list[float] | None) -> None:
        """Let the sampler note the end of the trial, before the result is written."""
        sampler = self._study.sampler
        if self._assignment.kind != "search" or not _takes_note(sampler):
            return
        frozen = self._storage.get_trial(self._assignment.trial_id)
        sampler.after_trial(self._study, frozen, state, values)

    def _optuna_trial(self) -> Trial:
        if self._trial is None:
            self._trial = Trial(self._study, self._assignment.trial_id)
        return self._trial


def first_configuration(file: ExperimentFile) -> tuple[Arm, Mapping[str, Any]]:
    """The first configuration that a search would try, and its arm; nothing is stored."""
    if file.first:
        arm = first_arms(file.space, file.first[0])[0]
        names = {hyperparameter.name for hyperparameter in arm.searched}
        return arm, arm.complete({name: file.first[0][name] for name in names})
    arms = file.arms()
    arm, space = arms[0], arms[0].distributions()
    sampler = build_sampler(
        file.sampler,
        file.sampler_options,
        Draw(
            seed=file.seed,
            number=0,
            row=0,
            space=space,
            grid=arm_grid(arm, file.grid_points) if file.sampler == "grid" else {},
            dimensions=max(len(first_arm.searched) for first_arm in arms),
        ),
    )
    trial = create_study(sampler=sampler).ask()
    drawn = {
        name: _on_step(distribution, _suggest(trial, name, distribution))
        for name, distribution in space.items()
    }
    return arm, arm.complete(drawn)


@lru_cache(maxsize=64)
def _study(storage: VerdictStorage, study_id: int, name: str) -> Study:
    """The study of that name, looked up once; its trials are read from the database as ever.

    A name may be given again, so the id is part of what is kept.
    """
    return StudyOfRows(study_name=name, storage=storage)


def _takes_note(sampler: BaseSampler) -> bool:
    """Test whether a sampler acts at the end of a trial; most go by what is stored."""
    return type(sampler).after_trial is not BaseSampler.after_trial


def _sampler(spec: TrialSpec) -> BaseSampler:
    if spec.parameters is not None:
        # Nothing is drawn, and no sampler shall take the trial for one of its own.
        return RandomSampler(seed=spec.search_seed)
    sampler = build_sampler(
        spec.file.sampler,
        spec.file.sampler_options,
        Draw(
            seed=spec.search_seed,
            number=spec.number,
            row=spec.row or 0,
            space=spec.arm.distributions(),
            grid=spec.grid,
            dimensions=spec.dimensions,
        ),
    )
    most = spec.file.sampler_options.get("history")
    if not spec.earlier_trials:
        return sampler if most is None else SamplerWithHistory(sampler, (), most)
    distributions = spec.arm.distributions()
    learnt = remembered(spec.earlier_trials, tuple(distributions))
    return SamplerWithHistory(sampler, earlier(learnt, distributions), most)


def _on_step(distribution: BaseDistribution, value: Any) -> Any:
    """A drawn value as a file would say it: Optuna's samplers count steps in binary fractions."""
    domain = domain_of(distribution)
    return domain.snapped(value) if isinstance(domain, Range) else value


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
