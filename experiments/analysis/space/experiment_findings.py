"""All rules on one experiment: its axes and its trials in, diagnoses out.

What a rule says of single trials is gathered here for the best trial of every arm, which the
playbook asks to look at first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.curves import oscillation_limit
from experiments.analysis.curves.evaluations import one_example
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.curves.practice import more_gradient_noise
from experiments.analysis.curves.throughput import batch_size
from experiments.analysis.curves.warmup import unstable_above_best, warmup_advice
from experiments.analysis.design.hyperparameter_kinds import HyperparameterKind, number_of
from experiments.analysis.diagnosis import Diagnosis, Severity, Status, guarded
from experiments.analysis.rules import RULES
from experiments.analysis.space.axis import Axis, AxisKind, better_first, unit_positions
from experiments.analysis.space.boundary import boundary
from experiments.analysis.space.data_size import data_set_too_small
from experiments.analysis.space.density import budget_pays, density
from experiments.analysis.space.edge_slope import edge_slopes
from experiments.analysis.space.feasibility import (
    decades_to_infeasible,
    infeasibility_threshold,
    infeasible_share,
    instability_edge,
)
from experiments.analysis.space.isolation import (
    best_of_unequal,
    fair_comparison,
    isolation_table,
    points_per_value,
)
from experiments.analysis.space.learning_rate import RateReading, RateTrial, learning_rate_regime
from experiments.analysis.space.phase import ready_to_exploit
from experiments.analysis.space.steps import best_steps, compute_bound

# Rules on single trials whose word about the best trials belongs on the experiment's page.
GATHERED: Mapping[str, str] = {
    "overfitting": "Validation error rises",
    "unstable_training": "Validation jumps to the worse",
    "late_oscillation": "Validation varies much late in training",
    "train_loss_rising": "Training loss rises",
    "loss_metric_divergence": "Validation loss rises while the metric holds or gains",
    "gradient_spikes": "The gradient norm spikes often",
    "clipped_updates": "More than half of the updates are clipped",
    "learning_rate_schedule": "The learning rate does not follow one decaying schedule",
    "periodic_validation": "The validation metric repeats itself",
    "regular_evaluations": "Evaluations come at irregular steps",
    "early_instability_unseen": "An instability in the first steps would not be seen",
    "input_bound": "Training waits for its input",
}


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """One search trial as the rules across trials see it.

    number: its place within its arm; name: what people call it; id: that of its record. score:
    official metric, nan if none. rules: status of each rule on this trial. best_step_share: when
    in its run it was best. rate: its learning rate; fit: lowest training loss as a share of where
    it began; early_divergence: it diverged in the first tenth; fit_step: first step of a perfect
    fit; throughput: examples per second; late_deviation, improvement: deviation of its last
    evaluations around their trend, and all it gained, in the metric's unit; resolution: the
    metric's. Each nan where unknown.
    """

    number: int
    score: float
    feasible: bool
    pruned: bool = False
    arm: int = 0
    rules: Mapping[str, Status] | None = None
    best_step_share: float = math.nan
    rate: float = math.nan
    fit: float = math.nan
    early_divergence: bool = False
    id: int = 0
    fit_step: float = math.nan
    batch_size: float = math.nan
    throughput: float = math.nan
    late_deviation: float = math.nan
    improvement: float = math.nan
    resolution: float = 0.0
    name: str = ""

    def says(self, rule: str) -> bool | None:
        """Whether a rule fired on this trial; None if it could not tell."""
        status = (self.rules or {}).get(rule, Status.NOT_CHECKABLE)
        return None if status is Status.NOT_CHECKABLE else status is Status.FIRED


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """Everything the rules across trials read.

    axes: searched hyperparameters, rows are the same trials (pruned ones left out). scientific:
    names of the scientific ones among them. arms: name of each arm by number. rate_axis: name of
    the learning rate's axis, if searched. rate_trials: curves for the learning-rate regime.
    adaptive: the sampler follows good trials. regulariser_is_scientific: weak ones are expected
    to overfit. max_train_steps: planned length of a trial. baseline, best: the hyperparameters of
    the champion and of the best trial, as far as both are known.
    """

    axes: Sequence[Axis]
    trials: Sequence[TrialSummary]
    direction: Direction
    arms: Mapping[int, str]
    scientific: frozenset[str] = frozenset()
    rate_axis: str | None = None
    rate_trials: Sequence[RateTrial | RateReading] = ()
    resolution: float = 0.0
    trial_sd: float | None = None
    adaptive: bool = False
    regulariser_is_scientific: bool = False
    regulariser_swept: bool = False
    max_train_steps: int | None = None
    warmed_up: bool = False
    baseline: Mapping[str, object] | None = None
    best: Mapping[str, object] | None = None


def diagnose_experiment(
    view: ExperimentView, on_failure: Callable[[Exception], None] | None = None
) -> list[Diagnosis]:
    """Return what every rule across trials says; each rule (and subject) once.

    on_failure: told of a rule that breaks, which then costs its own group of rules only; without
    it the error is raised.
    """
    space = [*guarded(_of_space(view), on_failure)]
    groups = (
        _of_curves(view),
        _of_arms(view),
        _of_learning_rates(view),
        _of_length(view),
        _of_practice(view),
        _of_phase(space, view),
    )
    return [*space, *(d for group in groups for d in guarded(group, on_failure))]


def _of_phase(space: Sequence[Diagnosis], view: ExperimentView) -> Iterator[Diagnosis]:
    yield ready_to_exploit(space, view.axes, view.direction)


def arm_gap(view: ExperimentView) -> float | None:
    """Return the distance between the best scores of the two best arms; None below two arms."""
    errors = sorted(_error(trial, view.direction) for trial in best_of_arms(view))
    return errors[1] - errors[0] if len(errors) > 1 else None


def best_of_arms(view: ExperimentView) -> list[TrialSummary]:
    """Return the best feasible trial of every arm that has one."""
    found = []
    for arm in sorted({trial.arm for trial in view.trials}):
        members = [trial for trial in _feasible(view) if trial.arm == arm]
        if members:
            found.append(min(members, key=lambda trial: _error(trial, view.direction)))
    return found


def _feasible(view: ExperimentView) -> list[TrialSummary]:
    return [t for t in view.trials if t.feasible and not t.pruned and math.isfinite(t.score)]


def _error(trial: TrialSummary, direction: Direction) -> float:
    return float(better_first(np.array([trial.score]), direction)[0])


def _of_space(view: ExperimentView) -> Iterator[Diagnosis]:
    finished = [trial for trial in view.trials if not trial.pruned]
    feasible = np.array([trial.feasible for trial in finished], dtype=np.bool_)
    aligned = all(axis.unit.size == feasible.size for axis in view.axes)
    scores = np.array([trial.score for trial in _feasible(view)])
    crowds = boundary(view.axes, view.direction, adaptive=view.adaptive)
    yield from crowds
    # One word about an edge is enough.
    said = {d.subject for d in crowds if d.fired and d.severity is not Severity.NOTICE}
    slopes = edge_slopes(view.axes, view.direction, adaptive=view.adaptive)
    yield from (slope for slope in slopes if slope.subject not in said)
    yield infeasible_share(feasible, view.axes if aligned else ())
    for axis in view.axes:
        if axis.log and axis.name == view.rate_axis:
            yield instability_edge(axis, view.direction)
    yield density(scores, view.direction, trial_sd=view.trial_sd)
    yield budget_pays(scores, view.direction, trial_sd=view.trial_sd)


def _of_curves(view: ExperimentView) -> Iterator[Diagnosis]:
    gap = arm_gap(view)
    best = [_with_oscillation(trial, view, gap) for trial in best_of_arms(view)]
    for rule in GATHERED:
        diagnosis = gather(rule, best, view)
        if diagnosis is not None:
            yield diagnosis


def _with_oscillation(
    trial: TrialSummary, view: ExperimentView, gap: float | None
) -> TrialSummary:
    """Return the trial with its oscillation judged by what is known of its rivals by now."""
    if trial.says("late_oscillation") is None or not math.isfinite(trial.late_deviation):
        return trial
    limit, _ = oscillation_limit(view.trial_sd, gap, trial.improvement, trial.resolution)
    status = Status.FIRED if trial.late_deviation > limit else Status.PASSED
    return replace(trial, rules={**(trial.rules or {}), "late_oscillation": status})


def gather(rule: str, best: Sequence[TrialSummary], view: ExperimentView) -> Diagnosis | None:
    """Return what a rule says of the best trial of every arm; None where it judged none.

    Overfitting is a notice where a regulariser is scientific: its weak values are meant to.
    """
    judged = [trial for trial in best if rule in (trial.rules or {})]
    if not judged:
        return None
    definition = RULES[rule]
    fired = [trial for trial in judged if trial.says(rule)]
    known = [trial for trial in judged if trial.says(rule) is not None]
    evidence = {
        "best_trials": [trial.number for trial in judged],
        "fired_trials": [trial.number for trial in fired],
        "trial_ids": [trial.id for trial in fired if trial.id],
        "judged": len(known),
    }
    if not known:
        return definition.cannot_tell("Not checkable in any arm's best trial.", evidence)
    detail = f"{len(fired)} of {len(known)} arms' best trials."
    if not fired:
        return definition.passes(detail, evidence)
    expected = rule == "overfitting" and view.regulariser_is_scientific
    if len(view.arms) > 1:
        named = ", ".join(
            f"{trial.name or f'trial {trial.number}'} ({view.arms.get(trial.arm, trial.arm)})"
            for trial in fired
        )
        detail = f"{named[0].upper()}{named[1:]}."
    return definition.fires(
        f"{GATHERED[rule]} in {_counted(len(fired), len(known))}",
        detail,
        evidence,
        severity=Severity.NOTICE if expected else None,
    )


def _counted(fired: int, known: int) -> str:
    if known == 1:
        return "the best trial"
    return f"the best trials of {fired} of {known} arms"


def _of_arms(view: ExperimentView) -> Iterator[Diagnosis]:
    counts = [
        (name, sum(trial.arm == arm and not trial.pruned for trial in view.trials))
        for arm, name in view.arms.items()
    ]
    if len(counts) > 1:
        yield fair_comparison(counts)
        rows = isolation_table(_arm_axis(view), view.direction)
        yield best_of_unequal(rows, view.direction)
        yield points_per_value(rows)
        bests = sorted(row.best for row in rows)
        if view.resolution > 0 and len(bests) > 1:
            leads = bests[:2] if view.direction is Direction.MINIMIZE else bests[-2:]
            yield one_example(leads[1] - leads[0], view.resolution)
    for axis in view.axes:
        if axis.name in view.scientific:
            rows = isolation_table(axis, view.direction)
            for diagnosis in (best_of_unequal(rows, view.direction), points_per_value(rows)):
                yield replace(diagnosis, subject=axis.name)


def _arm_axis(view: ExperimentView) -> Axis:
    names = list(view.arms.values())
    finished = [trial for trial in view.trials if not trial.pruned]
    return Axis(
        name="",  # its values speak for themselves
        unit=unit_positions([view.arms.get(t.arm) for t in finished], choices=names),
        scores=np.array([t.score for t in finished]),
        feasible=np.array([t.feasible for t in finished], dtype=np.bool_),
        kind=AxisKind.CATEGORICAL,
        choices=tuple(names),
    )


def _of_learning_rates(view: ExperimentView) -> Iterator[Diagnosis]:
    if view.rate_trials:
        yield learning_rate_regime(
            view.rate_trials,
            direction=view.direction,
            resolution=view.resolution,
            trial_sd=view.trial_sd,
        )
    judged = [trial for trial in _feasible(view) if trial.says("overfitting") is not None]
    if any(math.isfinite(trial.rate) for trial in judged):
        fits = [trial.fit for trial in judged if math.isfinite(trial.fit)]
        yield data_set_too_small(
            np.array([trial.rate for trial in judged]),
            np.array([bool(trial.says("overfitting")) for trial in judged]),
            best_fit=min(fits, default=math.nan),
            regulariser_swept=view.regulariser_swept,
        )
    axis = next((axis for axis in view.axes if axis.name == view.rate_axis), None)
    if axis is None:
        return
    finished = [trial for trial in view.trials if not trial.pruned]
    best = _best_rate(view)
    yield unstable_above_best(
        [trial.rate for trial in finished], [_unstable(trial) for trial in finished], best
    )
    if not view.warmed_up:
        yield _warmup(axis, view, best)


def _best_rate(view: ExperimentView) -> float | None:
    best = min(_feasible(view), key=lambda trial: _error(trial, view.direction), default=None)
    return None if best is None or not math.isfinite(best.rate) else best.rate


def _unstable(trial: TrialSummary) -> bool | None:
    """Whether a trial diverged or its training loss rose; None if neither could be told."""
    said = [trial.says(rule) for rule in ("divergence", "train_loss_rising")]
    return None if set(said) == {None} else any(said)


def _warmup(axis: Axis, view: ExperimentView, best: float | None) -> Diagnosis:
    edge = infeasibility_threshold(axis)
    return warmup_advice(
        max_train_steps=view.max_train_steps,
        decades_below_instability=decades_to_infeasible(axis, view.direction),
        unstable_learning_rate=None if edge is None else axis.value_at(edge),
        best_learning_rate=best,
        early_divergences=[t.rate for t in view.trials if t.early_divergence and t.rate > 0],
    )


def _of_length(view: ExperimentView) -> Iterator[Diagnosis]:
    feasible = sorted(_feasible(view), key=lambda trial: _error(trial, view.direction))
    count = max(thresholds.EDGE_TOP_MINIMUM, math.ceil(thresholds.EDGE_TOP_SHARE * len(feasible)))
    bound = compute_bound(
        [trial.says("still_improving") for trial in feasible[:count]],
        [trial.says("saturated") for trial in feasible[:count]],
        planned_steps=view.max_train_steps,
        budget=len(view.trials),
        fit_steps=[trial.fit_step for trial in view.trials],
    )
    yield bound
    yield best_steps(
        np.array([trial.best_step_share for trial in feasible]), still_improving=bound.fired
    )


def _of_practice(view: ExperimentView) -> Iterator[Diagnosis]:
    measured: dict[int, list[float]] = {}
    for trial in view.trials:
        if trial.batch_size > 0 and math.isfinite(trial.throughput):
            measured.setdefault(int(trial.batch_size), []).append(trial.throughput)
    best = min(_feasible(view), key=lambda trial: _error(trial, view.direction), default=None)
    if best is not None and measured and best.batch_size > 0:
        rates = {size: float(np.median(each)) for size, each in measured.items()}
        yield batch_size(int(best.batch_size), rates)
    if view.baseline is not None and view.best is not None:
        before, after = numbers_of(view.baseline), numbers_of(view.best)
        yield more_gradient_noise(before, after, equal_steps=_equal_steps(before, after))


def numbers_of(parameters: Mapping[str, object]) -> dict[str, float]:
    """Return the hyperparameters whose values are numbers."""
    return {
        name: float(value)
        for name, value in parameters.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _equal_steps(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    kinds = (HyperparameterKind.STEPS, HyperparameterKind.EPOCHS)
    return number_of(before, *kinds) == number_of(after, *kinds)
