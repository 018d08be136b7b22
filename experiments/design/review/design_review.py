"""Review of an experiment file before it runs: design checks, and reasons to refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from experiments.analysis.design.checks import Check, check_design
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.interactions import interaction_shares
from experiments.design.document import commands, experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.file_fields import is_unfinished
from experiments.design.document.objectives import refusal
from experiments.design.follow_ups import followups
from experiments.design.queries.experiments import find_experiment
from experiments.design.queries.exploration import explored
from experiments.design.review.design_description import describe
from experiments.errors import InvalidExperiment, Problem
from experiments.models import Experiment
from experiments.team.queries.access import Access


@dataclass(frozen=True, slots=True)
class DesignChecks:
    """The checks of a design by how they came out, each gravest first."""

    fired: tuple[Check, ...] = ()
    passed: tuple[Check, ...] = ()
    untold: tuple[Check, ...] = ()

    @property
    def summary(self) -> str:
        """Number of rules that fired, in words."""
        count = len(self.fired)
        return f"{count or 'nothing'} to consider, {len(self.passed)} passed"


def design_checks(
    file: ExperimentFile, access: Access, official: str = "", *, settled: bool = True
) -> DesignChecks:
    """Findings of the design rules; `official`: the experiment's metric, by default the project's.

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
        return tuple(check for check in checks if check.diagnosis.status is status)

    return DesignChecks(of(Status.FIRED), of(Status.PASSED), of(Status.NOT_CHECKABLE))


@dataclass(frozen=True, slots=True)
class Consideration:
    """A design rule that fired; `where`: the row that it speaks of."""

    rule: str
    severity: str
    where: str
    title: str


def considerations(checks: DesignChecks) -> tuple[Consideration, ...]:
    """The rules that fired, for whoever marks the rows that they speak of."""
    return tuple(
        Consideration(check.number, str(seen.severity), seen.subject, seen.title)
        for check in checks.fired
        for seen in (check.diagnosis,)
    )


@dataclass(frozen=True, slots=True)
class Review:
    """A file before it runs: what is wrong with it, what the rules say, what it would run."""

    file: ExperimentFile | None = None
    error: str = ""
    problems: tuple[Problem, ...] = ()
    checks: DesignChecks | None = None
    design: tuple[str, ...] = ()
    unfinished: bool = False  # nothing is wrong, and something is still to be filled in


def review(text: str, access: Access) -> Review:
    """Everything that would keep the file from being created in this project, and its design."""
    try:
        file = experiment_file.parse(text)
        check_project(file, access.slug)
    except InvalidExperiment as wrong:
        return Review(
            error=wrong.message,
            problems=wrong.problems,
            unfinished=bool(wrong.problems) and all(map(is_unfinished, wrong.problems)),
        )
    follows = forbidden(file, access)
    problems = (*misfits(file, access), *follows, *taken_name(access, file.name))
    # A design can be judged before its name is free.
    checks = design_checks(file, access, settled=not follows)
    if problems:
        return Review(file, "The file cannot run like this.", problems, checks)
    return Review(file, checks=checks, design=tuple(design_words(file)))


def check_project(file: ExperimentFile, slug: str) -> None:
    """Pass when the file belongs to this project.

    Raises:
        InvalidExperiment: when it names another.
    """
    if file.project != slug:
        wrong = Problem("project", f"must be {slug} here (found {file.project})")
        raise InvalidExperiment("The file names another project.", [wrong])


def misfits(file: ExperimentFile, access: Access) -> list[Problem]:
    """Conflicts of a file with what the operator allows and what the project measures."""
    problems = []
    if commands.name_of(file.objective) is not None:
        wrong = commands.problem_of(file.objective, [arm.runs.commit for arm in file.arms()])
        problems += [Problem(*wrong)] if wrong else []
    elif refused := refusal(file.objective, settings.OBJECTIVES):
        problems.append(Problem("objective", refused))
    official = access.official_metric
    if file.official and file.official != official:
        message = f"the project's official metric is {official}"
        problems.append(Problem(f"metrics.{file.official}.official", message))
    declared = file.metrics.get(official)
    if declared and declared.official and declared.direction != access.direction:
        message = f"the project says {access.direction}"
        problems.append(Problem(f"metrics.{official}.direction", message))
    return problems


def forbidden(file: ExperimentFile, access: Access) -> list[Problem]:
    """Reasons why a file may not follow the experiment that it names."""
    if not file.extends:
        return []
    older = find_experiment(access, file.extends)
    if older is None:
        return [Problem("extends", f"there is no experiment {file.extends} in {access.slug}")]
    return followups.against_older(older, file)


def taken_name(access: Access, name: str) -> list[Problem]:
    """The problem of a name that the project has given away already."""
    if name and Experiment.objects.filter(project_id=access.project_id, name=name).exists():
        return [Problem("experiment", f"{name} is taken in this project; choose another name")]
    return []


def design_words(file: ExperimentFile) -> list[str]:
    """Summary of a file in sentences."""
    arms = file.arms()
    searched = sorted({len(arm.searched) for arm in arms})
    dimensions = " to ".join(str(count) for count in dict.fromkeys((searched[0], searched[-1])))
    total = sum(file.budget_of(arm) for arm in arms)
    found = [
        f"{len(arms)} {'arm' if len(arms) == 1 else 'arms'} of {file.trials} trials, "
        f"{total} in all, {file.parallel} at once.",
        f"{dimensions} searched {'dimension' if dimensions == '1' else 'dimensions'} in each arm.",
    ]
    fixed = [hyperparameter.name for hyperparameter in file.space.of_role("fixed")]
    if fixed:
        found.append(f"What is found holds for the fixed values of {', '.join(fixed)} only.")
    return found
