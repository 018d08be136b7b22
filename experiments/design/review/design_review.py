"""What the rules on designs say of a file before it runs, and what forbids it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.analysis.design.checks import Check, check_design
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.interactions import interaction_shares
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.follow_ups import followups
from experiments.design.queries.experiment_names import is_taken
from experiments.design.queries.experiments import find_experiment
from experiments.design.queries.exploration import explored
from experiments.design.review.design_description import describe
from experiments.errors import InvalidExperiment, Problem
from experiments.team.queries.access import Access


@dataclass(frozen=True, slots=True)
class DesignChecks:
    """The checks of a design by how they came out, each gravest first."""

    fired: tuple[Check, ...] = ()
    passed: tuple[Check, ...] = ()
    untold: tuple[Check, ...] = ()

    @property
    def summary(self) -> str:
        """How many rules had something to say."""
        count = len(self.fired)
        return f"{count or 'nothing'} to consider, {len(self.passed)} passed"


def design_checks(
    file: ExperimentFile, access: Access, official: str = "", *, settled: bool = True
) -> DesignChecks:
    """What the rules say; `official` is the experiment's metric, the project's by default.

    settled: whether the search that the file extends leaves nothing open about its space. So it
    is with whatever was created: an adaptive search may not extend another one.
    """
    older = find_experiment(access, file.extends) if file.extends else None
    design = describe(
        file,
        official=official or access.official_metric,
        ready_to_exploit=settled if file.extends else None,
        interactions=interaction_shares(explored(older).axes) if older else None,
    )
    return _sorted(check_design(design))


def _sorted(checks: Sequence[Check]) -> DesignChecks:
    def of(status: Status) -> tuple[Check, ...]:
        return tuple(each for each in checks if each.diagnosis.status is status)

    return DesignChecks(of(Status.FIRED), of(Status.PASSED), of(Status.NOT_CHECKABLE))


def checks_as_data(checks: DesignChecks) -> list[dict[str, str]]:
    """The rules that fired, for whoever marks the rows that they speak of."""
    return [
        {
            "rule": each.number,
            "severity": str(each.diagnosis.severity),
            "where": each.diagnosis.subject,
            "title": each.diagnosis.title,
        }
        for each in checks.fired
    ]


def forbidden(access: Access, file: ExperimentFile) -> list[Problem]:
    """What keeps a file from following the experiment that it names."""
    if not file.extends:
        return []
    older: Any = find_experiment(access, file.extends)
    if older is None:
        return [Problem("extends", f"found {file.extends}, no experiment of {access.slug}")]
    return followups.against_older(older, file)


def check_project(file: ExperimentFile, access: Access) -> None:
    """Pass when the file belongs to this project.

    Raises:
        InvalidExperiment: when it names another.
    """
    if file.project != access.slug:
        wrong = Problem("project", f"found {file.project}, but this page belongs to {access.slug}")
        raise InvalidExperiment("The file names another project.", [wrong])


def taken_name(access: Access, name: str) -> list[Problem]:
    """The problem of a name that the project has given away already."""
    if name and is_taken(access, name):
        return [Problem("experiment", f"{name} is taken in this project; choose another name")]
    return []


def design_words(file: ExperimentFile) -> list[str]:
    """What the file asks for, in sentences."""
    arms = file.arms()
    searched = sorted({len(arm.searched) for arm in arms})
    dimensions = " to ".join(str(count) for count in dict.fromkeys((searched[0], searched[-1])))
    total = sum(file.budget_of(arm) for arm in arms)
    found = [
        f"{len(arms)} {'arm' if len(arms) == 1 else 'arms'} of {file.trials} trials, "
        f"{total} in all, {file.parallel} at once.",
        f"{dimensions} searched {'dimension' if dimensions == '1' else 'dimensions'} in each arm.",
    ]
    fixed = [each.name for each in file.space.of_role("fixed")]
    if fixed:
        found.append(f"What is found holds for the fixed values of {', '.join(fixed)} only.")
    return found
