"""Pages of follow-ups, and the link from an experiment to the one that it extends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from experiments.analysis.space.axis import AxisKind, Edge
from experiments.design.document.experiment_file import ExperimentFile, stored_or_none
from experiments.design.follow_ups import followups
from experiments.design.follow_ups.experiment_changes import Difference, differences
from experiments.design.follow_ups.followups import Proposal
from experiments.design.queries.earlier_trials import (
    EarlierTrial,
    EarlierTrials,
    earlier_trials,
    given_to_samplers,
)
from experiments.design.queries.experiments import find_experiment
from experiments.design.queries.exploration import Exploration, explored
from experiments.design.queries.records import ExperimentRecord
from experiments.errors import InvalidExperiment
from experiments.team.pages.access import in_project, required
from experiments.team.queries.access import Access
from experiments.trials.panels.parts import ExperimentParts

MOST_SHOWN = 20
MAIN = ("extend", "narrow", "exploit", "clone")


@dataclass(frozen=True, slots=True)
class FollowUpRow:
    """A follow-up as its page lists it: with a link, or with the reason why there is none."""

    title: str
    meaning: str
    proposal: Proposal
    link: str
    hyperparameter: str = ""
    edge: str = ""


@dataclass(frozen=True, slots=True)
class Followed:
    """Relation of an experiment to the one that it extends.

    `shown` are the best of the earlier trials inside its space, `given` how many of them its
    samplers were given: those are counted nowhere else.
    """

    older: str
    differences: tuple[Difference, ...]
    earlier: EarlierTrials
    given: int = 0

    @property
    def shown(self) -> tuple[EarlierTrial, ...]:
        """The best of them, each once."""
        return tuple({trial.id: trial for trial in self.earlier.inside}.values())[:MOST_SHOWN]

    @property
    def inside(self) -> int:
        """Number of trials that lie inside; one that fits two arms counts once."""
        return len({trial.id for trial in self.earlier.inside})

    def sentences(self) -> list[str]:
        """The same in words."""
        listed = [str(difference) for difference in self.differences] or [
            f"Nothing differs from {self.older} yet."
        ]
        if self.earlier.complete and not self.earlier.why_none:
            listed.append(
                f"{self.inside} of {self.earlier.complete} complete trials of {self.older} lie "
                "inside this space."
            )
        elif self.earlier.why_none:
            listed.append(f"Its trials are not comparable: {self.earlier.why_none}.")
        return listed


@require_safe
@in_project
def followups_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Follow-ups: proposals, and reasons against them."""
    older = required(find_experiment(access, name))
    file = stored_or_none(older.document)
    context: dict[str, Any] = {"project": access, "section": "experiments", "experiment": older}
    if file is not None:
        seen = explored(older)
        main = [_row(access, older, kind, seen) for kind in MAIN]
        rest = [kind for kind in followups.FOLLOWUPS if kind not in MAIN]
        context |= {
            "main": main,
            "edges": _edges(access, older, seen),
            "remedies": [_row(access, older, kind, seen) for kind in rest],
        }
    return render(request, "experiments/followups.html", context)


def _row(
    access: Access, older: ExperimentRecord, kind: str, seen: Exploration, **more: str
) -> FollowUpRow:
    known = followups.FOLLOWUPS[kind]
    proposal = followups.propose(older, kind, exploration=seen, **more)  # type: ignore[arg-type]
    return FollowUpRow(
        known.title, known.meaning, proposal, link(access, older.name, kind, **more), **more
    )


def _edges(access: Access, older: ExperimentRecord, seen: Exploration) -> list[FollowUpRow]:
    """Every end of every range: how far it could go, or why it cannot."""
    return [
        _row(access, older, "extend", seen, hyperparameter=axis.name, edge=edge.value)
        for axis in seen.axes
        if axis.kind in (AxisKind.CONTINUOUS, AxisKind.INTEGER)
        for edge in Edge
    ]


def link(access: Access, older: str, kind: str, **more: str) -> str:
    """The address of the form with this follow-up filled in."""
    query = urlencode({"extends": older, "follow": kind, **more})
    return f"{reverse('new_experiment', args=[access.slug])}?{query}"


def followed(access: Access, file: ExperimentFile | None) -> Followed | None:
    """Relation of a file to the experiment that it names; None when it names none."""
    older = find_experiment(access, file.extends) if file and file.extends else None
    before = stored_or_none(older.document) if older is not None else None
    if file is None or older is None or before is None:
        return None
    return Followed(older.name, differences(before, file), earlier_trials(older, file))


def followed_by(parts: ExperimentParts) -> Followed | None:
    """The same for the page of an experiment, with what its samplers were given."""
    file, extends = parts.file, parts.experiment.extends_name
    older = find_experiment(parts.access, extends) if extends else None
    before = stored_or_none(older.document) if older is not None else None
    if older is None or file is None or before is None:
        return None
    try:
        earlier = earlier_trials(older, file)
    except InvalidExperiment:
        return None
    given = {key for ids in given_to_samplers(parts.experiment.pk).values() for key in ids}
    return Followed(older.name, differences(before, file), earlier, len(given))
