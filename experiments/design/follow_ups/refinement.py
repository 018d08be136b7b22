"""A second experiment: a grid over the region where a random search did best.

Random first, as it wastes no trial on hyperparameters that do not matter (Bergstra and Bengio,
JMLR 2012), then a grid where it is good: few dimensions, narrow ranges, every corner looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.design.catalogue import SAMPLERS
from experiments.design.document import experiment_file, experiment_yaml
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.grid import MOST_DIMENSIONS
from experiments.design.follow_ups.experiment_changes import as_file
from experiments.design.queries.good_trials import GoodTrials, good_trials
from experiments.design.queries.records import AnyExperiment
from experiments.design.space.search_space import Choices, Hyperparameter, Scalar, searched_domain
from experiments.errors import Conflict, InvalidExperiment, Problem

FEWEST_TRIALS = 8  # complete ones of an arm: two or more in its best quarter
ENDED = ("finished", "stopped")
# Rules on how long a search may take hold for the grid as well; a grid ends with its last point.
_KEPT_STOP_RULES = ("minutes", "gpu_hours")


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The values of one hyperparameter in the good region: `low` and `high`, or `choices`."""

    name: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Scalar, ...] = ()

    @property
    def single(self) -> bool:
        """Test whether one value is left: it is fixed in the grid."""
        return self.low == self.high if self.low is not None else len(self.choices) == 1


@dataclass(frozen=True, slots=True)
class GoodRegion:
    """Region of the best quarter of a search; of several arms the region that holds all.

    `dimensions` is how many hyperparameters a grid over it searches in the arm with the most.
    """

    parameters: tuple[Narrowed, ...]
    best: int
    trials: int
    dimensions: int

    @property
    def needs_insisting(self) -> bool:
        """Test whether a grid has more dimensions than it is good for."""
        return self.dimensions > MOST_DIMENSIONS


def may_refine(experiment: AnyExperiment) -> bool:
    """Test whether a search has ended whose trials are spread over its whole space."""
    sampler = SAMPLERS.get(experiment.sampler)
    spread = sampler is not None and not sampler.adaptive and sampler.name != "grid"
    return spread and experiment.state in ENDED and bool(experiment.source)


def good_region(experiment: AnyExperiment) -> GoodRegion:
    """The region of the best quarter of an ended random search's complete trials.

    Raises:
        Conflict: when the search goes on, was no random one, or has too few complete trials.
    """
    if not may_refine(experiment):
        raise Conflict(
            f"{experiment.name} is no random or quasi-random search that has ended: only such a "
            "one has looked everywhere."
        )
    found = good_trials(experiment)
    fewest = min((arm.complete for arm in found.arms), default=0)
    if fewest < FEWEST_TRIALS:
        where = " in one of its arms" if len(found.arms) > 1 else ""
        raise Conflict(
            f"{experiment.name} has {fewest} complete trials{where}; at least "
            f"{FEWEST_TRIALS} are needed to see where it is good."
        )
    return _region(experiment_file.stored(experiment.document), found)


def grid_file(
    experiment: AnyExperiment, *, taken: Sequence[str] = (), insist: bool = False
) -> str:
    """The file of a grid over the good region; it names the search as what it extends.

    Args:
        taken: names of experiments that there are already.
        insist: on a grid of more than two dimensions.

    Raises:
        Conflict: as `good_region`, or when the best trials leave nothing to search.
        InvalidExperiment: for a grid of more dimensions than two that nobody insisted on.
    """
    region = good_region(experiment)
    if not region.dimensions:
        raise Conflict(
            "The best trials all have the same values: a grid has nothing left to search."
        )
    if region.needs_insisting and not insist:
        raise InvalidExperiment(
            "The grid has too many dimensions.",
            [
                Problem(
                    "",
                    f"a grid over {region.dimensions} hyperparameters tries few values of each, "
                    f"again and again; {MOST_DIMENSIONS} are the most it is good for. Insist on "
                    "it, or extend the search instead",
                )
            ],
        )
    document = experiment_yaml.load(experiment.source, [])
    return as_file(experiment.source, _narrowed_document(document, experiment, region, taken))


def _region(file: ExperimentFile, found: GoodTrials) -> GoodRegion:
    searched: dict[str, Hyperparameter] = {}
    for arm in file.arms():
        searched.update(
            {
                hyperparameter.name: hyperparameter
                for hyperparameter in arm.searched
                if hyperparameter.role == "nuisance"
            }
        )
    best = [values for arm in found.arms for values in arm.best]
    narrowed = []
    for name, hyperparameter in searched.items():
        values = [one[name] for one in best if name in one]
        if values:
            narrowed.append(_narrowed(hyperparameter, values))
    single = {narrowing.name for narrowing in narrowed if narrowing.single}
    dimensions = max(
        sum(hyperparameter.name not in single for hyperparameter in arm.searched)
        for arm in file.arms()
    )
    complete = sum(arm.complete for arm in found.arms)
    return GoodRegion(tuple(narrowed), len(best), complete, dimensions)


def _narrowed(hyperparameter: Hyperparameter, values: list[Any]) -> Narrowed:
    domain = searched_domain(hyperparameter)
    if not isinstance(domain, Choices):
        return Narrowed(hyperparameter.name, low=min(values), high=max(values))
    places = sorted({domain.index(value) for value in values})
    if domain.ordered:  # a scale has no gaps
        places = list(range(places[0], places[-1] + 1))
    return Narrowed(hyperparameter.name, choices=tuple(domain.values[place] for place in places))


def _narrowed_document(
    document: dict[str, Any], experiment: AnyExperiment, region: GoodRegion, taken: Sequence[str]
) -> dict[str, Any]:
    """The search's file with narrower ranges and a grid; what it tried first is left out."""
    made = {key: value for key, value in document.items() if key not in ("first", "extends")}
    made["experiment"] = _free_name(experiment.name, taken)
    made["extends"] = experiment.name
    made["notes"] = _notes(document.get("notes"), experiment.name, region)
    unchanged = ("parallel", "seed", "split_seed", "pruner")
    search = document.get("search") or {}
    made["search"] = {"sampler": _grid(region)} | {
        key: search[key] for key in unchanged if key in search
    }
    if stop := {
        key: value
        for key, value in (document.get("stop") or {}).items()
        if key in _KEPT_STOP_RULES
    }:
        made["stop"] = stop
    else:
        made.pop("stop", None)
    narrow = {parameter.name: parameter for parameter in region.parameters}
    made["hyperparameters"] = {
        name: _narrowed_entry(entry, narrow[name]) if name in narrow else entry
        for name, entry in document["hyperparameters"].items()
    }
    return made


def _grid(region: GoodRegion) -> Any:
    if region.needs_insisting:
        return {"name": "grid", "allow_high_dimensions": True}
    return "grid"


def _narrowed_entry(entry: Mapping[str, Any], narrow: Narrowed) -> dict[str, Any]:
    if narrow.single:
        value = narrow.choices[0] if narrow.low is None else narrow.low
        fixed = {"role": "fixed", "value": value}
        return fixed | ({"when": entry["when"]} if "when" in entry else {})
    if narrow.low is None:
        return {**entry, "choices": list(narrow.choices)}
    made = {**entry, "low": narrow.low, "high": narrow.high}
    # An edge that moved is no hard bound any more.
    natural = [edge for edge in entry.get("natural") or [] if made[edge] == entry[edge]]
    if natural:
        made["natural"] = natural
    else:
        made.pop("natural", None)
    return made


def _free_name(name: str, taken: Sequence[str]) -> str:
    """The search's name with an ending that nobody has taken; at most 200 characters."""
    number = 1
    while True:
        ending = "-grid" if number == 1 else f"-grid-{number}"
        found = name[: 200 - len(ending)] + ending
        if found not in taken:
            return found
        number += 1


def _notes(notes: Any, name: str, region: GoodRegion) -> str:
    text = (
        f"A grid over the region of the best {region.best} of {region.trials} complete trials "
        f"of {name}."
    )
    return f"{notes}\n{text}" if isinstance(notes, str) and notes.strip() else text
