"""All rules on a design by their number in the documentation, and what they say of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from experiments.analysis.design import roles as of_roles
from experiments.analysis.design import search_checks as of_search
from experiments.analysis.design import space_checks as of_space
from experiments.analysis.design.design import Design
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity

DesignRule = Callable[[Design], Diagnosis]

# R14 needs scores of a baseline: `design_checks_search.above_chance`.
DESIGN_RULES: Mapping[str, tuple[Rule, DesignRule]] = {
    "R1": (of_roles.ROLES, of_roles.roles),
    "R2": (of_roles.OPTIMIZER_ROLES, of_roles.optimizer_roles),
    "R3": (of_roles.CHOICES_OF_KIND, of_roles.kinds_and_roles),
    "R4": (of_roles.INTERACTIONS, of_roles.fixed_interactions),
    "R5": (of_roles.CONDITIONS, of_roles.conditions_need_arms),
    "R6": (of_space.UNIFORM, of_space.scientific_values_even),
    "R7": (of_space.ENOUGH_POINTS, of_space.points_for_the_space),
    "R8": (of_roles.ONE_QUESTION, of_roles.one_question),
    "R9": (of_search.EXPLORATION, of_search.explore_first),
    "R10": (of_search.TWICE_THE_BUDGET, of_search.twice_the_budget),
    "R11": (of_space.BATCH_SIZE, of_space.batch_size_not_tuned),
    "R12": (of_space.STEPS, of_space.steps_not_tuned),
    "R13": (of_search.ADAM_BUDGET, of_search.adam_budget),
    "R15": (of_space.GRID, of_space.grid_dimensions),
}


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one rule on a design, under the rule's number."""

    number: str
    diagnosis: Diagnosis


def check_design(design: Design) -> tuple[Check, ...]:
    """Return what every rule says: those that fired first, the gravest first of them."""
    gravity = {Severity.PROBLEM: 0, Severity.WARNING: 1, Severity.NOTICE: 2}
    found = [Check(number, rule(design)) for number, (_, rule) in DESIGN_RULES.items()]
    return tuple(
        sorted(
            found,
            key=lambda check: (
                not check.diagnosis.fired,
                gravity[check.diagnosis.severity] if check.diagnosis.fired else 0,
            ),
        )
    )
