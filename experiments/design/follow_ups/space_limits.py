"""Limits of a follow-up's search space by the experiment that it extends.

Source: Tuning Playbook, "Identifying bad search space boundaries" (natural limits, edges of
infeasibility) and "After exploration concludes" (when Bayesian search takes over).
"""

from __future__ import annotations

from collections.abc import Iterator

from experiments.analysis.diagnosis import Status
from experiments.analysis.space.axis import Edge
from experiments.design.catalogue import SAMPLERS
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.queries.exploration import Exploration, Failing, failing
from experiments.design.space.search_space import (
    Choices,
    Hyperparameter,
    Range,
    Scalar,
    same_scalar,
    show,
)
from experiments.errors import Problem

# A hyperparameter with one of these in its name makes training stable at higher learning rates.
_STEADYING = ("warmup", "warm_up", "clip")
_LIMITS = {Edge.LOW: "lower", Edge.HIGH: "higher"}


def refusals(older: ExperimentFile, newer: ExperimentFile, seen: Exploration) -> list[Problem]:
    """Reasons against `newer` as a follow-up of `older`, each at the key that has to change.

    Args:
        seen: what the trials of the older experiment say of its space.
    """
    problems = []
    steadied = _is_steadied(older, newer)
    for name, edge in passed_edges(older, newer):
        where = f"hyperparameters.{name}.{edge.value}"
        before = older.space[name]
        if edge.value in before.natural:
            problems.append(Problem(where, _natural_words(before, edge)))
            continue
        axis = seen.axis(name)
        beyond = failing(axis, edge) if axis is not None else None
        if beyond is not None and not steadied:
            problems.append(Problem(where, _failing_words(name, beyond)))
    gate = _gate(older, newer, seen)
    return [*problems, *([gate] if gate else [])]


def passed_edges(older: ExperimentFile, newer: ExperimentFile) -> Iterator[tuple[str, Edge]]:
    """Ends of the older ranges and ordered choices that the newer ones go beyond."""
    for old in older.space.hyperparameters:
        if old.name not in newer.space:
            continue
        new = newer.space[old.name].domain
        if isinstance(old.domain, Range) and isinstance(new, Range):
            if new.low < old.domain.low:
                yield old.name, Edge.LOW
            if new.high > old.domain.high:
                yield old.name, Edge.HIGH
        elif isinstance(old.domain, Choices) and isinstance(new, Choices) and old.domain.ordered:
            yield from ((old.name, edge) for edge in _passed_choices(old.domain, new))


def _passed_choices(old: Choices, new: Choices) -> Iterator[Edge]:
    """Ends of a scale beyond which there are new choices."""
    places = [at for at, value in enumerate(new.values) if old.holds(value)]
    if not places:
        return
    first, last = new.values[places[0]], new.values[places[-1]]
    if places[0] > 0 and same_scalar(first, old.values[0]):
        yield Edge.LOW
    if places[-1] < len(new.values) - 1 and same_scalar(last, old.values[-1]):
        yield Edge.HIGH


def _natural_words(before: Hyperparameter, edge: Edge) -> str:
    domain = before.domain
    end: Scalar
    if isinstance(domain, Range):
        end = domain.low if edge is Edge.LOW else domain.high
    else:
        values = domain.values if isinstance(domain, Choices) else ()
        end = values[0 if edge is Edge.LOW else -1]
    return (
        f"{show(end)} is declared a natural limit of {before.name}: it cannot go "
        f"{_LIMITS[edge]}. If that was wrong, start a new experiment that extends nothing."
    )


def _failing_words(name: str, beyond: Failing) -> str:
    onwards = "on" if beyond.edge is Edge.HIGH else "downwards"
    return (
        f"From {name} {show(beyond.value)} {onwards} training failed in {beyond.failed} of "
        f"{beyond.trials} trials: the edge is one of stability, not of the range. Add "
        "learning-rate warm-up or gradient clipping in the same file, then a wider range may "
        "train."
    )


def _is_steadied(older: ExperimentFile, newer: ExperimentFile) -> bool:
    """Test whether the newer training differs in what decides where training fails."""
    if older.objective != newer.objective:
        return True
    return any(
        hyperparameter not in older.space.hyperparameters
        for hyperparameter in newer.space.hyperparameters
        if any(word in hyperparameter.name.lower() for word in _STEADYING)
    )


def _gate(older: ExperimentFile, newer: ExperimentFile, seen: Exploration) -> Problem | None:
    """Bayesian search follows exploration only when the space is settled."""
    if not SAMPLERS[newer.sampler].adaptive or SAMPLERS[older.sampler].adaptive:
        return None
    reason = not_ready(seen)
    return Problem("search.sampler", reason) if reason else None


def not_ready(seen: Exploration) -> str:
    """Reason that Bayesian search may not take over yet; empty when it may."""
    ready = seen.ready
    if ready.status is Status.PASSED:
        return ""
    if ready.status is Status.NOT_CHECKABLE:
        return f"Whether the space is settled cannot be told yet: {ready.detail}"
    return (
        f"{ready.title}. {ready.detail} Settle that with quasi-random search first, or set the "
        "finding aside with a reason."
    )
