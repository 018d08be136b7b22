"""Learning-rate warm-up: whether it is called for, and its arithmetic.

Source: Tuning Playbook, "How can optimization failures be debugged and mitigated?" (learning rate
warmup). Nothing here is ours except the rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, share

WARMUP_ADVICE = Rule(
    name="warmup",
    version=1,
    severity=Severity.WARNING,
    question="Would learning-rate warm-up help?",
    passed_title="Learning-rate warm-up is not needed",
    meaning=(
        "The best learning rate lies at the edge of instability, or training diverged early."
    ),
    advice="Ramp the learning rate up over the shortest warm-up that works.",
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
    action="add_warmup",
)

UNSTABLE_ABOVE_BEST = Rule(
    name="unstable_above_best",
    version=1,
    severity=Severity.NOTICE,
    question="Is training unstable just above the best learning rate?",
    passed_title="Training is stable above the best learning rate",
    meaning=(
        "Loss rises for a while at learning rates just above the best: making training stable "
        "would probably allow a better one."
    ),
    advice=(
        "In this order: learning-rate warm-up, gradient clipping, another optimiser, "
        "normalisation inside residual branches."
    ),
    section="Tuning Playbook, 'How can optimization failures be debugged and mitigated?'",
    action="add_warmup",
)

# Playbook: the base rate is ten times the rate at which training becomes unstable.
BASE_FACTOR = 10.0
# Playbook: warm-up lengths to sweep.
SWEEP = (10, 1_000, 10_000, 100_000)
# Playbook: no longer than a tenth of the steps; beyond a twentieth the steps are raised.
LONGEST_SHARE = 0.1
RAISE_STEPS_SHARE = 0.05
# Playbook: constant part after the ramp, in warm-up lengths, when a warm-up is tried out.
POST_WARMUP = 2
# Playbook: look just above the best rate, and at five and ten times it.
PROBE_FACTORS = (2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class WarmupOption:
    """One warm-up length: the steps after it, and of the whole run with the ramp in front."""

    warmup_steps: int
    post_warmup_steps: int
    total_steps: int
    share_of_steps: float


@dataclass(frozen=True, slots=True)
class WarmupPlan:
    """Proposed warm-up: the rate to reach, and the lengths to reach it in, the shortest first."""

    base_learning_rate: float
    options: tuple[WarmupOption, ...]


def warmup_plan(max_train_steps: int, unstable_learning_rate: float) -> WarmupPlan:
    """Return the warm-ups to sweep for a run of so many steps.

    unstable_learning_rate: the lowest at which training becomes unstable without warm-up.
    Lengths beyond a tenth of the steps are left out. The ramp goes in front of the schedule, so
    10,000 steps with 1,000 of warm-up make 11,000; if the ramp is longer than a twentieth the
    total must be raised. Raises ValueError unless both are positive.
    """
    if max_train_steps < 1 or not unstable_learning_rate > 0:
        raise ValueError("steps and learning rate must be positive")
    options = tuple(
        WarmupOption(
            warmup_steps=length,
            post_warmup_steps=POST_WARMUP * length,
            total_steps=max_train_steps + length,
            share_of_steps=length / max_train_steps,
        )
        for length in SWEEP
        if length <= LONGEST_SHARE * max_train_steps
    )
    return WarmupPlan(BASE_FACTOR * unstable_learning_rate, options)


def probe_learning_rates(best: float) -> tuple[float, ...]:
    """Return the rates above the best one whose curves show instability: 2, 5 and 10 times it.

    About 500 steps at twice the best, evaluated at every step, find an early instability; 5 and
    10 times find a sudden rise after a steady fall.
    """
    return tuple(factor * best for factor in PROBE_FACTORS)


def warmup_advice(
    *,
    max_train_steps: int | None,
    decades_below_instability: float | None,
    unstable_learning_rate: float | None,
    best_learning_rate: float | None,
    early_divergences: Sequence[float] = (),
) -> Diagnosis:
    """Tell whether warm-up is called for: best rate just below instability, or early divergence.

    decades_below_instability: log10 distance from the best learning rate to the lowest above
    which training fails; None if there is no such edge. early_divergences: learning rates of the
    trials that diverged in the first tenth of their steps.
    """
    near = decades_below_instability is not None and 0 <= decades_below_instability <= 0.5
    below_best = [
        rate for rate in early_divergences if best_learning_rate and rate <= best_learning_rate
    ]
    evidence: dict[str, object] = {
        "decades_below_instability": decades_below_instability,
        "unstable_learning_rate": unstable_learning_rate,
        "best_learning_rate": best_learning_rate,
        "early_divergences_up_to_best": len(below_best),
    }
    if best_learning_rate is None:
        return WARMUP_ADVICE.cannot_tell("No feasible trial with a learning rate.", evidence)
    if not near and not below_best:
        return WARMUP_ADVICE.passes(
            "The best learning rate is well below the unstable ones.", evidence
        )
    unstable = unstable_learning_rate or min(below_best, default=best_learning_rate)
    evidence["probes"] = list(probe_learning_rates(best_learning_rate))
    advice = WARMUP_ADVICE.advice
    if max_train_steps:
        plan = warmup_plan(max_train_steps, unstable)
        evidence |= _plan_evidence(plan)
        advice = _plan_advice(plan)
    return WARMUP_ADVICE.fires(
        f"Learning rates above {figure(best_learning_rate)} are unstable without warm-up"
        if near
        else "Training diverges early at moderate learning rates",
        _reason(decades_below_instability, below_best, near),
        evidence,
        advice=advice,
    )


def unstable_above_best(
    rates: Sequence[float], unstable: Sequence[bool | None], best: float | None
) -> Diagnosis:
    """Tell whether most trials at up to ten times the best learning rate were unstable.

    rates: learning rate of each finished trial; unstable: whether it diverged or its training
    loss rose, None where that could not be told. Source: Tuning Playbook, looking at curves for
    learning rates just above the best, and at five and ten times it.
    """
    above = [
        broke
        for rate, broke in zip(rates, unstable, strict=True)
        if broke is not None and best is not None and best < rate <= PROBE_FACTORS[-1] * best
    ]
    evidence: dict[str, object] = {"best_learning_rate": best, "trials_above": len(above)}
    if best is None or not above:
        return UNSTABLE_ABOVE_BEST.cannot_tell(
            "No judged trial has a learning rate between the best and ten times the best.",
            evidence,
        )
    evidence |= {"unstable": sum(above), "probes": list(probe_learning_rates(best))}
    detail = (
        f"{sum(above)} of {len(above)} trials between {figure(best)} and "
        f"{figure(PROBE_FACTORS[-1] * best)} diverged or saw training loss rise."
    )
    if 2 * sum(above) > len(above):
        return UNSTABLE_ABOVE_BEST.fires(
            "Training is unstable just above the best learning rate", detail, evidence
        )
    return UNSTABLE_ABOVE_BEST.passes(detail, evidence)


def _reason(decades: float | None, below_best: Sequence[float], near: bool) -> str:
    if near and decades is not None:
        return f"Training fails from {figure(10**decades, 2)} times the best learning rate on."
    return f"{len(below_best)} trials at or below the best learning rate diverged early."


def _plan_evidence(plan: WarmupPlan) -> dict[str, object]:
    return {
        "base_learning_rate": plan.base_learning_rate,
        "warmup_steps": [option.warmup_steps for option in plan.options],
        "post_warmup_steps": [option.post_warmup_steps for option in plan.options],
        "total_steps": [option.total_steps for option in plan.options],
    }


def _plan_advice(plan: WarmupPlan) -> str:
    if not plan.options:
        return "The runs are too short for a warm-up of 10 steps: train longer or clip gradients."
    lengths = ", ".join(f"{option.warmup_steps:,}" for option in plan.options)
    advice = (
        f"Ramp from 0 to {figure(plan.base_learning_rate)} over {lengths} steps, keep the "
        "shortest that works, and put it in front of the schedule."
    )
    long = [option for option in plan.options if option.share_of_steps > RAISE_STEPS_SHARE]
    if long and not math.isclose(long[0].share_of_steps, RAISE_STEPS_SHARE):
        advice += (
            f" {long[0].warmup_steps:,} steps are {share(long[0].share_of_steps)} of the run: "
            f"raise the total to {long[0].total_steps:,}."
        )
    return advice
