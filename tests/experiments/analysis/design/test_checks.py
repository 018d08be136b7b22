from __future__ import annotations

from experiments.analysis.design.checks import DESIGN_RULES, check_design
from experiments.analysis.design.search_checks import ABOVE_CHANCE
from experiments.analysis.diagnosis import Severity
from tests.experiments.analysis.design.designs import DROPOUT, SMOOTHING, choice, design, parameter


def test_a_sound_design_passes_every_rule() -> None:
    assert [check.number for check in check_design(design()) if check.diagnosis.fired] == []


def test_every_rule_is_asked_and_gives_its_reason_and_its_section() -> None:
    assert list(DESIGN_RULES) == [f"R{number}" for number in range(1, 16) if number != 14]
    rules = [rule for rule, _ in DESIGN_RULES.values()] + [ABOVE_CHANCE]
    assert len({rule.name for rule in rules}) == 15
    for rule in rules:
        assert rule.section.startswith("Tuning Playbook, '")
        assert rule.meaning.endswith(".") and rule.advice.endswith(".")


def test_the_gravest_stand_first_and_refusals_are_told_apart() -> None:
    unsound = design(
        parameter("learning_rate", "fixed"),
        choice("batch_size", "nuisance", 16, 64),
        DROPOUT,
        compares=True,
        sampler="random",
    )
    found = check_design(unsound)
    fired = [check for check in found if check.diagnosis.fired]
    gravity = [check.diagnosis.severity for check in fired]
    assert gravity == sorted(gravity, key=[*Severity][::-1].index)
    problems = [check for check in fired if check.diagnosis.severity is Severity.PROBLEM]
    assert [check.number for check in problems] == ["R1"]
    assert {check.number for check in fired} == {"R1", "R9", "R11"}
    assert {check.number for check in found} == set(DESIGN_RULES)


def test_a_design_without_studies_is_answered_too() -> None:
    assert check_design(design(SMOOTHING, arms=()))
