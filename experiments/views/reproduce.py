"""The line that runs a trial again, from what its record holds."""

from __future__ import annotations

import json
from typing import Any

from experiments.queries.trial_table import STATE_WORDS
from experiments.reproduce_line import reproduce_line


def line_of(experiment: Any, trial: Any) -> str:
    """Empty for a trial that has no configuration or seed: nothing else could run it again."""
    if trial is None or trial.configuration is None or trial.train_seed is None:
        return ""
    document = json.loads(trial.configuration.document)
    if not document.get("objective"):
        return ""
    ended_early = trial.stopped_early or STATE_WORDS[trial.state] == "pruned"
    return reproduce_line(
        objective=document["objective"],
        params=document.get("parameters", {}),
        train_seed=trial.train_seed,
        split_seed=trial.split_seed or 0,
        search_seed=trial.search_seed,
        metric=experiment.official_metric,
        direction=experiment.direction,
        score=trial.value,
        last_step=trial.latest_step if ended_early else None,
        commit=document.get("commit", ""),
        data=document.get("data"),
    )
