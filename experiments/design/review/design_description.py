"""An experiment file in the words of the rules that judge designs."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.analysis.design.design import Design, DesignArm, DesignParameter, Part, part_of
from experiments.design.catalogue import SAMPLERS
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.metrics import guess
from experiments.design.space.search_space import ARM, Choices, Fixed, Hyperparameter, Range


def describe(
    file: ExperimentFile,
    *,
    official: str = "",
    ready_to_exploit: bool | None = None,
    interactions: Mapping[tuple[str, str], float] | None = None,
) -> Design:
    """The design of a file. `official` is the project's metric, where the file names none."""
    sampler = SAMPLERS[file.sampler]
    metric = file.official or official
    declared = file.metrics.get(metric) or guess(metric)
    return Design(
        goal=file.goal,
        parameters=tuple(
            _parameter(hyperparameter, named=bool(file.space.named))
            for hyperparameter in file.space.hyperparameters
        ),
        arms=tuple(
            DesignArm(
                label=arm.label,
                trials=file.budget_of(arm),
                searched=tuple(hyperparameter.name for hyperparameter in arm.searched),
                values={**arm.fixed, **arm.values},
            )
            for arm in file.arms()
        ),
        sampler=file.sampler,
        quasi_random=sampler.quasi_random,
        adaptive=sampler.adaptive,
        parallel=file.parallel,
        mixed=file.space.is_mixed,
        compares=file.compares,
        objective_split=declared.split or "validation",
        ready_to_exploit=ready_to_exploit,
        interactions=interactions or {},
    )


def _parameter(hyperparameter: Hyperparameter, *, named: bool) -> DesignParameter:
    part = Part.ARM if named and hyperparameter.name == ARM else part_of(hyperparameter.name)
    needs = tuple(sorted(hyperparameter.needs))
    domain = hyperparameter.domain
    if isinstance(domain, Range):
        return DesignParameter(
            hyperparameter.name,
            hyperparameter.role,
            values=domain.bins,
            low=domain.low,
            high=domain.high,
            log=domain.log,
            needs=needs,
            part=part,
        )
    if isinstance(domain, Choices):
        choices: tuple[object, ...] = domain.values
    else:
        choices = tuple(domain.values.values()) if domain.by else (domain.value,)
    values = 1 if isinstance(domain, Fixed) else len(choices)
    return DesignParameter(
        hyperparameter.name, hyperparameter.role, values, choices, needs=needs, part=part
    )
