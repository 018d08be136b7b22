"""The kinds of follow-up: which places of an experiment's file each of them changes, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.boundary import suggested_bound
from experiments.analysis.learning_curve import Direction
from experiments.analysis.space import Axis, AxisKind, Edge, better_first
from experiments.catalogue import SAMPLERS
from experiments.experiment_changes import Change
from experiments.experiment_file import ExperimentFile
from experiments.extension_rules import READ_EARLIER_TRIALS
from experiments.models import Experiment
from experiments.queries.exploration import Exploration
from experiments.search_space import Choices, Fixed, Range, Scalar, searched_domain
from experiments.space_limits import not_ready

# Names under which training functions take their length.
LENGTHS = ("epochs", "max_epochs", "num_epochs", "steps", "max_steps", "max_train_steps",
           "train_steps", "num_steps")  # fmt: skip
_ROOM = 0.1  # of the old range, left on each side of the best trials


@dataclass(frozen=True, slots=True)
class Asked:
    """What a follow-up is made from."""

    file: ExperimentFile
    older: Experiment
    seen: Exploration
    hyperparameter: str = ""
    edge: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """The changes of a follow-up and a sentence for them, or the reason why there is none."""

    changes: tuple[Change, ...] = ()
    why: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Followup:
    """One kind: its button, what it is for, the suffix of the new name."""

    title: str
    meaning: str
    suffix: str
    make: Callable[[Asked], Made]


def _set(name: str, key: str, value: Any) -> Change:
    return Change(("hyperparameters", name, key), value)


def _tidy(value: float, *, integer: bool = False) -> float | int:
    """A limit as a person would write it: three significant digits."""
    return round(value) if integer else float(f"{value:.3g}")


def _extend(asked: Asked) -> Made:
    changes = tuple(_wider(asked))
    if not changes and asked.hyperparameter:
        return Made(refused=_no_further(asked))
    names = ", ".join(dict.fromkeys(change.where[1] for change in changes))
    if changes:
        return Made(changes, f"Goes further in {names}.")
    return Made(why="No edge asks for more room: write the wider limits into the file.")


def _wider(asked: Asked) -> Iterator[Change]:
    """Limits that a finding suggests, an end chosen by hand, or all ends that rules point at."""
    named = asked.evidence.get("hyperparameter")
    if isinstance(named, str) and named in asked.file.space:
        for key in ("low", "high"):
            bound = asked.evidence.get(f"suggested_{key}")
            if isinstance(bound, int | float):
                yield _bound(asked, named, key, bound)
        return
    wanted = {(asked.hyperparameter, asked.edge)}
    if not asked.hyperparameter:
        wanted = {
            (str(said.evidence.get("hyperparameter")), str(said.evidence.get("edge")))
            for said in asked.seen.diagnoses
            if said.fired and said.rule in ("boundary", "edge_slope")
        }
    for axis in asked.seen.axes:
        for edge in Edge:
            bound = suggested_bound(axis, edge) if (axis.name, edge.value) in wanted else None
            if bound is not None:
                yield _bound(asked, axis.name, edge.value, bound)


def _bound(asked: Asked, name: str, key: str, bound: float) -> Change:
    domain = asked.file.space[name].domain
    return _set(name, key, _tidy(bound, integer=isinstance(domain, Range) and domain.integer))


def _no_further(asked: Asked) -> str:
    axis = asked.seen.axis(asked.hyperparameter)
    if axis is None:
        return f"{asked.hyperparameter} is not searched."
    if asked.edge in axis.natural:
        return f"This end of {axis.name} is declared a natural limit: nothing lies beyond."
    if axis.kind in (AxisKind.ORDERED, AxisKind.CATEGORICAL):
        return f"{axis.name} has choices: write a further one into the file of a clone."
    return f"{axis.name} cannot go further at this end."


def _narrow(asked: Asked) -> Made:
    if asked.evidence.get("side"):
        return _without_failing(asked)
    usable = max((int(axis.usable.sum()) for axis in asked.seen.axes), default=0)
    if usable < thresholds.EDGE_MIN_TRIALS:
        return Made(
            refused=f"{usable} trials have a score; the best region shows with "
            f"{thresholds.EDGE_MIN_TRIALS}."
        )
    direction = Direction(asked.older.direction)
    wanted = [axis for axis in asked.seen.axes if asked.hyperparameter in ("", axis.name)]
    changes = tuple(change for axis in wanted for change in _around_best(axis, direction))
    if not changes:
        return Made(refused="The best trials lie all over the space: nothing can be cut away.")
    names = ", ".join(dict.fromkeys(change.where[1] for change in changes))
    return Made(changes, f"Keeps to the region of the best fifth of the trials in {names}.")


def _around_best(axis: Axis, direction: Direction) -> Iterator[Change]:
    """Limits around the best fifth of the trials with room on both sides; ranges only."""
    if axis.kind not in (AxisKind.CONTINUOUS, AxisKind.INTEGER) or not axis.high > axis.low:
        return
    errors = better_first(axis.scores[axis.usable], direction)
    unit = axis.unit[axis.usable]
    count = max(thresholds.EDGE_TOP_MINIMUM, math.ceil(thresholds.EDGE_TOP_SHARE * unit.size))
    best = unit[np.argsort(errors, kind="stable")[:count]]
    low, high = float(best.min()) - _ROOM, float(best.max()) + _ROOM
    integer = axis.kind is AxisKind.INTEGER
    new_low = _tidy(axis.value_at(low), integer=integer) if low > _ROOM / 2 else axis.low
    new_high = _tidy(axis.value_at(high), integer=integer) if high < 1 - _ROOM / 2 else axis.high
    if not axis.low <= new_low < new_high <= axis.high:
        return
    if new_low > axis.low:
        yield _set(axis.name, "low", new_low)
    if new_high < axis.high:
        yield _set(axis.name, "high", new_high)


def _without_failing(asked: Asked) -> Made:
    """Cut away the side on which a finding saw training fail."""
    name, side = str(asked.evidence.get("hyperparameter")), asked.evidence["side"]
    value = asked.evidence.get("value")
    if name not in asked.file.space:
        return Made(refused=f"{name} is no hyperparameter of this experiment.")
    domain = asked.file.space[name].domain
    why = f"Leaves out where training failed: {name} {side} {value}."
    if isinstance(domain, Choices):
        kept = [each for at, each in enumerate(domain.values) if not _is_cut(domain, at, asked)]
        if not kept or len(kept) == len(domain.values):
            return Made(refused=f"No choice of {name} would be left to search.")
        return Made((_set(name, "choices", kept),), why)
    if not isinstance(domain, Range) or not isinstance(value, int | float):
        return Made(refused=f"{name} has no range that could be cut.")
    limit = _tidy(float(value), integer=domain.integer)
    if not domain.low < limit < domain.high or side not in ("above", "below"):
        return Made(refused=f"{name} cannot be cut at {value}.")
    return Made((_set(name, "high" if side == "above" else "low", limit),), why)


def _is_cut(domain: Choices, at: int, asked: Asked) -> bool:
    """Whether a choice lies on the failing side; ordered ones are counted from 0."""
    side, value = asked.evidence["side"], asked.evidence.get("value")
    if side == "at" or not isinstance(value, int | float):
        return bool(domain.values[at] == value)
    return at > value if side == "above" else at < value


def _exploit(asked: Asked) -> Made:
    if asked.older.state not in ("finished", "stopped"):
        return Made(refused="Its search is still under way.")
    reason = not_ready(asked.seen)
    if reason:
        return Made(refused=reason)
    best = asked.older.best_trial
    if best is None:
        return Made(refused="It has no complete trial.")
    arm = asked.file.arms()[best.study.arm_index]
    changes = [Change(("search", "sampler"), "tpe"), *_fixed(asked, arm.complete({}))]
    changes.append(Change(("search", "earlier_trials"), True))
    return Made(
        tuple(changes),
        "The space is settled: a sampler that learns takes over in the best arm, and begins with "
        "the trials that lie in it.",
    )


def _fixed(asked: Asked, values: Mapping[str, Scalar]) -> Iterator[Change]:
    """Scientific hyperparameters at the values of the best arm: the question is settled."""
    for each in asked.file.space.of_role("scientific"):
        if each.name in values:
            entry: dict[str, Any] = {"role": "fixed", "value": values[each.name]}
            if each.when:
                entry["when"] = {name: list(among) for name, among in each.when.items()}
            yield Change(("hyperparameters", each.name), entry)
        elif not asked.file.space.is_mixed:
            yield Change(("hyperparameters", each.name))


def _clone(asked: Asked) -> Made:
    return Made(why="The same file under a new name: change what the new question changes.")


def _longer(asked: Asked, factor: float = 2.0) -> Made:
    word = "longer" if factor > 1 else "shorter"
    if asked.file.fidelity is not None:
        most = asked.file.fidelity.high * factor
        return Made(
            (Change(("fidelity", "max"), round(most)),), f"Each trial may run {factor:g} times."
        )
    for each in asked.file.space.of_role("fixed"):
        domain = each.domain
        if each.name in LENGTHS and isinstance(domain, Fixed):
            if domain.by:
                by = {"by": domain.by, **{k: _times(v, factor) for k, v in domain.values.items()}}
                return Made((_set(each.name, "value", by),), f"Trains {word}: {each.name}.")
            if isinstance(domain.value, int | float):
                longer = _times(domain.value, factor)
                return Made(
                    (_set(each.name, "value", longer),),
                    f"Trains {word}: {each.name} from {domain.value} to {longer}.",
                )
    return Made(refused=f"No fixed hyperparameter is called {', '.join(LENGTHS[:4])} or the like.")


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


def _shorter(asked: Asked) -> Made:
    return _longer(asked, 0.5)


def _dropout(asked: Asked) -> Made:
    entry = {"role": "nuisance", "low": 0.0, "high": 0.5, "natural": ["low"]}
    return _searched(asked, ("dropout",), "dropout", entry)


def _warmup(asked: Asked) -> Made:
    entry = {"role": "nuisance", "low": 0.0, "high": 0.2, "natural": ["low"]}
    return _searched(asked, ("warmup", "warm_up"), "warmup_fraction", entry)


def _clipping(asked: Asked) -> Made:
    entry = {"role": "nuisance", "low": 0.1, "high": 10.0, "log": True}
    return _searched(asked, ("clip",), "gradient_clipping", entry)


def _searched(asked: Asked, words: tuple[str, ...], name: str, entry: Mapping[str, Any]) -> Made:
    """A hyperparameter searched that was fixed or absent."""
    for each in asked.file.space.hyperparameters:
        if any(word in each.name.lower() for word in words):
            if not isinstance(each.domain, Fixed):
                return Made(refused=f"{each.name} is searched already: extend its range.")
            name = each.name
            break
    return Made(
        (Change(("hyperparameters", name), dict(entry)),),
        f"Searches {name}, as a nuisance that every arm retunes. The training function has to "
        f"read it under this name.",
    )


def _lower_rate(asked: Asked) -> Made:
    for each in asked.file.space.hyperparameters:
        if each.name.lower() not in ("learning_rate", "lr"):
            continue
        if isinstance(each.domain, Range):
            high = _tidy(math.sqrt(each.domain.low * each.domain.high))
            if each.domain.log and each.domain.low < high:
                return Made(
                    (_set(each.name, "high", high),), f"Searches the lower half of {each.name}."
                )
    return Made(refused="No learning rate is searched on a log scale.")


def _more(asked: Asked) -> Made:
    trials = 2 * asked.file.trials
    changes = [Change(("search", "trials"), trials)]
    if asked.file.sampler in READ_EARLIER_TRIALS:
        changes.append(Change(("search", "earlier_trials"), True))
    elif SAMPLERS[asked.file.sampler].quasi_random:
        changes.append(Change(("search", "seed"), asked.file.seed + 1))
    return Made(tuple(changes), f"{trials} trials of each arm, other points than before.")


FOLLOWUPS: Mapping[str, Followup] = {
    "extend": Followup("Extend", "the same question in a wider space", "wider", _extend),
    "narrow": Followup("Narrow", "more points where the best trials lie", "narrower", _narrow),
    "exploit": Followup("Exploit", "Bayesian search in the settled space", "exploit", _exploit),
    "clone": Followup("Clone", "the same file for a new question", "2", _clone),
    "run_longer": Followup("Run longer", "the same with twice the length", "longer", _longer),
    "run_shorter": Followup("Run shorter", "the same with half the length", "shorter", _shorter),
    "add_dropout": Followup("Add dropout", "the same with dropout searched", "dropout", _dropout),
    "add_warmup": Followup("Add warm-up", "the same with warm-up searched", "warmup", _warmup),
    "add_clipping": Followup("Add clipping", "with clipping searched", "clipping", _clipping),
    "lower_learning_rate": Followup(
        "Lower the learning rate", "the lower half of its range", "lower-rate", _lower_rate
    ),
    "more_trials": Followup("More trials", "the same space, other points", "more", _more),
}


def searched_names(file: ExperimentFile) -> tuple[str, ...]:
    """Names of what any arm searches as a range, in the file's order."""
    found = {each.name for arm in file.arms() for each in arm.searched}
    return tuple(
        each.name
        for each in file.space.hyperparameters
        if each.name in found and isinstance(searched_domain(each), Range)
    )
