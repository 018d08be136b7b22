"""Template context shared by an experiment's pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest

from experiments.design.catalogue import SAMPLERS
from experiments.design.document.grid import MOST_DIMENSIONS
from experiments.design.follow_ups.refinement import may_refine
from experiments.design.queries.experiments import best_trial_name
from experiments.design.queries.time_left import search_time_left
from experiments.team.pages.access import whole_number
from experiments.trials.findings.queries.checklist import checklist
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.queries.failures import search_failure
from experiments.trials.lifecycle.queries.waiting import why_waiting
from experiments.trials.panels.curve_panel import MOST_PICKED
from experiments.trials.panels.edge_probing import edge_probing
from experiments.trials.panels.parts import ExperimentParts
from experiments.trials.table.queries.trial_table import TrialFilter, TrialRow, list_trials
from experiments.verdict.pages.path import decided_choice, first_look, next_step, standing, steps
from experiments.verdict.panels.path_context import PathContext
from experiments.web.pagination import PageOf

SHOWN_PARAMETERS = 8
SHOWN_ROWS = 10


def shared_context(parts: PathContext) -> dict[str, Any]:
    """Context of the templates of head, facts, path and findings."""
    experiment = parts.experiment
    sampler = SAMPLERS.get(experiment.sampler)
    waits = why_waiting(experiment, parts.tally.running)
    look = first_look(parts)
    return {
        "project": parts.access,
        "section": "experiments",
        "experiment": experiment,
        "arms": parts.arms,
        "tally": parts.tally,
        "findings": parts.findings,
        "probing": edge_probing(parts),
        "checklist": checklist(experiment, parts.findings),
        "steps": steps(parts, look),
        "next": next_step(parts, look, waits),
        "standing": standing(parts, waits),
        "choice": decided_choice(parts),
        "decision": parts.decision,
        "failure": search_failure(experiment),
        "best_name": best_trial_name(experiment, len(parts.arms)),
        "time_left": search_time_left(experiment, parts.tally.running),
        "sampler": sampler.title if sampler else experiment.sampler,
        "ended": experiment.state in ("finished", "stopped"),
        "gpu_hours": gpu_hours.of_experiment(experiment.pk) if experiment.gpus else None,
        "gpu_cap": gpu_hours.cap_of(experiment) if experiment.gpus else None,
        "may_add": parts.access.can_edit and parts.file is not None,
        "may_refine": parts.access.can_edit and _refines_at_once(parts),
    }


def _refines_at_once(parts: ExperimentParts) -> bool:
    """Test whether a grid over the good region is one press of a button away."""
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
        page=PageOf(whole_number(request.GET.get("page")), SHOWN_ROWS),
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
        "code_versions": parts.experiment.code_versions,
        "most_picked": MOST_PICKED,
        "trial_states": ("running", "complete", "pruned", "failed", "waiting"),
    }


def _names_in(rows: Sequence[TrialRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows for name in row.parameters))
