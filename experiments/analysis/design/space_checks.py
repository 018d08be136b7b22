"""Does the space suit its budget? Rules R6, R7, R11, R12 and R15 on a design.

Source: Deep Learning Tuning Playbook, "Creating a set of studies" and its questions.
"""

from __future__ import annotations

import math

from experiments.analysis.design.design import (
    POINTS_PER_VALUE,
    Design,
    DesignArm,
    DesignParameter,
    Part,
    listed,
    points_needed,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure

GRID_DIMENSIONS = 2

UNIFORM = Rule(
    name="scientific_values_even",
    version=1,
    severity=Severity.WARNING,
    question="Does every scientific value get its share of trials?",
    passed_title="Every scientific value gets its share of trials",
    meaning="A sampler that follows good trials gives the values that began well more trials, "
    "and the best of more trials is better by luck alone.",
    advice="Take halton, or give the scientific hyperparameters few choices: each is an arm then.",
    section="Tuning Playbook, 'Creating a set of studies'",
)

ENOUGH_POINTS = Rule(
    name="points_for_the_space",
    version=1,
    severity=Severity.NOTICE,
    question="Are there enough trials for the space?",
    passed_title="The budget suits the space",
    meaning="A space is worth its conclusion when it holds enough scientific values, ranges wide "
    "enough for the best ones, and points dense enough to come near them.",
    advice="Search fewer hyperparameters, or give each arm more trials.",
    section="Tuning Playbook, 'Striking a balance between informative and affordable experiments'",
)

BATCH_SIZE = Rule(
    name="batch_size_not_tuned",
    version=1,
    severity=Severity.WARNING,
    question="Is the batch size left out of the search?",
    passed_title="The batch size is not tuned against validation",
    meaning="With everything else retuned, the same validation score can be had at any batch "
    "size: what differs is the speed. Tuned here, it wins by how well the others happen to fit.",
    advice="Fix the batch size by what the hardware does fastest; after changing it retune the "
    "optimizer, the regularisers and the number of steps.",
    section="Tuning Playbook, 'Why shouldn't the batch size be tuned to directly improve "
    "validation set performance?'",
)

STEPS = Rule(
    name="steps_not_tuned",
    version=1,
    severity=Severity.WARNING,
    question="Do all trials of a study train equally long?",
    passed_title="All trials of a study train equally long",
    meaning="Longer training is better or it is not; a search need not find that out, and short "
    "trials make the others look good.",
    advice="Fix the number of steps for each arm, and keep the best checkpoint of each trial.",
    section="Tuning Playbook, 'Choosing the number of steps (max_train_steps)'",
)

GRID = Rule(
    name="grid_dimensions",
    version=1,
    severity=Severity.WARNING,
    question="Has a grid at most two dimensions?",
    passed_title="The sampler suits the number of dimensions",
    meaning="A grid tries the same few values of each hyperparameter again and again; "
    "quasi-random points try a new value of each in every trial.",
    advice="Take halton, or fix all but two hyperparameters.",
    section="Tuning Playbook, 'Why use quasi-random search instead of more sophisticated black "
    "box optimization algorithms?'",
)


def scientific_values_even(design: Design) -> Diagnosis:
    """R6: in a mixed space scientific values are drawn evenly, and often enough."""
    if not design.mixed:
        return UNIFORM.passes(
            "Each scientific value is an arm with a budget and quasi-random rows of its own."
            if len(design.arms) > 1
            else "Nothing scientific is drawn.",
            {"mixed": False, "arms": len(design.arms)},
        )
    drawn = [
        parameter for parameter in design.of_role("scientific") if parameter.values is not None
    ]
    combinations = math.prod(parameter.values or 1 for parameter in drawn)
    trials = sum(arm.trials for arm in design.arms)
    each_gets = trials / combinations
    evidence = {
        "mixed": True,
        "sampler": design.sampler,
        "combinations": combinations,
        "trials_per_combination": each_gets,
    }
    key = design.of_role("scientific")[0].key
    if design.adaptive:
        return UNIFORM.fires(
            f"{design.sampler} would not draw the scientific values evenly",
            "They are searched in one mixed space.",
            evidence,
            subject="search.sampler",
        )
    if drawn and each_gets < POINTS_PER_VALUE:
        return UNIFORM.fires(
            "Too few trials for each scientific value",
            f"{combinations} values of {listed(drawn)} share {trials} trials: about "
            f"{figure(each_gets, 2)} each; {POINTS_PER_VALUE} or more are needed.",
            evidence,
            subject=key,
            advice="Give more trials, or fewer values.",
        )
    return UNIFORM.passes(f"{design.sampler} draws them evenly.", evidence)


def points_for_the_space(design: Design) -> Diagnosis:
    """R7: enough scientific values, wide enough, dense enough; the three numbers.

    Dense enough is `design.points_needed` for the tightest arm, times the scientific values
    (five buckets of a range) in a mixed space.
    """
    if not design.arms:
        return ENOUGH_POINTS.cannot_tell("There is no study.")
    needs = [(_needed(design, arm), arm) for arm in design.arms]
    needed, arm = max(needs, key=lambda need: need[0] / need[1].trials)
    values = _scientific_values(design)
    searched = design.named(arm.searched)
    widths = listed(f"{parameter.name} {_width(parameter)}" for parameter in searched) or "nothing"
    evidence = {
        "scientific_values": values if math.isfinite(values) else "a continuum",
        "widths": [f"{parameter.name} {_width(parameter)}" for parameter in searched],
        "points_needed": needed,
        "trials": arm.trials,
        "dimensions": len(arm.searched),
    }
    detail = (
        f"Scientific values: {figure(values, 3) if math.isfinite(values) else 'a continuum'}. "
        f"Wide: {widths}. Dense: {arm.trials} trials in {len(arm.searched)} "
        f"{'dimension' if len(arm.searched) == 1 else 'dimensions'}"
    )
    if arm.trials >= needed:
        return ENOUGH_POINTS.passes(f"{detail}; {needed} or more are needed.", evidence)
    return ENOUGH_POINTS.fires(
        f"{arm.trials} trials are few for {len(arm.searched)} dimensions",
        f"{detail}; {needed} would put one into the better half of every range at once, with "
        "probability 0.95.",
        evidence,
        severity=Severity.WARNING if 2 * arm.trials < needed else Severity.NOTICE,
        subject="search.trials",
    )


def batch_size_not_tuned(design: Design) -> Diagnosis:
    """R11: the batch size is not chosen by validation performance."""
    varied = [
        parameter for parameter in design.of_part(Part.BATCH_SIZE) if parameter.role != "fixed"
    ]
    evidence = {
        "varied": [parameter.name for parameter in varied],
        "objective_split": design.objective_split,
    }
    if not varied or design.objective_split == "train":
        return BATCH_SIZE.passes(
            "It is fixed." if not varied else "The score is of the training data.", evidence
        )
    compared = varied[0].role == "scientific"
    return BATCH_SIZE.fires(
        "Batch sizes are compared by validation" if compared else "The batch size is tuned",
        "Each batch size needs its own optimizer, regularisers and number of steps."
        if compared
        else f"{listed(varied)} is searched like any other hyperparameter.",
        evidence,
        subject=varied[0].key,
    )


def steps_not_tuned(design: Design) -> Diagnosis:
    """R12: the number of steps does not vary inside a study."""
    varied = [parameter for parameter in design.of_part(Part.STEPS) if parameter.role != "fixed"]
    inside = [parameter for parameter in varied if parameter.role == "nuisance" or design.mixed]
    evidence = {
        "varied": [parameter.name for parameter in varied],
        "inside": [e.name for e in inside],
    }
    if inside:
        return STEPS.fires(
            f"{listed(inside)} varies inside a study",
            "Trials of different lengths would be compared.",
            evidence,
            subject=inside[0].key,
        )
    if varied:
        return STEPS.fires(
            f"Arms differ in {listed(varied)}",
            "Each arm trains equally long, but the longer one has had more.",
            evidence,
            severity=Severity.NOTICE,
            subject=varied[0].key,
        )
    return STEPS.passes("It is fixed in every arm.", evidence)


def grid_dimensions(design: Design) -> Diagnosis:
    """R15: a grid is fine in one or two dimensions, not in more."""
    evidence = {"sampler": design.sampler, "dimensions": design.dimensions}
    if design.sampler == "grid" and design.dimensions > GRID_DIMENSIONS:
        return GRID.fires(
            f"A grid over {design.dimensions} dimensions",
            "One or two are fine.",
            evidence,
            subject="search.sampler",
        )
    if design.sampler == "grid":
        return GRID.passes(f"{design.dimensions} is no more than two.", evidence)
    return GRID.passes("It is no grid.", evidence)


def _needed(design: Design, arm: DesignArm) -> int:
    searched = design.named(arm.searched)
    if not design.mixed:
        return points_needed(searched)
    nuisance = [parameter for parameter in searched if parameter.role != "scientific"]
    scientific = [parameter for parameter in searched if parameter.role == "scientific"]
    values = math.prod(parameter.values or POINTS_PER_VALUE for parameter in scientific)
    return values * points_needed(nuisance)


def _scientific_values(design: Design) -> float:
    if not design.mixed:
        return len(design.arms)
    return math.prod(
        math.inf if parameter.values is None else parameter.values
        for parameter in design.of_role("scientific")
    )


def _width(parameter: DesignParameter) -> str:
    if parameter.choices:
        return f"{len(parameter.choices)} choices"
    if parameter.log and parameter.low > 0:
        return f"{figure(math.log10(parameter.high) - math.log10(parameter.low), 2)} decades"
    return f"{figure(parameter.low)} to {figure(parameter.high)}"
