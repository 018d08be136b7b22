"""Are the roles right? Rules R1 to R5 and R8 on a design, before its first trial.

Source: Deep Learning Tuning Playbook, "Designing the next round of experiments".
"""

from __future__ import annotations

from experiments.analysis.design.design import (
    OPTIMIZER_PARTS,
    Design,
    DesignParameter,
    Part,
    listed,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, share

# A pair that explains a tenth of the variance beyond its members is worth a dimension (ours).
STRONG_INTERACTION = 0.1

_ROLES = "Tuning Playbook, 'Identifying scientific, nuisance, and fixed hyperparameters'"

ROLES = Rule(
    name="roles",
    version=1,
    severity=Severity.NOTICE,
    question="Does the design compare something?",
    passed_title="Something is compared, and what is fixed is named",
    meaning="Without a scientific hyperparameter a search finds a good configuration and "
    "answers no question about what makes it good.",
    advice="Give the hyperparameter that the goal asks about the role scientific, or name arms.",
    section=_ROLES,
)

OPTIMIZER_ROLES = Rule(
    name="optimizer_roles",
    version=1,
    severity=Severity.WARNING,
    question="Is the optimizer retuned for everything that is compared?",
    passed_title="The optimizer is retuned in every arm",
    meaning="The best learning rate differs between arms: with a fixed one the arm that it "
    "happens to suit wins, whatever it is worth.",
    advice="Make the learning rate a nuisance hyperparameter; it is rarely a good question.",
    section=_ROLES,
)

CHOICES_OF_KIND = Rule(
    name="kinds_and_roles",
    version=1,
    severity=Severity.NOTICE,
    question="Do roles suit what the hyperparameters are?",
    passed_title="Roles suit what the hyperparameters are",
    meaning="The choice of optimizer, whether a regulariser is there, and the architecture are "
    "usually asked about or held fixed: they change cost and deployment, and mixing them makes "
    "the other hyperparameters mean different things. The strength of a regulariser is retuned.",
    advice="Make it scientific if the goal asks about it, else fix it.",
    section=_ROLES,
)

INTERACTIONS = Rule(
    name="fixed_interactions",
    version=1,
    severity=Severity.NOTICE,
    question="Is anything fixed that interacts with what is compared?",
    passed_title="Nothing is fixed that is known to interact with what is compared",
    meaning="The more a nuisance hyperparameter interacts with a scientific one, the worse it is "
    "to fix it: the best weight decay, for one, depends on the size of the model.",
    advice="Make it a nuisance hyperparameter, or name it as a limit of the conclusion.",
    section=_ROLES,
)

CONDITIONS = Rule(
    name="conditions_need_arms",
    version=1,
    severity=Severity.PROBLEM,
    question="Does every conditional hyperparameter live in a study of its own?",
    passed_title="Conditional hyperparameters are searched arm by arm",
    meaning="The learning rate of SGD is another hyperparameter than that of Adam. In one "
    "quasi-random space points would lack dimensions and no longer fill it evenly.",
    advice="Let the scientific hyperparameters have choices with few combinations, so that each "
    "is an arm.",
    section=_ROLES,
)

ONE_QUESTION = Rule(
    name="one_question",
    version=1,
    severity=Severity.NOTICE,
    question="Does the design ask one question?",
    passed_title="One question is asked",
    meaning="A round with several aims spreads its trials thin, and a difference has several "
    "explanations.",
    advice="Ask one question in each experiment; the next one extends it.",
    section="Tuning Playbook, 'Choosing the goal for the next round of experiments'",
)


def roles(design: Design) -> Diagnosis:
    """R1: a comparison has something scientific; what is fixed limits every conclusion."""
    scientific = design.of_role("scientific")
    fixed = design.of_role("fixed")
    caveat = (
        f"What is found holds for the fixed values of {listed(fixed)} only."
        if fixed
        else "Nothing is fixed."
    )
    evidence = {
        "scientific": [parameter.name for parameter in scientific],
        "fixed": [parameter.name for parameter in fixed],
        "compares": design.compares,
    }
    if scientific:
        return ROLES.passes(caveat, evidence)
    if design.compares:
        return ROLES.fires(
            "A comparison without anything scientific",
            f"No hyperparameter is scientific and no arm is named. {caveat}",
            evidence,
            severity=Severity.PROBLEM,
            subject="hyperparameters",
        )
    return ROLES.fires(
        "The search compares nothing", f"It tunes what is there. {caveat}", evidence
    )


def optimizer_roles(design: Design) -> Diagnosis:
    """R2: hyperparameters of the optimizer are nuisance ones, not scientific and not fixed."""
    settings = design.of_part(*OPTIMIZER_PARTS)
    scientific = [setting for setting in settings if setting.role == "scientific"]
    others = [
        parameter for parameter in design.of_role("scientific") if parameter not in scientific
    ]
    fixed = [parameter for parameter in settings if parameter.role == "fixed"]
    rates = [parameter for parameter in fixed if parameter.part is Part.LEARNING_RATE]
    evidence = {
        "scientific": [parameter.name for parameter in scientific],
        "fixed": [parameter.name for parameter in fixed],
        "compared": [other.name for other in others],
    }
    if not settings:
        return OPTIMIZER_ROLES.cannot_tell(
            "No hyperparameter is known as one of the optimizer by its name.", evidence
        )
    if others and len(fixed) == len(settings):
        return OPTIMIZER_ROLES.fires(
            "Unfair comparison: everything of the optimizer is fixed",
            f"{listed(others)} is compared at one setting of {listed(fixed)}.",
            evidence,
            subject=fixed[0].key,
        )
    if others and rates:
        return OPTIMIZER_ROLES.fires(
            "Unfair comparison: the learning rate is fixed",
            f"{listed(others)} is compared at one value of {listed(rates)}.",
            evidence,
            subject=rates[0].key,
        )
    if scientific:
        return OPTIMIZER_ROLES.fires(
            f"{listed(scientific)} is rarely a good question",
            "The best value depends on everything else, so that an answer holds nowhere else.",
            evidence,
            severity=Severity.NOTICE,
            subject=scientific[0].key,
            advice="Make it a nuisance hyperparameter, unless the goal is about it.",
        )
    searched = [parameter for parameter in settings if parameter.role == "nuisance"]
    detail = f"{listed(searched)} is retuned." if searched else "Nothing is compared."
    return OPTIMIZER_ROLES.passes(detail, evidence)


def kinds_and_roles(design: Design) -> Diagnosis:
    """R3: optimizer, presence of a regulariser and architecture are scientific or fixed."""
    tuned = [
        parameter
        for parameter in design.of_role("nuisance")
        if parameter.part in (Part.OPTIMIZER, Part.ARCHITECTURE) or _is_switch(parameter)
    ]
    compared = [
        parameter
        for parameter in design.of_role("scientific")
        if parameter.part is Part.REGULARISER and parameter.values is None
    ]
    evidence = {
        "nuisance": [parameter.name for parameter in tuned],
        "strengths": [parameter.name for parameter in compared],
    }
    if tuned:
        return CHOICES_OF_KIND.fires(
            f"{listed(tuned)} is tuned as a nuisance",
            "Usually it is scientific or fixed.",
            evidence,
            subject=tuned[0].key,
        )
    if compared:
        return CHOICES_OF_KIND.fires(
            f"The strength of {listed(compared)} is scientific",
            "Usually the question is whether a regulariser helps, at its best strength.",
            evidence,
            subject=compared[0].key,
            advice="Compare with and without it, and tune the strength as a nuisance.",
        )
    return CHOICES_OF_KIND.passes("As far as names tell.", evidence)


def fixed_interactions(design: Design) -> Diagnosis:
    """R4: what interacts with something scientific is better searched than fixed.

    With `Design.interactions` of earlier trials by numbers, else as a reminder by names.
    """
    scientific = {parameter.name for parameter in design.of_role("scientific")}
    fixed = [parameter for parameter in design.of_role("fixed") if not parameter.needs]
    measured = {
        parameter.name: max(
            (
                value
                for pair, value in design.interactions.items()
                if parameter.name in pair and scientific.intersection(pair)
            ),
            default=0.0,
        )
        for parameter in fixed
    }
    strong = [parameter for parameter in fixed if measured[parameter.name] >= STRONG_INTERACTION]
    evidence = {
        "scientific": sorted(scientific),
        "fixed": [parameter.name for parameter in strong],
        "shares": [measured[parameter.name] for parameter in strong],
    }
    if strong:
        named = listed(
            f"{parameter.name} ({share(measured[parameter.name])})" for parameter in strong
        )
        return INTERACTIONS.fires(
            f"{listed(strong)} is fixed and interacts with what is compared",
            f"Share of the variance of earlier scores that the pair explains: {named}.",
            evidence,
            severity=Severity.WARNING,
            subject=strong[0].key,
        )
    grows = any(
        parameter.part in (Part.ARCHITECTURE, Part.OPTIMIZER)
        for parameter in design.of_role("scientific")
    )
    regularisers = [
        parameter for parameter in fixed if parameter.part in (Part.WEIGHT_DECAY, Part.REGULARISER)
    ]
    if grows and regularisers:
        return INTERACTIONS.fires(
            f"{listed(regularisers)} is fixed while {listed(sorted(scientific))} varies",
            "No earlier trials say how much they interact; regularisers usually do.",
            {**evidence, "fixed": [regulariser.name for regulariser in regularisers]},
            subject=regularisers[0].key,
        )
    return INTERACTIONS.passes(
        "Judged by earlier trials." if design.interactions else "As far as names tell.", evidence
    )


def conditions_need_arms(design: Design) -> Diagnosis:
    """R5: a conditional hyperparameter is one of its own in every arm; a mixed space has none."""
    scientific = {parameter.name for parameter in design.of_role("scientific")}
    conditional = [
        parameter for parameter in design.parameters if scientific.intersection(parameter.needs)
    ]
    evidence = {
        "conditional": [parameter.name for parameter in conditional],
        "mixed": design.mixed,
    }
    if conditional and design.mixed:
        return CONDITIONS.fires(
            f"{listed(conditional)} exists only sometimes in one mixed space",
            "Its scientific hyperparameters are drawn beside it.",
            evidence,
            subject=conditional[0].key,
        )
    if conditional:
        count = len(design.arms)
        return CONDITIONS.passes(
            f"{listed(conditional)} is kept apart in each of {count} arms.", evidence
        )
    return CONDITIONS.passes("Every hyperparameter exists everywhere.", evidence)


def one_question(design: Design) -> Diagnosis:
    """R8: a round has one goal, and at most one scientific hyperparameter."""
    scientific = design.of_role("scientific")
    questions = design.goal.count("?") + design.goal.count("\uff1f")
    evidence = {"scientific": [parameter.name for parameter in scientific], "questions": questions}
    if not design.goal.strip():
        return ONE_QUESTION.fires(
            "There is no goal",
            "The goal says what is to be learnt.",
            evidence,
            severity=Severity.PROBLEM,
            subject="goal",
        )
    if len(scientific) > 1:
        return ONE_QUESTION.fires(
            f"{len(scientific)} scientific hyperparameters at once",
            f"{listed(scientific)}: {len(design.arms)} studies share the budget."
            if not design.mixed
            else f"{listed(scientific)} are drawn in one space.",
            evidence,
            subject=scientific[1].key,
        )
    if questions > 1:
        return ONE_QUESTION.fires(
            "The goal asks several questions", f"{questions} of them.", evidence, subject="goal"
        )
    return ONE_QUESTION.passes("The goal is written down.", evidence)


def _is_switch(parameter: DesignParameter) -> bool:
    """Test whether it says if a regulariser is there: yes or no, or a name beside none."""
    if parameter.part not in (Part.REGULARISER, Part.WEIGHT_DECAY) or not parameter.choices:
        return False
    return all(isinstance(choice, bool | str) or choice is None for choice in parameter.choices)
