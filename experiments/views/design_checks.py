"""What the rules on designs say of a file, for the form, the experiment's page and its script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.template.loader import render_to_string

from experiments.analysis.design_checks import Check, check_design
from experiments.analysis.diagnosis import Status
from experiments.analysis.interactions import interaction_shares
from experiments.design_description import describe
from experiments.experiment_file import ExperimentFile
from experiments.queries.access import Access
from experiments.queries.experiments import find_experiment
from experiments.queries.exploration import explored


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


def checks_html(checks: DesignChecks | None) -> str:
    """The panel as the page shows it; None while the file cannot run."""
    return render_to_string("experiments/_design_checks.html", {"checks": checks})


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
