"""Is it searched the right way, from the right start? Rules R9, R10, R13 and R14.

Source: Deep Learning Tuning Playbook, "After exploration concludes" and its questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.design.design import Design, DesignArm, DesignParameter, Part, listed
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure

# Fewer rounds than this leave an adaptive sampler little to learn from (ours).
FEW_ROUNDS = 5
# "Substantially more than 25" trials, from which beta2 may be tuned (ours).
MANY_TRIALS = 50
# How many of the baseline's own spreads it must lie from chance.
SPREADS_FROM_CHANCE = 3.0

_QUASI_RANDOM = (
    "Tuning Playbook, 'Why use quasi-random search instead of more sophisticated black box "
    "optimization algorithms?'"
)

EXPLORATION = Rule(
    name="explore_first",
    version=1,
    severity=Severity.WARNING,
    question="Is the space explored before it is exploited?",
    passed_title="The space is explored evenly",
    meaning="While the right space is still to be found, even points show its edges, its bad "
    "regions and how dense it is; a sampler that follows good trials hides all three.",
    advice="Take halton now, and an adaptive sampler once the space holds the best region well "
    "inside.",
    section="Tuning Playbook, 'After exploration concludes'",
)

TWICE_THE_BUDGET = Rule(
    name="twice_the_budget",
    version=1,
    severity=Severity.NOTICE,
    question="Would quasi-random search with twice the budget do as well?",
    passed_title="The sampler suits how many trials run at once",
    meaning="With many trials at once an adaptive sampler decides before it has seen results; "
    "quasi-random search with twice the budget is hard to beat then.",
    advice="Run fewer at once, or take halton with more trials.",
    section=_QUASI_RANDOM,
)

ADAM_BUDGET = Rule(
    name="adam_budget",
    version=1,
    severity=Severity.WARNING,
    question="Does the budget allow all that is tuned of Adam?",
    passed_title="The budget allows what is tuned of Adam",
    meaning="With few trials every further hyperparameter of Adam takes points from the learning "
    "rate, which matters most.",
    advice="Below 10 trials tune the learning rate only; to 25 also beta1; from 25 epsilon; with "
    "many more also beta2.",
    section="Tuning Playbook, 'How should Adam's hyperparameters be tuned?'",
)

ABOVE_CHANCE = Rule(
    name="above_chance",
    version=1,
    severity=Severity.WARNING,
    question="Is the baseline much better than chance?",
    passed_title="The baseline is much better than chance",
    meaning="A first configuration that has learnt nothing gives nothing to improve on: there "
    "may be a bug in the data or in training.",
    advice="Begin with a small, fast model and a constant learning rate, and train it until it "
    "clearly beats chance.",
    section="Tuning Playbook, 'Choosing the initial configuration'",
)


def explore_first(design: Design) -> Diagnosis:
    """R9: quasi-random during exploration, adaptive samplers after it."""
    evidence = {
        "sampler": design.sampler,
        "adaptive": design.adaptive,
        "ready_to_exploit": design.ready_to_exploit,
    }
    if not design.adaptive:
        if design.sampler == "random":
            return EXPLORATION.fires(
                "Random points leave gaps",
                "Quasi-random ones fill the same space more evenly at no cost.",
                evidence,
                severity=Severity.NOTICE,
                subject="search.sampler",
                advice="Take halton.",
            )
        return EXPLORATION.passes(f"{design.sampler} covers the space.", evidence)
    if design.ready_to_exploit:
        return EXPLORATION.passes("An earlier search has settled the space.", evidence)
    return EXPLORATION.fires(
        f"{design.sampler} follows good trials before the space is known",
        "No earlier search has settled this space."
        if design.ready_to_exploit is None
        else "The earlier search left open whether this is the right space.",
        evidence,
        subject="search.sampler",
    )


def twice_the_budget(design: Design) -> Diagnosis:
    """R10: at high parallelism quasi-random search with twice the budget is hard to beat."""
    trials = max((arm.trials for arm in design.arms), default=0)
    at_once = min(design.parallel, max(trials, 1))
    rounds = trials / at_once
    evidence = {"adaptive": design.adaptive, "parallel": design.parallel, "rounds": rounds}
    if design.adaptive and rounds < FEW_ROUNDS:
        return TWICE_THE_BUDGET.fires(
            f"{design.sampler} has {figure(rounds, 2)} rounds to learn in",
            f"{trials} trials, {at_once} at once.",
            evidence,
            subject="search.parallel",
        )
    reason = "Its points do not depend on results." if not design.adaptive else "Few at once."
    return TWICE_THE_BUDGET.passes(reason, evidence)


def adam_budget(design: Design) -> Diagnosis:
    """R13: what of Adam may be tuned with how many trials of an arm.

    Fewer than 10 trials: learning rate; 10 to 24: and beta1; from 25: and epsilon; from 50: and
    beta2. The text has 25 in both bands, and "substantially more" for the last.
    """
    seen = [(arm, _beyond(design, arm)) for arm in design.arms if _is_adam(design, arm)]
    if not seen:
        return ADAM_BUDGET.cannot_tell("No arm is known to use Adam.")
    beyond = [(arm, extra) for arm, extra in seen if extra]
    evidence = {
        "trials": [arm.trials for arm, _ in seen],
        "beyond": sorted({parameter.name for _, extra in beyond for parameter in extra}),
    }
    if beyond:
        arm, extra = beyond[0]
        allowed = listed(str(part) for part in _allowed(arm.trials))
        return ADAM_BUDGET.fires(
            f"{arm.trials} trials are few for {listed(extra)}",
            f"With {arm.trials} trials tune of Adam the {allowed}"
            + (f", where {arm.label}." if arm.label else "."),
            evidence,
            subject=extra[0].key,
        )
    arm = seen[0][0]
    allowed = listed(str(part) for part in _allowed(arm.trials))
    return ADAM_BUDGET.passes(f"{arm.trials} trials allow the {allowed}.", evidence)


def above_chance(
    scores: Sequence[float],
    chance: float,
    direction: Direction,
    *,
    evaluated_on: int | None = None,
) -> Diagnosis:
    """R14: the baseline's scores over seeds lie more than 3 standard deviations from chance.

    scores: [N] of N seeds. chance: what knowing nothing of the input gives: the
    share of the largest class, or the error of predicting the mean. evaluated_on: number of
    validation examples of a score that is a share of them; then the binomial standard error of
    chance counts where it is larger than the spread over seeds.
    """
    values = np.asarray(scores, dtype=np.float64)
    evidence: dict[str, object] = {"seeds": values.size, "chance": chance}
    if values.size < 2 or not math.isfinite(chance):
        return ABOVE_CHANCE.cannot_tell(
            f"{values.size} scores; the rule needs two seeds and a finite chance level.", evidence
        )
    if not np.isfinite(values).all():
        return ABOVE_CHANCE.fires(
            "The baseline does not train on every seed",
            f"{int((~np.isfinite(values)).sum())} of {values.size} scores are not finite.",
            evidence,
        )
    spread = float(values.std(ddof=1))
    if evaluated_on and 0 <= chance <= 1:
        spread = max(spread, math.sqrt(chance * (1 - chance) / evaluated_on))
    gain = float(values.mean()) - chance
    gain = gain if direction is Direction.MAXIMIZE else -gain
    evidence |= {"mean": float(values.mean()), "spread": spread, "gain": gain}
    detail = (
        f"Mean {figure(float(values.mean()))} over {values.size} seeds, chance {figure(chance)}, "
        f"standard deviation {figure(spread, 2)}."
    )
    if gain > SPREADS_FROM_CHANCE * spread and gain > 0:
        return ABOVE_CHANCE.passes(detail, evidence)
    return ABOVE_CHANCE.fires("The baseline is hardly better than chance", detail, evidence)


def _allowed(trials: int) -> tuple[Part, ...]:
    bands = ((10, Part.BETA1), (25, Part.EPSILON), (MANY_TRIALS, Part.BETA2))
    return (Part.LEARNING_RATE, *(part for least, part in bands if trials >= least))


def _beyond(design: Design, arm: DesignArm) -> list[DesignParameter]:
    tuned = (Part.BETA1, Part.BETA2, Part.EPSILON)
    return [
        parameter
        for parameter in design.named(arm.searched)
        if parameter.part in tuned and parameter.part not in _allowed(arm.trials)
    ]


def _is_adam(design: Design, arm: DesignArm) -> bool:
    optimizers = design.of_part(Part.OPTIMIZER)
    named = [
        str(value).lower()
        for optimizer in optimizers
        for value in (
            (arm.values[optimizer.name],) if optimizer.name in arm.values else optimizer.choices
        )
    ]
    if named:
        return any("adam" in name for name in named)
    return any(
        parameter.part in (Part.BETA1, Part.BETA2, Part.EPSILON)
        for parameter in design.named(arm.searched)
    )
