"""What is frozen into a decision at this moment."""

from __future__ import annotations

from typing import Any

from experiments.judgement.evidence import gather


def frozen(experiment: Any, replication: Any) -> dict[str, Any]:
    """Evidence, verdict and repetition as `services.decisions.record` takes them.

    Without a repetition: what the search alone has shown.
    """
    if replication is not None:
        evidence = gather(replication)
        return {
            "evidence": evidence.document(),
            "verdict": evidence.outcome,
            "replication": replication,
        }
    return {
        "evidence": {
            "metric": experiment.official_metric,
            "direction": experiment.direction,
            "goal": experiment.goal,
            "experiment": experiment.name,
            "trials": experiment.trial_count,
            "best_value": experiment.best_value,
            "verdict": None,
        }
    }
