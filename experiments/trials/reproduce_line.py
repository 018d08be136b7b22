"""The shell line that runs a trial again, without Verdict's database."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def reproduce_line(
    *,
    objective: str,
    params: Mapping[str, Any],
    train_seed: int,
    split_seed: int,
    metric: str,
    direction: str,
    score: float | None,
    search_seed: int | None = None,
    last_step: float | None = None,
    folds: int = 0,
    budget: float | None = None,
    early_stopping: Mapping[str, Any] | None = None,
    commit: str = "",
    data: Mapping[str, str] | None = None,
    threads: int | None = 1,
    resumed: Sequence[str] = (),
    lower_budgets: bool = False,
) -> str:
    """A line to paste into a shell in a clone of the repository at `commit`.

    It carries all that the run depends on: objective, parameters, data, seeds. `score` is the
    recorded one (the best evaluation of `metric`), written so that no bit is lost; None when there
    is none. `last_step` is given for runs that did not end by themselves: pruned or stopped ones.
    `folds` is how often the objective runs for one value, 0 when once; `budget` what `run.budget`
    says; `early_stopping` the rule by which each fold ends, for which no single last step stands.
    `resumed` are the steps of the checkpoints from which the recorded run went on, each with the
    suffix of its pass; `lower_budgets`: it built on what was trained on lower ones.
    """
    options: dict[str, object] = {
        "objective": objective,
        # ASCII on purpose: a line is pasted through terminals of any encoding.
        "params": json.dumps(dict(params), separators=(",", ":")),
        "train-seed": train_seed,
        "split-seed": split_seed,
        "search-seed": search_seed,
        "metric": metric,
        "direction": direction,
        "last-step": last_step,
        "folds": folds or None,
        "budget": None if budget is None else repr(budget),
        "early-stopping": _json(early_stopping),
        "threads": threads if threads != 1 else None,
        "commit": commit or None,
        "data": _json(data),
        "resumed": ",".join(resumed) or None,
        "lower-budgets": "built-on" if lower_budgets else None,
        "score": None if score is None else repr(float(score)),
    }
    # One word each: a separate value that begins with "-" would be read as an option.
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return "make setup && .venv/bin/python -m workers.reproduce " + " ".join(
        shlex.quote(word) for word in words
    )


def _json(mapping: Mapping[str, Any] | None) -> str | None:
    return json.dumps(dict(mapping), separators=(",", ":")) if mapping else None
