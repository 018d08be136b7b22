"""Plan of a batch-size measurement: an experiment's function at one point of its space."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from experiments.design.document import commands, experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.objectives import refusal
from experiments.design.space.search_space import Arm
from experiments.errors import Problem, VerdictError

LARGEST = 2**20
MOST_STEPS = 1000
_NAME = re.compile(r"\w[\w. /-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """Sizes from `first`, doubled up to `largest`; at each so many `steps` are timed.

    `parameter` is what the training function calls its batch size.
    """

    parameter: str = "batch_size"
    first: int = 8
    largest: int = LARGEST
    steps: int = 20

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def plan(document: str, wanted: ProbePlan) -> dict[str, Any]:
    """The other parameters: the first known-good configuration, else the middle of the space.

    `document` is the experiment's.

    Raises:
        VerdictError: for a plan with a field that is wrong, or a function that cannot be timed
            or that the operator does not allow.
    """
    problems = _problems(wanted)
    if problems:
        raise VerdictError("The batch sizes cannot be measured like this.", problems)
    file = experiment_file.stored_or_none(document)
    if file is None:
        raise VerdictError("An external program runs this experiment; no function can be timed.")
    return parameters_of(file, wanted.parameter)


def parameters_of(file: ExperimentFile, parameter: str) -> dict[str, Any]:
    """As `plan`, for a file and without its batch size."""
    if commands.name_of(file.objective) is not None:
        raise VerdictError("A command line's steps cannot be timed; name a Python function.")
    if refused := refusal(file.objective, settings.OBJECTIVES):
        raise VerdictError(f"objective: {refused}.")
    arm = file.arms()[0]
    known: Mapping[str, Any] = dict(file.first[0]) if file.first else {}
    parameters = arm.complete({**_middle(arm), **known})
    return {name: value for name, value in parameters.items() if name != parameter}


def _problems(wanted: ProbePlan) -> list[Problem]:
    problems = []
    if not _NAME.fullmatch(wanted.parameter):
        problems.append(Problem("parameter", "expected the name of the function's batch size"))
    if not 1 <= wanted.first <= LARGEST:
        problems.append(Problem("first", f"expected 1 to {LARGEST}"))
    if not wanted.first <= wanted.largest <= LARGEST:
        problems.append(Problem("largest", f"expected the first size to {LARGEST}"))
    if not 3 <= wanted.steps <= MOST_STEPS:
        problems.append(Problem("steps", f"expected 3 to {MOST_STEPS}"))
    return problems


def _middle(arm: Arm) -> dict[str, Any]:
    """A plain point of the space: the middle of its unit cube."""
    return dict(arm.from_unit([0.5] * len(arm.searched)))
