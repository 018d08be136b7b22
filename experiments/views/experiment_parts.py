"""What an experiment's page and its live news share: everything read once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.http import HttpRequest

from experiments import experiment_file, metrics
from experiments.catalogue import SAMPLERS
from experiments.errors import InvalidExperiment
from experiments.experiment_file import ExperimentFile
from experiments.grid import MOST_DIMENSIONS
from experiments.metrics import Metric
from experiments.queries import gpu_hours
from experiments.queries.access import Access
from experiments.queries.checklist import checklist
from experiments.queries.decisions import decision_without_seeds
from experiments.queries.experiments import (
    ArmRow,
    Tally,
    arms_of,
    best_trial_name,
    seconds_left,
    tally,
)
from experiments.queries.findings import Findings, findings_of
from experiments.queries.seeds import RepetitionState, repetition_state
from experiments.queries.trial_table import TrialFilter, TrialRow, list_trials
from experiments.queries.waiting import why_waiting
from experiments.refinement import may_refine
from experiments.views.guard import whole_number
from experiments.views.path import Standpoint, next_step, steps

SHOWN_PARAMETERS = 8


@lru_cache(maxsize=64)
def read_file(source: str) -> ExperimentFile | None:
    """The experiment's file; None for an experiment that a program described another way."""
    try:
        return experiment_file.parse(source) if source else None
    except InvalidExperiment:
        return None


@dataclass(frozen=True, slots=True)
class ExperimentParts:
    """An experiment as its pages need it."""

    access: Access
    experiment: Any
    file: ExperimentFile | None
    arms: tuple[ArmRow, ...]
    tally: Tally
    findings: Findings
    repetition: RepetitionState | None
    dropped: int | None

    @property
    def declared(self) -> dict[str, Metric]:
        return declared_of(self.experiment)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the searched hyperparameters, in the file's order."""
        if self.file is None:
            return ()
        searched = {each.name for arm in self.file.arms() for each in arm.searched}
        every = self.file.space.hyperparameters
        return tuple(each.name for each in every if each.name in searched)

    @property
    def standpoint(self) -> Standpoint:
        return Standpoint(
            self.access,
            self.experiment,
            self.file,
            self.tally,
            self.findings,
            self.repetition,
            self.dropped,
        )


def declared_of(experiment: Any) -> dict[str, Metric]:
    """The experiment's declared metrics: of its file, or as programs outside declared them."""
    file = read_file(experiment.source)
    return dict(file.metrics) if file else metrics.from_document(json.loads(experiment.document))


def count_arms(experiment: Any) -> int:
    """How many arms its search has."""
    file = read_file(experiment.source)
    return len(file.arms()) if file else len(arms_of(experiment.pk))


def gather(access: Access, experiment: Any, *, candidate: int = 0) -> ExperimentParts:
    """Read the parts of a page. The number of queries does not depend on the number of trials.

    `candidate`: which of several that are repeated together, from 1; 0 leaves it open.
    """
    arms = arms_of(experiment.pk)
    return ExperimentParts(
        access=access,
        experiment=experiment,
        file=read_file(experiment.source),
        arms=arms,
        tally=tally(experiment.pk),
        findings=findings_of(experiment.pk, len(arms)),
        repetition=repetition_state(experiment.pk, candidate),
        dropped=decision_without_seeds(experiment.pk),
    )


def shared_context(parts: ExperimentParts) -> dict[str, Any]:
    """What the templates of head, facts, path and findings read."""
    experiment = parts.experiment
    sampler = SAMPLERS.get(experiment.sampler)
    return {
        "project": parts.access,
        "section": "experiments",
        "experiment": experiment,
        "arms": parts.arms,
        "tally": parts.tally,
        "findings": parts.findings,
        "checklist": checklist(experiment, parts.findings),
        "steps": steps(parts.standpoint),
        "next": next_step(parts.standpoint),
        "best_name": best_trial_name(experiment, len(parts.arms)),
        "seconds_left": seconds_left(experiment, parts.tally.running),
        "sampler": sampler.title if sampler else experiment.sampler,
        "ended": experiment.state in ("finished", "stopped"),
        "waits": why_waiting(experiment, parts.tally.running),
        "gpu_hours": gpu_hours.of_experiment(experiment.pk) if experiment.gpus else None,
        "gpu_cap": gpu_hours.cap_of(experiment) if experiment.gpus else None,
        "may_add": parts.access.can_edit and parts.file is not None,
        "may_refine": parts.access.can_edit and _refines_at_once(parts),
    }


def _refines_at_once(parts: ExperimentParts) -> bool:
    """Whether a grid over the good region is one press of a button away."""
    if parts.file is None or not may_refine(parts.experiment):
        return False
    return max(len(arm.searched) for arm in parts.file.arms()) <= MOST_DIMENSIONS


def table_context(parts: ExperimentParts, request: HttpRequest) -> dict[str, Any]:
    """The table of trials as the address asks for it."""
    wanted = TrialFilter(
        state=request.GET.get("state", ""),
        arm=request.GET.get("arm", ""),
        order=request.GET.get("order", "score"),
        descending=request.GET.get("down") == "1",
        page=whole_number(request.GET.get("page")),
    )
    page = list_trials(
        parts.experiment.pk,
        parts.arms,
        wanted,
        direction=parts.experiment.direction,
        parameters=parts.parameters,
    )
    names = parts.parameters or _names_in(page.rows)
    every = request.GET.get("columns") == "all"
    return {
        "page": page,
        "wanted": wanted,
        "columns": names if every else names[:SHOWN_PARAMETERS],
        "hidden_columns": 0 if every else max(0, len(names) - SHOWN_PARAMETERS),
        "shows_arms": len(parts.arms) > 1,
        "trial_states": ("running", "complete", "pruned", "failed", "waiting"),
    }


def _names_in(rows: Any) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for row in rows:
        if isinstance(row, TrialRow):
            found.update(dict.fromkeys(row.parameters))
    return tuple(found)
