"""All rules on one experiment: its axes and its trials in, diagnoses out.

What a rule says of single trials is gathered here for the best trial of every arm, which the
playbook asks to look at first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.curves import oscillation_limit
from experiments.analysis.curves.evaluations import one_example
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.curves.practice import more_gradient_noise
from experiments.analysis.curves.throughput import batch_size
from experiments.analysis.curves.trial_reading import LOSS_OVERFITTING
from experiments.analysis.curves.warmup import unstable_above_best, warmup_advice
from experiments.analysis.design.hyperparameter_kinds import HyperparameterKind, number_of
from experiments.analysis.diagnosis import Diagnosis, Severity, Status, guarded
from experiments.analysis.rules import RULES
from experiments.analysis.space.axis import Axis, AxisKind, unit_positions
from experiments.analysis.space.boundary import boundary
from experiments.analysis.space.data_size import data_set_too_small
from experiments.analysis.space.density import budget_pays, density
from experiments.analysis.space.edge_probe import edge_probe
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
from experiments.analysis.space.learning_rate import learning_rate_regime
from experiments.analysis.space.phase import EXPLOITATION, ready_to_exploit
from experiments.analysis.space.repeats import (
    deviation_of_repeats,
    repeated_configurations,
    tied_scores,
)
from experiments.analysis.space.search_trials import (
    ExperimentView,
    TrialSummary,
    each_once,
    error_of,
    feasible_of,
    repeats_of,
)
from experiments.analysis.space.steps import best_steps, compute_bound

# Rules on single trials whose word about the best trials belongs on the experiment's page.
GATHERED: Mapping[str, str] = {
    "overfitting": "Validation error rises",
    "never_improves": "Validation never improves",
    "unstable_training": "Validation jumps to the worse",
    "late_oscillation": "Validation varies much late in training",
    "train_loss_rising": "Training loss rises",
    "loss_metric_divergence": "Validation loss rises, the metric holds",
    "gradient_spikes": "The gradient norm spikes often",
    "clipped_updates": "More than half of the updates are clipped",
    "learning_rate_schedule": "The learning rate does not follow one decaying schedule",
    "periodic_validation": "The validation metric repeats itself",
    "regular_evaluations": "Evaluations come at irregular steps",
    "early_instability_unseen": "Too few evaluations in the first steps to see instability",
    "input_bound": "Training waits for its input",
}

# The words for several trials of every rule that warns of single ones.
CLAIMS: Mapping[str, str] = {
    **GATHERED,
    "divergence": "Training diverged",
    "non_finite": "A metric is no number",
}


def diagnose_experiment(
    view: ExperimentView, on_failure: Callable[[Exception], None] | None = None
) -> list[Diagnosis]:
    """Return what every rule across trials says; each rule (and subject) once.

    on_failure: told of a rule that breaks, which then costs its own group of rules only; without
    it the error is raised.
    """
    repeats = repeats_of(view)
    if view.trial_sd is None:
        scores = [np.array([trial.score for trial in group]) for group in repeats]
        view = replace(view, trial_sd=deviation_of_repeats(scores))
    once = each_once(view, repeats)
    space = [*guarded(_space_findings(view, once), on_failure)]
    groups = (
        _scores_findings(view, repeats),
        _curves_findings(view),
        _arms_findings(once),
        _learning_rates_findings(view),
        _length_findings(view),
        _practice_findings(view),
        _phase_findings(space, view),
    )
    found = [*space, *(d for group in groups for d in guarded(group, on_failure))]
    return _without_idle(found)


def _scores_findings(
    view: ExperimentView, repeats: Sequence[Sequence[TrialSummary]]
) -> Iterator[Diagnosis]:
    yield tied_scores(np.array([trial.score for trial in feasible_of(view)]), view.direction)
    if any(trial.configuration for trial in view.trials):
        named = [[trial.name or str(trial.number) for trial in group] for group in repeats]
        yield repeated_configurations(named, sum(not trial.pruned for trial in view.trials))


# What a metric that does not move, or whose best trials tie, says nothing of.
_ASKS_THE_BEST = frozenset(
    ("density", "budget_pays", "boundary", "edge_slope", "best_step", "learning_rate_regime")
)


def _without_idle(found: list[Diagnosis]) -> list[Diagnosis]:
    """Return the diagnoses with those taken back that read the order of tied scores."""
    tied = next((d for d in found if d.rule == "tied_scores" and d.fired), None)
    if tied is None:
        return found
    return [
        RULES[d.rule].cannot_tell(f"{tied.title}: {tied.detail}", d.evidence, subject=d.subject)
        if d.rule in _ASKS_THE_BEST
        else d
        for d in found
    ]


def _phase_findings(space: Sequence[Diagnosis], view: ExperimentView) -> Iterator[Diagnosis]:
    found = ready_to_exploit(space, view.axes, view.direction)
    # What blocks is told by findings of its own.
    yield EXPLOITATION.cannot_tell(found.detail, found.evidence) if found.fired else found


def arm_gap(view: ExperimentView) -> float | None:
    """Return the distance between the best scores of the two best arms; None below two arms."""
    errors = sorted(error_of(trial, view.direction) for trial in best_of_arms(view))
    return errors[1] - errors[0] if len(errors) > 1 else None


def best_of_arms(view: ExperimentView) -> list[TrialSummary]:
    """Return the best feasible trial of every arm that has one."""
    found: dict[int, TrialSummary] = {}
    for trial in feasible_of(view):
        best = found.setdefault(trial.arm, trial)
        if error_of(trial, view.direction) < error_of(best, view.direction):
            found[trial.arm] = trial
    return [found[arm] for arm in sorted(found)]


def _space_findings(every: ExperimentView, view: ExperimentView) -> Iterator[Diagnosis]:
    """Yield what is said of the space: of every trial that failed, of each configuration once."""
    finished = [trial for trial in every.trials if not trial.pruned]
    feasible = np.array([trial.feasible for trial in finished], dtype=np.bool_)
    aligned = all(axis.unit.size == feasible.size for axis in every.axes)
    scores = np.array([trial.score for trial in feasible_of(view)])
    # One word about an edge is enough, and a probe's paired runs say more than the search's.
    probed = {probe.subject for probe in view.probes if probe.is_answered}
    crowds = boundary(view.axes, view.direction, adaptive=view.adaptive)
    yield from (d for d in crowds if not d.fired or d.subject not in probed)
    subjects = {
        d.subject for d in crowds if d.fired and d.severity is not Severity.NOTICE
    } | probed
    slopes = edge_slopes(view.axes, view.direction, adaptive=view.adaptive)
    yield from (slope for slope in slopes if slope.subject not in subjects)
    yield from map(edge_probe, view.probes)
    yield infeasible_share(feasible, every.axes if aligned else ())
    for axis in view.axes:
        if axis.log and axis.name == view.rate_axis:
            yield instability_edge(axis, view.direction)
    yield density(scores, view.direction, trial_sd=view.trial_sd)
    yield budget_pays(scores, view.direction, trial_sd=view.trial_sd)


def _curves_findings(view: ExperimentView) -> Iterator[Diagnosis]:
    gap = arm_gap(view)
    best = [_with_oscillation(trial, view, gap) for trial in best_of_arms(view)]
    for rule in GATHERED:
        diagnosis = gather(rule, best, view)
        if diagnosis is not None:
            yield diagnosis


def _with_oscillation(
    trial: TrialSummary, view: ExperimentView, gap: float | None
) -> TrialSummary:
    """Return the trial with its oscillation judged by the other trials known by now."""
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


def _after_the_search(diagnosis: Diagnosis, view: ExperimentView) -> Diagnosis:
    """Return the diagnosis, which cannot tell of too few trials while more are to come."""
    if not (view.goes_on and diagnosis.fired):
        return diagnosis
    rule = RULES[diagnosis.rule]
    return rule.cannot_tell(f"The search goes on. {diagnosis.detail}", diagnosis.evidence)


def _arms_findings(view: ExperimentView) -> Iterator[Diagnosis]:
    counts = [
        (name, sum(trial.arm == arm and not trial.pruned for trial in view.trials))
        for arm, name in view.arms.items()
    ]
    if len(counts) > 1:
        rows = isolation_table(_arm_axis(view), view.direction)
        yield _after_the_search(fair_comparison(counts), view)
        yield best_of_unequal(rows, view.direction)
        yield _after_the_search(points_per_value(rows), view)
        bests = sorted(row.best for row in rows)
        if view.resolution > 0 and len(bests) > 1:
            leads = bests[:2] if view.direction is Direction.MINIMIZE else bests[-2:]
            yield one_example(leads[1] - leads[0], view.resolution)
    for axis in view.axes:
        if axis.name in view.scientific:
            rows = isolation_table(axis, view.direction)
            few = _after_the_search(points_per_value(rows), view)
            for diagnosis in (best_of_unequal(rows, view.direction), few):
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


def _learning_rates_findings(view: ExperimentView) -> Iterator[Diagnosis]:
    if view.rate_trials:
        yield learning_rate_regime(
            view.rate_trials,
            direction=view.direction,
            resolution=view.resolution,
            trial_sd=view.trial_sd,
        )
    if any(math.isfinite(trial.rate) for trial in feasible_of(view)):
        yield small_data(feasible_of(view), regulariser_swept=view.regulariser_swept)
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


def small_data(trials: Sequence[TrialSummary], *, regulariser_swept: bool) -> Diagnosis:
    """Tell whether the feasible trials overfit by their loss at every rate that trains."""
    judged = [trial for trial in trials if _overfits(trial) is not None]
    return data_set_too_small(
        np.array([trial.rate for trial in judged]),
        np.array([bool(_overfits(trial)) for trial in judged]),
        np.array([trial.fit for trial in judged]),
        regulariser_swept=regulariser_swept,
    )


def _overfits(trial: TrialSummary) -> bool | None:
    """Tell whether a trial overfits by its loss; None where it diverged or had not converged."""
    if trial.says("divergence") or trial.says("train_loss_rising"):
        return None
    by_loss = LOSS_OVERFITTING in (trial.rules or {})
    found = trial.says(LOSS_OVERFITTING if by_loss else "overfitting")
    return None if trial.says("still_improving") and not found else found


def _best_rate(view: ExperimentView) -> float | None:
    best = min(feasible_of(view), key=lambda trial: error_of(trial, view.direction), default=None)
    return None if best is None or not math.isfinite(best.rate) else best.rate


def _unstable(trial: TrialSummary) -> bool | None:
    """Tell whether a trial diverged or its training loss rose; None if neither could be told."""
    fired = [trial.says(rule) for rule in ("divergence", "train_loss_rising")]
    return None if set(fired) == {None} else any(fired)


def _warmup(axis: Axis, view: ExperimentView, best: float | None) -> Diagnosis:
    edge = infeasibility_threshold(axis)
    return warmup_advice(
        max_train_steps=view.max_train_steps,
        decades_below_instability=decades_to_infeasible(axis, view.direction),
        unstable_learning_rate=None if edge is None else axis.value_at(edge),
        best_learning_rate=best,
        early_divergences=[t.rate for t in view.trials if t.early_divergence and t.rate > 0],
    )


def _length_findings(view: ExperimentView) -> Iterator[Diagnosis]:
    feasible = sorted(feasible_of(view), key=lambda trial: error_of(trial, view.direction))
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


def _practice_findings(view: ExperimentView) -> Iterator[Diagnosis]:
    measured: dict[int, list[float]] = {}
    for trial in view.trials:
        if trial.batch_size > 0 and math.isfinite(trial.throughput):
            measured.setdefault(int(trial.batch_size), []).append(trial.throughput)
    best = min(feasible_of(view), key=lambda trial: error_of(trial, view.direction), default=None)
    if best is not None and measured and best.batch_size > 0:
        rates = {
            size: float(np.median(measured_rates)) for size, measured_rates in measured.items()
        }
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
