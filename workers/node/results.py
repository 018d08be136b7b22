"""Trial state, values and facts from the outcome of training."""

from __future__ import annotations

from typing import Any

from optuna.trial import TrialState

from workers.training.messages import Outcome


def state_and_values(
    outcome: Outcome, *, has_fidelity: bool = False
) -> tuple[TrialState, list[float] | None]:
    """Optuna's state and values. A stopped run counts as complete with its score so far.

    With budgets it counts as pruned: its score is of a smaller budget.
    """
    value = outcome.score.value
    if outcome.state == "pruned" or (outcome.state == "stopped" and has_fidelity):
        return TrialState.PRUNED, None if value is None else [value]
    if outcome.state in ("complete", "stopped") and value is not None:
        return TrialState.COMPLETE, [value]
    return TrialState.FAIL, None


def facts(outcome: Outcome) -> dict[str, Any]:
    """Further columns of the trial's record."""
    kinds = {
        "failed": "exception",
        "infeasible": "infeasible",
        "killed": "cancelled",
    }
    kind = kinds.get(outcome.state, "")
    if outcome.state == "stopped" and outcome.score.value is None:
        kind = "cancelled"
    return {
        "failure_kind": kind,
        "failure_reason": outcome.reason,
        "traceback": outcome.traceback,
        "best_step": outcome.score.best_step,
        "evaluations": outcome.score.evaluations,
        "seconds": outcome.seconds,
        "peak_memory_mb": outcome.peak_memory_mb,
        "read_split_seed": outcome.read_split_seed,
        "stopped_early": outcome.stopped_early or outcome.state == "stopped",
    }
