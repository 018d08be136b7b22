"""Was the space searched densely enough, and what did the last doubling of the budget gain?

Source: Tuning Playbook, "Not sampling enough points in the search space"; Dodge et al. (2019),
Tang et al. (2020) for the expected best. The thresholds are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.best_of import expected_best_unbiased
from experiments.analysis.curves.learning_curve import Direction, Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.space.axis import better_first

DENSITY = Rule(
    name="density",
    version=1,
    severity=Severity.WARNING,
    question="Were enough points sampled?",
    passed_title="Several trials are as good as the best",
    meaning="The best trial may be a lucky hit; another search could find something else.",
    advice="Search on with more trials in the same space, or narrow the space first.",
    section="Tuning Playbook, 'Not sampling enough points in the search space'",
    action="more_trials",
)

BUDGET_PAYS = Rule(
    name="budget_pays",
    version=1,
    severity=Severity.NOTICE,
    question="Would more trials still pay?",
    passed_title="The last doubling of the budget gained less than the seeds vary",
    meaning="The best found still depends on how many trials were run.",
    advice="Run as many trials again before comparing.",
    section="Tuning Playbook, 'Not sampling enough points in the search space'",
    action="more_trials",
)


@dataclass(frozen=True, slots=True)
class GoodRegion:
    """Trials as good as the best up to a tolerance (in the metric's unit)."""

    best: float
    tolerance: float
    members: int
    trials: int
    tolerance_is: str


def good_region(
    scores: Floats, direction: Direction, trial_sd: float | None = None
) -> GoodRegion | None:
    """Return the trials within one seed deviation of the best; None without finite scores.

    Without the deviation: within 5 % of the way from the best to the median.
    """
    errors = better_first(np.asarray(scores, dtype=np.float64), direction)
    errors = errors[np.isfinite(errors)]
    if not errors.size:
        return None
    best = float(errors.min())
    if trial_sd is not None and trial_sd > 0:
        tolerance, named = float(trial_sd), "the deviation over seeds"
    else:
        with np.errstate(over="ignore"):
            tolerance = thresholds.GOOD_REGION_SHARE * (float(np.median(errors)) - best)
        named = "5 % of the way from the best to the median"
    sign = 1.0 if direction is Direction.MINIMIZE else -1.0
    members = int((errors <= best + tolerance).sum())
    return GoodRegion(sign * best, tolerance, members, int(errors.size), named)


def density(scores: Floats, direction: Direction, *, trial_sd: float | None = None) -> Diagnosis:
    """Tell whether fewer than three trials lie in the good region.

    scores: [N] of the feasible trials; `trial_sd`: the deviation over seeds, metric's unit.
    """
    region = good_region(scores, direction, trial_sd)
    trials = 0 if region is None else region.trials
    if region is None or trials < thresholds.DENSITY_MIN_TRIALS:
        return _too_few(DENSITY, trials)
    evidence = {
        "trials": trials,
        "good": region.members,
        "best": region.best,
        "tolerance": region.tolerance,
        "tolerance_is": region.tolerance_is,
    }
    detail = (
        f"{region.members} of {trials} trials lie within {figure(region.tolerance)} "
        f"({region.tolerance_is}) of the best, {figure(region.best)}."
    )
    if region.members < thresholds.GOOD_REGION_TRIALS:
        alone = "No other trial comes" if region.members == 1 else "Only one other trial comes"
        return DENSITY.fires(f"{alone} close to the best", detail, evidence)
    return DENSITY.passes(detail, evidence)


def doubling_gain(scores: Floats, direction: Direction) -> float:
    """Return what doubling the budget from half of the N finite scores gained, >= 0.

    Expected best of N less that of N / 2, by the unbiased estimator; nan below two scores.
    Quasi-random points are more even than independent ones, so this is an upper bound for them.
    """
    finite = np.asarray(scores, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size < 2:
        return math.nan
    whole = expected_best_unbiased(finite, finite.size, direction)
    half = expected_best_unbiased(finite, finite.size // 2, direction)
    return abs(whole - half)


def budget_pays(scores: Floats, direction: Direction, *, trial_sd: float | None) -> Diagnosis:
    """Tell whether the last doubling of the budget gained more than the deviation over seeds."""
    finite = np.asarray(scores, dtype=np.float64)
    count = int(np.isfinite(finite).sum())
    if count < thresholds.DENSITY_MIN_TRIALS:
        return _too_few(BUDGET_PAYS, count)
    gain = doubling_gain(finite, direction)
    evidence = {"trials": count, "doubling_gain": gain, "trial_sd": trial_sd}
    if trial_sd is None or not trial_sd > 0:
        return BUDGET_PAYS.cannot_tell(
            f"Doubling to {count} trials gained {figure(gain)}, but no seeds were repeated to "
            "compare with.",
            evidence,
        )
    detail = (
        f"From {count // 2} to {count} trials the expected best gained {figure(gain)}; seeds vary "
        f"by {figure(trial_sd)}."
    )
    if gain > trial_sd:
        return BUDGET_PAYS.fires("More trials would still pay", detail, evidence)
    return BUDGET_PAYS.passes(detail, evidence)


def _too_few(rule: Rule, trials: int) -> Diagnosis:
    return rule.cannot_tell(
        f"{trials} feasible trials; the rule needs {thresholds.DENSITY_MIN_TRIALS}.",
        {"trials": trials, "needed": thresholds.DENSITY_MIN_TRIALS},
    )
