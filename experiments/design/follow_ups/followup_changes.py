"""The kinds of follow-up: which places of an experiment's file each of them changes, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.space.axis import Axis, AxisKind, Edge, better_first
from experiments.analysis.space.boundary import suggested_bound
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.follow_ups.experiment_changes import Change
from experiments.design.follow_ups.space_limits import not_ready
from experiments.design.queries.exploration import Exploration
from experiments.design.queries.records import AnyExperiment
from experiments.design.space.search_space import ARM, Arm, Choices, Fixed, Range

_ROOM = 0.1  # of the old range, left on each side of the best trials


@dataclass(frozen=True, slots=True)
class Asked:
    """Source of a follow-up."""

    file: ExperimentFile
    older: AnyExperiment
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


def set_key(name: str, key: str, value: Any) -> Change:
    """Change one key of a hyperparameter."""
    return Change(("hyperparameters", name, key), value)


def tidy(value: float, *, integer: bool = False) -> float | int:
    """A limit as a person would write it: three significant digits."""
    return round(value) if integer else float(f"{value:.3g}")


def extend(asked: Asked) -> Made:
    """Wider limits: as a finding suggests, at an end chosen by hand, or where rules point."""
    changes = tuple(_wider(asked))
    if not changes and asked.hyperparameter:
        return Made(refused=_no_further(asked))
    names = ", ".join(dict.fromkeys(change.where[1] for change in changes))
    if changes:
        return Made(changes, f"Goes further in {names}.")
    return Made(why="Couldn't widen automatically; edit the ranges below.")


def _wider(asked: Asked) -> Iterator[Change]:
    """Limits that a finding suggests, an end chosen by hand, or all ends that rules point at."""
    named = asked.evidence.get("hyperparameter")
    if isinstance(named, str) and named in asked.file.space:
        if isinstance(asked.file.space[named].domain, Choices):
            yield from _further_choice(asked, named, str(asked.evidence.get("edge", "")))
            return
        for key in ("low", "high"):
            bound = asked.evidence.get(f"suggested_{key}")
            if isinstance(bound, int | float):
                yield _bound(asked, named, key, bound)
        return
    wanted = {(asked.hyperparameter, asked.edge)}
    if not asked.hyperparameter:
        wanted = {
            (str(diagnosis.evidence.get("hyperparameter")), str(diagnosis.evidence.get("edge")))
            for diagnosis in asked.seen.diagnoses
            if diagnosis.fired and diagnosis.rule in ("boundary", "edge_slope", "edge_probe")
        }
    for axis in asked.seen.axes:
        for edge in Edge:
            if (axis.name, edge.value) not in wanted:
                continue
            if axis.kind is AxisKind.ORDERED:
                yield from _further_choice(asked, axis.name, edge.value)
                continue
            bound = suggested_bound(axis, edge)
            if bound is not None:
                yield _bound(asked, axis.name, edge.value, bound)


def _further_choice(asked: Asked, name: str, edge: str) -> Iterator[Change]:
    """One more value of an ordered scale of numbers, in the ratio or step of its last two."""
    parameter = asked.file.space[name]
    domain = parameter.domain
    if not isinstance(domain, Choices) or edge in parameter.natural:
        return
    values = [v for v in domain.values if isinstance(v, int | float) and not isinstance(v, bool)]
    if not domain.ordered or len(values) < max(2, len(domain.values)):
        return
    high = edge == Edge.HIGH.value
    inner, outer = values[-2:] if high else values[1::-1]
    same_sign = min(inner, outer) > 0 or max(inner, outer) < 0
    more: float = outer * outer / inner if same_sign else 2 * outer - inner
    if not math.isfinite(more):
        return
    more = tidy(more, integer=all(isinstance(value, int) for value in values))
    goes_on = (more - outer) * (outer - inner) > 0  # rounded, it may not
    if not goes_on or more in values or (same_sign and more * outer <= 0):
        return
    yield set_key(name, "choices", [*values, more] if high else [more, *values])


def _bound(asked: Asked, name: str, key: str, bound: float) -> Change:
    domain = asked.file.space[name].domain
    return set_key(name, key, tidy(bound, integer=isinstance(domain, Range) and domain.integer))


def _no_further(asked: Asked) -> str:
    axis = asked.seen.axis(asked.hyperparameter)
    if axis is None:
        return f"{asked.hyperparameter} is not searched."
    if asked.edge in axis.natural:
        return f"This end of {axis.name} is declared a natural limit: nothing lies beyond."
    if axis.kind in (AxisKind.ORDERED, AxisKind.CATEGORICAL):
        return f"{axis.name} has choices: add a value to its row in a copy of this experiment."
    return f"{axis.name} cannot go further at this end."


def narrow(asked: Asked) -> Made:
    """Narrower limits: without the part where training fails, or around the best trials."""
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
    new_low = tidy(axis.value_at(low), integer=integer) if low > _ROOM / 2 else axis.low
    new_high = tidy(axis.value_at(high), integer=integer) if high < 1 - _ROOM / 2 else axis.high
    if not axis.low <= new_low < new_high <= axis.high:
        return
    if new_low > axis.low:
        yield set_key(axis.name, "low", new_low)
    if new_high < axis.high:
        yield set_key(axis.name, "high", new_high)


def _without_failing(asked: Asked) -> Made:
    """Cut away the side on which a finding saw training fail."""
    name, side = str(asked.evidence.get("hyperparameter")), asked.evidence["side"]
    value = asked.evidence.get("value")
    if name not in asked.file.space:
        return Made(refused=f"{name} is no hyperparameter of this experiment.")
    domain = asked.file.space[name].domain
    why = f"Leaves out where training failed: {name} {side} {value}."
    if isinstance(domain, Choices):
        remaining = [
            choice for at, choice in enumerate(domain.values) if not _is_cut(domain, at, asked)
        ]
        if not remaining or len(remaining) == len(domain.values):
            return Made(refused=f"No choice of {name} would be left to search.")
        return Made((set_key(name, "choices", remaining),), why)
    if not isinstance(domain, Range) or not isinstance(value, int | float):
        return Made(refused=f"{name} has no range that could be cut.")
    limit = tidy(float(value), integer=domain.integer)
    if not domain.low < limit < domain.high or side not in ("above", "below"):
        return Made(refused=f"{name} cannot be cut at {value}.")
    return Made((set_key(name, "high" if side == "above" else "low", limit),), why)


def _is_cut(domain: Choices, at: int, asked: Asked) -> bool:
    """Test whether a choice lies on the failing side; ordered ones are counted from 0."""
    side, value = asked.evidence["side"], asked.evidence.get("value")
    if side == "at" or not isinstance(value, int | float):
        return bool(domain.values[at] == value)
    return at > value if side == "above" else at < value


def exploit(asked: Asked) -> Made:
    """Bayesian search in the best arm, once the space is settled."""
    if asked.older.state not in ("finished", "stopped"):
        return Made(refused="Its search still runs.")
    reason = not_ready(asked.seen)
    if reason:
        return Made(refused=reason)
    best = asked.older.best_trial
    if best is None:
        return Made(refused="It has no complete trial.")
    arm = asked.file.arms()[best.study.arm_index]
    changes = [Change(("compares",)), *_only(asked, arm)]
    changes.append(Change(("search", "sampler"), "tpe"))
    changes.append(Change(("search", "earlier_trials"), True))
    return Made(
        tuple(changes),
        "The space is settled: a sampler that learns takes over in the best arm, and begins with "
        "the trials that lie in it.",
    )


def _only(asked: Asked, arm: Arm) -> Iterator[Change]:
    """Changes that make a file of one of its arms: the question between them is settled."""
    values = arm.complete({})
    searched = {tuned.name for tuned in arm.searched}
    if asked.file.space.named:
        yield Change(("arms",))
        yield Change(("commit",), arm.runs.commit or None)
        yield Change(("data",), dict(arm.runs.data) or None)
    elsewhere = {ARM, asked.file.fidelity.name if asked.file.fidelity else ARM}
    for hyperparameter in asked.file.space.hyperparameters:
        if hyperparameter.name in elsewhere:
            continue  # does not stand among the hyperparameters of the file
        where = ("hyperparameters", hyperparameter.name)
        if hyperparameter.name in values:
            plain = (
                isinstance(hyperparameter.domain, Fixed)
                and not hyperparameter.domain.by
                and not hyperparameter.when
            )
            if not plain:
                yield Change(where, {"role": "fixed", "value": values[hyperparameter.name]})
        elif hyperparameter.name not in searched:
            yield Change(where)
        else:
            if hyperparameter.when:
                yield Change((*where, "when"))
            if hyperparameter.role == "scientific":
                yield Change((*where, "role"), "nuisance")


def clone(asked: Asked) -> Made:
    """Nothing but another name."""
    return Made(why="The same file under a new name: change what the new question changes.")
