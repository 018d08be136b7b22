from __future__ import annotations

from typing import Any

import pytest

from experiments.design.catalogue import PRUNERS, SAMPLERS
from experiments.design.document.experiment_file import ExperimentFile, parse_document
from experiments.errors import InvalidExperiment

LEARNING_RATE = {"role": "nuisance", "low": 1e-4, "high": 1e-1, "log": True}
MOMENTUM = {"role": "nuisance", "low": 0.0, "high": 0.99}
LAYERS = {"role": "nuisance", "choices": [1, 2, 3], "ordered": True}


def document(
    search: dict[str, Any], *, space: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "project": "digits",
        "experiment": "search",
        "goal": "Which method finds it?",
        "objective": "workers.problems.digits:train",
        "search": {"trials": 60, **search},
        "hyperparameters": space or {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM},
        **more,
    }


def problems(*args: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidExperiment) as raised:
        parse_document(document(*args, **more))
    return {problem.where: problem.message for problem in raised.value.problems}


def parsed(*args: Any, **more: Any) -> ExperimentFile:
    return parse_document(document(*args, **more))


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_of_the_catalogue_is_taken_with_its_defaults(name: str) -> None:
    defaults = {
        option: held.default
        for option, held in SAMPLERS[name].options.items()
        if held.default is not None
    }
    file = parsed({"sampler": {"name": name, **defaults}})
    assert file.sampler == name and file.sampler_options == defaults
    assert parsed({"sampler": name}).sampler_options == {}


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_option_that_a_sampler_does_not_take_is_named_with_those_it_takes(name: str) -> None:
    found = problems({"sampler": {"name": name, "patience": 3}})
    takes = found["search.sampler.patience"]
    assert takes == f"{name} takes {', '.join(SAMPLERS[name].options) or 'no options'}"


@pytest.mark.parametrize("name", [name for name in PRUNERS if name not in ("none",)])
def test_an_option_that_a_pruner_does_not_take_is_named_with_those_it_takes(name: str) -> None:
    found = problems({"pruner": {"name": name, "n_ei_candidates": 3}}, folds=3)
    takes = found["search.pruner.n_ei_candidates"]
    assert takes == f"{name} takes {PRUNERS[name].takes}"
    assert all(option in takes for option in PRUNERS[name].options)


def test_an_unknown_method_is_answered_with_all_that_there_are() -> None:
    found = problems({"sampler": "haltom", "pruner": "mean"})
    assert all(name in found["search.sampler"] for name in SAMPLERS)
    assert all(name in found["search.pruner"] for name in PRUNERS)


@pytest.mark.parametrize(
    ("pruner", "where", "says"),
    [
        ("percentile", "search.pruner.percentile", "is missing; percentile needs a number"),
        ({"name": "percentile", "percentile": 101}, "search.pruner.percentile", "at most 100"),
        ({"name": "patient", "wrapped_pruner": "median"}, "search.pruner.patience", "is missing"),
        ({"name": "patient", "patience": 2, "wrapped_pruner": {"name": "median", "x": 1}},
         "search.pruner.wrapped_pruner.x", "median takes n_startup_trials"),
        ({"name": "patient", "patience": 2, "wrapped_pruner": "hyperband"},
         "search.pruner.wrapped_pruner", "name another"),
        ("threshold", "search.pruner", "lower, upper or both"),
        ({"name": "threshold", "lower": 2.0, "upper": 1.0}, "search.pruner.lower", "above upper"),
        ("wilcoxon", "search.pruner", "folds"),
        ({"name": "hyperband", "max_resource": "all"}, "search.pruner.max_resource",
         "a whole number or auto"),
        ({"name": "hyperband", "bootstrap_count": 2}, "search.pruner.bootstrap_count", "auto"),
        ({"name": "successive_halving", "bootstrap_count": 2}, "search.pruner.bootstrap_count",
         "auto"),
        ({"name": "successive_halving", "reduction_factor": 1}, "search.pruner.reduction_factor",
         "at least 2"),
        ({"name": "extrapolation", "probability": 0.0}, "search.pruner.probability", "more than"),
    ],
)  # fmt: skip
def test_a_pruners_wrong_option_is_named(pruner: Any, where: str, says: str) -> None:
    assert says in problems({"pruner": pruner})[where]


def test_asha_is_successive_halving() -> None:
    file = parsed({"pruner": {"name": "asha", "reduction_factor": 2}})
    assert (file.pruner, file.pruner_options) == ("successive_halving", {"reduction_factor": 2})


def test_bohb_brings_hyperband_and_takes_no_other_pruner() -> None:
    assert parsed({"sampler": "bohb"}).pruner == "hyperband"
    with_options = {"name": "hyperband", "max_resource": 27}
    assert parsed({"sampler": "bohb", "pruner": with_options}).pruner_options["max_resource"] == 27
    assert (
        "leave the pruner out"
        in problems({"sampler": "bohb", "pruner": "median"})["search.pruner"]
    )


def test_a_fidelity_says_what_a_resource_is() -> None:
    epochs = {"name": "epochs", "min": 1, "max": 27}
    assert parsed({"pruner": "hyperband"}, fidelity=epochs).pruner == "hyperband"
    found = problems({"pruner": {"name": "hyperband", "max_resource": 27}}, fidelity=epochs)
    assert "fidelity.max" in found["search.pruner.max_resource"]


def test_a_grid_above_two_dimensions_is_refused_with_the_reason_unless_insisted_on() -> None:
    space = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "layers": LAYERS}
    said = problems({"sampler": "grid"}, space=space)["search.sampler"]
    assert "3 hyperparameters" in said and "halton" in said
    assert "allow_high_dimensions: true" in said
    insisted = {"name": "grid", "allow_high_dimensions": True}
    assert parsed({"sampler": insisted}, space=space).sampler == "grid"


def test_a_grid_runs_no_more_trials_than_it_has_points() -> None:
    file = parsed({"sampler": {"name": "grid", "points": 4}, "trials": 100})
    assert [file.budget_of(arm) for arm in file.arms()] == [16]
    assert [parsed({"sampler": "halton"}).budget_of(arm) for arm in file.arms()] == [60]


def test_a_grid_may_leave_the_number_of_trials_to_its_size() -> None:
    body = document({"sampler": {"name": "grid", "points": 3}})
    del body["search"]["trials"]
    assert parse_document(body).trials == 9
    body["search"]["sampler"] = "random"
    with pytest.raises(InvalidExperiment, match="1 error"):
        parse_document(body)


def test_a_grid_of_too_many_points_is_refused() -> None:
    found = problems({"sampler": {"name": "grid", "points": 1000}})
    assert "1000000 points" in found["search.sampler.points"]


def test_a_genetic_search_that_would_never_breed_is_refused() -> None:
    assert "random" in problems({"sampler": "genetic", "trials": 50})["search.trials"]
    small = {"name": "genetic", "population_size": 10}
    assert parsed({"sampler": small, "trials": 50}).sampler == "genetic"


def test_cmaes_needs_a_number_to_search() -> None:
    assert "choices" in problems({"sampler": "cmaes"}, space={"layers": LAYERS})["search.sampler"]
    variants = {"name": "cmaes", "lr_adapt": True, "with_margin": True}
    assert "exclude" in problems({"sampler": variants})["search.sampler"]


def test_a_group_without_multivariate_is_refused() -> None:
    sampler = {"name": "tpe", "group": True, "multivariate": False}
    assert "multivariate" in problems({"sampler": sampler})["search.sampler.group"]
