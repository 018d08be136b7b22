from __future__ import annotations

import numpy as np

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Severity, Status
from experiments.analysis.space.axis import Axis
from experiments.analysis.space.boundary import BOUNDARY
from experiments.analysis.space.phase import ready_to_exploit

MIN = Direction.MINIMIZE
UNIT = np.linspace(0, 1, 30)


def inside(best: float = 0.5, **other: object) -> Axis:
    return Axis("x", UNIT, (UNIT - best) ** 2, np.ones(30, bool), **other)  # type: ignore[arg-type]


def test_a_best_trial_well_inside_and_no_warning_open_the_next_phase() -> None:
    found = ready_to_exploit([BOUNDARY.passes("", {})], [inside()], MIN)
    assert found.status is Status.PASSED


def test_an_open_warning_keeps_the_experiment_exploring() -> None:
    found = ready_to_exploit([BOUNDARY.fires("", "", {})], [inside()], MIN)
    assert found.fired
    assert found.evidence["open"] == ["boundary"]


def test_a_notice_does_not() -> None:
    notice = BOUNDARY.fires("", "", {}, severity=Severity.NOTICE)
    assert ready_to_exploit([notice], [inside()], MIN).status is Status.PASSED


def test_a_best_trial_in_the_outer_tenth_keeps_exploring_unless_that_limit_is_natural() -> None:
    assert ready_to_exploit([], [inside(0.0)], MIN).evidence["near_edge"] == ["x"]
    natural = inside(0.0, natural=frozenset({"low"}))
    assert ready_to_exploit([], [natural], MIN).status is Status.PASSED


def test_twenty_feasible_trials_are_needed() -> None:
    few = Axis("x", UNIT[:19], UNIT[:19], np.ones(19, bool))
    assert ready_to_exploit([], [few], MIN).status is Status.NOT_CHECKABLE
    assert ready_to_exploit([], [], MIN).status is Status.NOT_CHECKABLE
