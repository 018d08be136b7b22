"""Samplers, pruners and terminators by name, with the options they take.

Options carry Optuna's names and defaults; the ones that Optuna is about to remove, and those that
a file cannot say (functions), are left out. So is `consider_pruned_trials` of CMA-ES: it takes a
pruned trial's last value, reached on a smaller budget, for a final one.

Data that forms and checks share; the objects themselves are built by `workers.search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from experiments.design.document.file_fields import describe_error, short
from experiments.design.space.domains import Scalar


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its type, default, smallest and largest value.

    `words` are texts that it takes instead of its type, as "auto" for a number; a text with
    `words` takes only those. `required` ones have no default. `above` and `below` are bounds that
    the value must not reach.
    """

    kind: type
    default: Scalar = None
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    words: tuple[str, ...] = ()
    required: bool = False

    def problem(self, value: object) -> str | None:
        """Say what is wrong with `value`, or None when it is fine."""
        if value is None and self.default is None and not self.required:
            return None
        if isinstance(value, str) and value in self.words:
            return None
        if self.kind is str and self.words:
            return f"must be {self.wanted()} (found {short(value)})"
        try:
            _checks(self).validate_python(value)
        except ValidationError as error:
            alternatives = f" or {', '.join(self.words)}" if self.words else ""
            return describe_error(error.errors()[0], alternatives=alternatives)
        return None

    def wanted(self) -> str:
        """Values it takes, in words."""
        if self.kind is str and self.words:
            return f"one of {', '.join(self.words)}"
        return " or ".join([_KIND_NAMES[self.kind], *self.words])


_KIND_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@cache
def _checks(option: Option) -> TypeAdapter[Any]:
    limits = Field(strict=True, ge=option.low, le=option.high, gt=option.above, lt=option.below)
    kind: Any = Annotated[option.kind, limits]
    if option.kind is float:
        kind = Annotated[kind, Field(allow_inf_nan=False)]
    return TypeAdapter(kind)


@dataclass(frozen=True, slots=True)
class Method:
    """A sampler, pruner or terminator: name in files, title on pages, options.

    `wraps` names an option that holds another method of the same kind, with options of its own.
    """

    name: str
    title: str
    options: Mapping[str, Option] = field(default_factory=dict)
    quasi_random: bool = False
    adaptive: bool = False
    wraps: str = ""

    @property
    def takes(self) -> str:
        """The options in words: "percentile, n_startup_trials" or "no options"."""
        names = [*([self.wraps] if self.wraps else []), *self.options]
        return ", ".join(names) or "no options"


def _by_name(*methods: Method) -> dict[str, Method]:
    return {method.name: method for method in methods}


_TPE = {
    "n_startup_trials": Option(int, 10, low=1),
    "n_ei_candidates": Option(int, 24, low=1),
    "multivariate": Option(bool, None),  # as Optuna: on for a single objective
    "group": Option(bool, False),
    "constant_liar": Option(bool, True),
    "history": Option(int, None, low=20),  # trials that it learns from; null: all of them
}

SAMPLERS = _by_name(
    Method("halton", "Halton, scrambled", {"scramble": Option(bool, True)}, quasi_random=True),
    Method("sobol", "Sobol, scrambled", {"scramble": Option(bool, True)}, quasi_random=True),
    Method(
        "grid",
        "Grid",
        {
            "points": Option(int, 5, low=2, high=1000),  # of a range without a step
            "allow_high_dimensions": Option(bool, False),
        },
    ),
    Method("random", "Random"),
    Method("tpe", "Tree-structured Parzen estimator", _TPE, adaptive=True),
    Method(
        "gp",
        "Gaussian process",
        {
            "n_startup_trials": Option(int, 10, low=0),
            "deterministic_objective": Option(bool, False),
        },
        adaptive=True,
    ),
    Method(
        "cmaes",
        "CMA-ES",
        {
            "n_startup_trials": Option(int, 1, low=0),
            "popsize": Option(int, None, low=2),
            "use_separable_cma": Option(bool, False),
            "with_margin": Option(bool, False),
            "lr_adapt": Option(bool, False),
        },
        adaptive=True,
    ),
    Method(
        "genetic",
        "Genetic (NSGA-II)",
        {
            "population_size": Option(int, 50, low=2),
            "mutation_prob": Option(float, None, low=0, high=1),
            "crossover_prob": Option(float, 0.9, low=0, high=1),
            "swapping_prob": Option(float, 0.5, low=0, high=1),
        },
        adaptive=True,
    ),
    Method("bohb", "BOHB (TPE with Hyperband)", _TPE, adaptive=True),
    Method(
        "annealing",
        "Simulated annealing",
        {
            "temperature": Option(float, 1.0, above=0),
            "cooldown_factor": Option(float, 0.9, above=0, high=1),
            "neighborhood_range_factor": Option(float, 0.1, above=0, high=1),
        },
        adaptive=True,
    ),
)

_STEPS = {
    "n_warmup_steps": Option(int, 0, low=0),
    "interval_steps": Option(int, 1, low=1),
}

PRUNERS = _by_name(
    Method("none", "None"),
    Method(
        "median",
        "Median",
        {
            "n_startup_trials": Option(int, 5, low=0),
            **_STEPS,
            "n_min_trials": Option(int, 1, low=1),
        },
    ),
    Method(
        "percentile",
        "Percentile",
        {
            "percentile": Option(float, low=0, high=100, required=True),
            "n_startup_trials": Option(int, 5, low=0),
            **_STEPS,
            "n_min_trials": Option(int, 1, low=1),
        },
    ),
    Method(
        "successive_halving",
        "Successive halving (ASHA)",
        {
            "min_resource": Option(int, "auto", low=1, words=("auto",)),
            "reduction_factor": Option(int, 4, low=2),
            "min_early_stopping_rate": Option(int, 0, low=0),
            "bootstrap_count": Option(int, 0, low=0),
        },
    ),
    Method(
        "hyperband",
        "Hyperband",
        {
            "min_resource": Option(int, 1, low=1),
            "max_resource": Option(int, "auto", low=1, words=("auto",)),
            "reduction_factor": Option(int, 3, low=2),
            "bootstrap_count": Option(int, 0, low=0),
        },
    ),
    Method(
        "patient",
        "Patient",
        {
            "patience": Option(int, low=0, required=True),
            "min_delta": Option(float, 0.0, low=0),
        },
        wraps="wrapped_pruner",
    ),
    Method(
        "threshold",
        "Threshold",
        {"lower": Option(float, None), "upper": Option(float, None), **_STEPS},
    ),
    Method(
        "wilcoxon",
        "Wilcoxon over folds",
        {
            "p_threshold": Option(float, 0.1, low=0, high=1),
            "n_startup_steps": Option(int, 2, low=0),
        },
    ),
    Method(
        "extrapolation",
        "Learning-curve extrapolation",
        {
            "probability": Option(float, 0.05, above=0, below=1),
            "n_startup_trials": Option(int, 10, low=1),
            "n_warmup_steps": Option(int, 0, low=0),
            "max_resource": Option(int, "auto", low=1, words=("auto",)),
        },
    ),
)
# The name under which Optuna's asynchronous successive halving is known in its paper.
PRUNER_SYNONYMS = {"asha": "successive_halving"}

_TERMINATOR = {"min_n_trials": Option(int, 20, low=1)}

TERMINATORS = _by_name(
    Method(
        "regret_bound",
        "Regret bound below the error over folds",
        {**_TERMINATOR, "top_trials_ratio": Option(float, 0.5, above=0, high=1)},
    ),
    Method(
        "emmr",
        "Expected minimum model regret below its early median",
        {
            **_TERMINATOR,
            "deterministic_objective": Option(bool, False),
            "delta": Option(float, 0.1, above=0, below=1),
            "warm_up_trials": Option(int, 10, low=0),
            "n_initial_trials": Option(int, 20, low=1),
            "threshold_ratio": Option(float, 0.01, above=0),
        },
    ),
    Method(
        "best_value_stagnation",
        "The best value stands",
        {**_TERMINATOR, "max_stagnation_trials": Option(int, 30, low=0)},
    ),
)
