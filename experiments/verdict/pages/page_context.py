"""Template context shared by an experiment's pages."""

from __future__ import annotations

from typing import Any

from experiments.design.catalogue import SAMPLERS
from experiments.design.document.grid import MOST_DIMENSIONS
from experiments.design.follow_ups.refinement import may_refine
from experiments.design.queries.experiments import best_trial_name
from experiments.design.queries.time_left import search_time_left
from experiments.trials.findings.queries.checklist import checklist
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.queries.failures import search_failure
from experiments.trials.lifecycle.queries.waiting import why_waiting
from experiments.trials.panels.edge_probing import edge_probing
from experiments.trials.panels.parts import ExperimentParts
from experiments.verdict.pages.path import (
    decided_choice,
    first_look,
    next_step,
    state_words,
    steps,
)
from experiments.verdict.panels.path_context import PathContext


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
        "code_versions": experiment.code_versions,
        "tally": parts.tally,
        "findings": parts.findings,
        "probing": edge_probing(parts),
        "checklist": checklist(experiment, parts.findings),
        "steps": steps(parts, look),
        "next": next_step(parts, look, waits),
        "standing": state_words(parts, waits),
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
