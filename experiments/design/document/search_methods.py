"""Read the sampler and pruner of an experiment file with their options, and what they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.design.catalogue import PRUNER_SYNONYMS, PRUNERS, SAMPLERS, Method
from experiments.design.document.fidelity import RUNG_PRUNERS, Fidelity
from experiments.design.document.file_fields import key_text, short
from experiments.design.document.grid import MOST_DIMENSIONS, MOST_POINTS, grid_size
from experiments.design.space.search_space import Range, SearchSpace, searched_domain
from experiments.errors import Problem

# Samplers that fit a model to all complete trials of a study, whoever ran them. CMA-ES, genetic
# search and annealing continue their own steps only; BOHB compares within its own rungs.
READ_EARLIER_TRIALS = ("tpe", "gp")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A method by name, with the options that were given; `known` is False after a problem."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    known: bool = True

    def option(self, name: str, methods: Mapping[str, Method]) -> Any:
        """The value of an option: as given, or its default."""
        return self.options.get(name, methods[self.name].options[name].default)


def parse_sampler(given: Any, problems: list[Problem]) -> Chosen:
    """The sampler by name, or with its options."""
    return parse_method(given, "search.sampler", SAMPLERS, problems)


def check_earlier(earlier: bool, extends: str, sampler: Chosen, problems: list[Problem]) -> None:
    """`search.earlier_trials`: the sampler begins with the trials of the extended experiment.

    Those that lie inside the new space. A quasi-random set stays as it was drawn.
    """
    where = "search.earlier_trials"
    if earlier and not extends:
        problems.append(Problem(where, "say with extends: whose trials they are"))
    if earlier and sampler.known and sampler.name not in READ_EARLIER_TRIALS:
        allowed = " and ".join(READ_EARLIER_TRIALS)
        problems.append(
            Problem(
                where,
                f"only {allowed} learn from earlier trials; {sampler.name} draws its own "
                "points and they are never mixed with others",
            )
        )


def parse_pruner(
    given: Any,
    sampler: Chosen,
    *,
    folds: int,
    fidelity: Fidelity | None,
    problems: list[Problem],
) -> Chosen:
    """The pruner; none when none is named, Hyperband for BOHB, which consists of it."""
    bohb = sampler.name == "bohb"
    if given is None:
        given = "hyperband" if bohb else "none"
    pruner = parse_method(given, "search.pruner", PRUNERS, problems, PRUNER_SYNONYMS)
    if bohb and pruner.known and pruner.name != "hyperband":
        problems.append(
            Problem(
                "search.pruner",
                f"found {pruner.name}; bohb is TPE with Hyperband: leave the pruner out, "
                "or take the sampler tpe",
            )
        )
    if pruner.known:
        _check_pruner(pruner, "search.pruner", folds, problems)
        _check_resources(pruner, fidelity, problems)
    return pruner


def parse_method(
    given: Any,
    where: str,
    known: Mapping[str, Method],
    problems: list[Problem],
    synonyms: Mapping[str, str] | None = None,
) -> Chosen:
    """A name, or a mapping of `name` and options; every wrong option is a problem of its own."""
    options: dict[str, Any] = {}
    if isinstance(given, Mapping):
        options = {str(name): value for name, value in given.items() if name != "name"}
        given = given.get("name")
    if isinstance(given, str):
        given = (synonyms or {}).get(given, given)
    if not isinstance(given, str) or given not in known:
        problems.append(
            Problem(where, f"must be one of {', '.join(known)} (found {short(given)})")
        )
        return Chosen(next(iter(known)), known=False)
    method = known[given]
    before = len(problems)
    for name, value in options.items():
        if name == method.wraps and name:
            if value is not None:
                inner = parse_method(value, f"{where}.{name}", known, problems, synonyms)
                options[name] = {"name": inner.name, **inner.options}
        elif name not in method.options:
            problems.append(Problem(f"{where}.{key_text(name)}", f"{given} takes {method.takes}"))
        elif wrong := method.options[name].problem(value):
            problems.append(Problem(f"{where}.{name}", wrong))
    for name, option in method.options.items():
        if option.required and name not in options:
            problems.append(
                Problem(f"{where}.{name}", f"is missing; {given} needs {option.wanted()}")
            )
    return Chosen(given, options, known=len(problems) == before)


def _check_pruner(pruner: Chosen, where: str, folds: int, problems: list[Problem]) -> None:
    options = pruner.options
    if pruner.name == "threshold":
        lower, upper = options.get("lower"), options.get("upper")
        if lower is None and upper is None:
            problems.append(Problem(where, "threshold needs lower, upper or both"))
        elif lower is not None and upper is not None and lower > upper:
            problems.append(Problem(f"{where}.lower", f"{lower} lies above upper {upper}"))
    if pruner.name == "wilcoxon" and folds < 2:
        problems.append(
            Problem(where, "wilcoxon compares trials fold by fold; say folds: 5 or so beside it")
        )
    if pruner.name == "patient" and options.get("wrapped_pruner"):
        wrapped = {**options["wrapped_pruner"]}
        inner = Chosen(wrapped.pop("name"), wrapped)
        inside = f"{where}.wrapped_pruner"
        if inner.name in (*RUNG_PRUNERS, "wilcoxon"):
            problems.append(
                Problem(
                    inside,
                    f"{inner.name} compares values of the same budget or fold, and patience "
                    "would let a trial skip some; name another",
                )
            )
        _check_pruner(inner, inside, folds, problems)


def _check_resources(pruner: Chosen, fidelity: Fidelity | None, problems: list[Problem]) -> None:
    """With a fidelity, it says what a resource is: the pruner's options must not say it again."""
    if pruner.name not in RUNG_PRUNERS:
        return
    if fidelity is not None:
        for name in ("min_resource", "max_resource"):
            if name in pruner.options:
                edge = name.removesuffix("_resource")
                problems.append(
                    Problem(f"search.pruner.{name}", f"is fidelity.{edge}; leave it out")
                )
        return
    resource = "min_resource" if pruner.name == "successive_halving" else "max_resource"
    if pruner.options.get("bootstrap_count") and pruner.options.get(resource, "auto") == "auto":
        problems.append(
            Problem(
                "search.pruner.bootstrap_count",
                f"does not go with {resource}: auto; give a number",
            )
        )


def check_space(
    sampler: Chosen, space: SearchSpace, trials: int | None, problems: list[Problem]
) -> None:
    """Problems of a sampler with a space or a budget, with the reason."""
    arms = space.arms()
    most = max((len(arm.searched) for arm in arms), default=0)
    if sampler.name == "grid":
        _check_grid(sampler, space, most, problems)
    if sampler.name == "cmaes" and most and not _has_numbers(space):
        problems.append(
            Problem("search.sampler", "cmaes searches numbers; here are only choices: take tpe")
        )
    if sampler.name == "cmaes" and _says(sampler, "lr_adapt", "use_separable_cma", "with_margin"):
        problems.append(
            Problem(
                "search.sampler", "lr_adapt, use_separable_cma and with_margin exclude each other"
            )
        )
    if sampler.name in ("tpe", "bohb") and (
        sampler.options.get("group") and sampler.options.get("multivariate") is False
    ):
        problems.append(Problem("search.sampler.group", "needs multivariate: true"))
    population = sampler.option("population_size", SAMPLERS) if sampler.name == "genetic" else 0
    if trials is not None and trials <= population:
        problems.append(
            Problem(
                "search.trials",
                f"the first {population} trials of a genetic search are random, so {trials} would "
                "breed nothing; use more trials or a smaller population_size",
            )
        )


def _says(sampler: Chosen, *names: str) -> bool:
    return sum(bool(sampler.options.get(name)) for name in names) > 1


def _has_numbers(space: SearchSpace) -> bool:
    return any(
        isinstance(searched_domain(hyperparameter), Range)
        for arm in space.arms()
        for hyperparameter in arm.searched
    )


def _check_grid(
    sampler: Chosen, space: SearchSpace, dimensions: int, problems: list[Problem]
) -> None:
    allowed = sampler.options.get("allow_high_dimensions") is True
    if dimensions > MOST_DIMENSIONS and not allowed:
        problems.append(
            Problem(
                "search.sampler",
                f"a grid over {dimensions} hyperparameters tries few values of each, again and "
                f"again; with more than {MOST_DIMENSIONS} take halton or sobol, which try a new "
                "value of each in every trial, or insist with "
                "{name: grid, allow_high_dimensions: true}",
            )
        )
        return
    points = sampler.option("points", SAMPLERS)
    largest = max((grid_size(arm, points) for arm in space.arms()), default=0)
    if largest > MOST_POINTS:
        problems.append(
            Problem(
                "search.sampler.points",
                f"the grid has {largest} points, expected {MOST_POINTS} at most",
            )
        )
