"""The line that runs a trial again, from what its record holds."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import Any

from experiments.design.document import commands, experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.fidelity import REDUCTION_FACTORS, RUNG_PRUNERS, Fidelity
from experiments.design.queries.experiments import Experiment
from experiments.models.trial_encoding import decode_reports
from experiments.trials.reproduce_line import reproduce_line
from experiments.trials.series.lineage import from_lower_budget, resumptions
from experiments.trials.table.queries.trial_detail import Trial
from experiments.trials.table.queries.trial_table import STATE_WORDS


def line_of(experiment: Experiment, trial: Trial | None) -> str:
    """Empty for a trial that has no configuration or seed: nothing else could run it again."""
    if trial is None or trial.configuration is None or trial.train_seed is None:
        return ""
    document = json.loads(trial.configuration.document)
    if not document.get("objective"):
        return ""
    if commands.name_of(document["objective"]) is not None:
        return _command_line(document, trial)
    params, how = _training(experiment, trial, document.get("parameters", {}))
    return reproduce_line(
        objective=document["objective"],
        params=params,
        train_seed=trial.train_seed,
        split_seed=trial.split_seed or 0,
        search_seed=trial.search_seed,
        metric=experiment.official_metric,
        direction=experiment.direction,
        score=trial.value,
        commit=document.get("commit", ""),
        data=document.get("data"),
        resumed=_resumed(trial.resumed),
        lower_budgets=from_lower_budget(trial.resumed),
        **how,
    )


def _resumed(text: str) -> list[str]:
    """Places at which the run was resumed, in the order of its attempts: `12`, `12[fold=2]`."""
    found = resumptions(text)
    return [f"{found[each].step or 0}{found[each].suffix}" for each in sorted(found)]


def _command_line(document: dict[str, Any], trial: Trial) -> str:
    """A clone at the commit and the program's arguments; empty once no such command is listed."""
    name = commands.name_of(document["objective"])
    template = next((each for each in commands.listed() if each.name == name), None)
    if template is None:
        return ""
    values = {
        **document.get("parameters", {}),
        "train_seed": trial.train_seed,
        "split_seed": trial.split_seed or 0,
        "search_seed": trial.search_seed,
        "budget": None,
        "fold": 0,
        "folds": 0,
        "python": "python",
        "params": json.dumps(document.get("parameters", {})),
    }
    try:
        arguments = shlex.join(template.filled(values))
    except commands.UnsafeValue:
        return ""
    commit = shlex.quote(document.get("commit", ""))
    return (
        f"git clone {shlex.quote(template.address)} training && cd training && "
        f"git checkout --detach {commit} && VERDICT_METRICS=/dev/stdout {arguments}"
    )


def _training(
    experiment: Experiment, trial: Trial, params: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters that were trained with at last, and how: folds, budget, what ended it."""
    file = experiment_file.stored_or_none(experiment.document)
    folds = file.folds if file else 0
    ended_early = trial.stopped_early or STATE_WORDS[trial.state] == "pruned"
    rule = file and file.stopping_rule(experiment.official_metric, experiment.direction)
    how: dict[str, Any] = {
        "folds": folds,
        "last_step": trial.latest_step if ended_early and not folds else None,
        "early_stopping": {
            "metric": rule.metric,
            "maximize": rule.maximize,
            **asdict(rule.patience),
        }
        if rule and folds
        else None,
    }
    if file and file.fidelity:
        budget = _last_budget(file, file.fidelity, trial)
        if budget is None:
            how["budget"] = params.get(file.fidelity.name, file.fidelity.high)
        else:  # trained anew on each budget, and ended by none of its steps
            how |= {"budget": budget, "last_step": None}
            params = {**params, file.fidelity.name: budget}
    return params, how


def _last_budget(file: ExperimentFile, fidelity: Fidelity, trial: Trial) -> float | None:
    """The budget on which a trial that was given up was trained last; None for any other."""
    if (
        STATE_WORDS[trial.state] != "pruned"
        or fidelity.grows_within_a_run
        or file.pruner not in RUNG_PRUNERS
    ):
        return None
    reported = decode_reports(trial.reports)
    factor = file.pruner_options.get("reduction_factor", REDUCTION_FACTORS[file.pruner])
    budgets = {rung.step: rung.budget for rung in fidelity.rungs(factor)}
    return budgets.get(max(reported, default=0))
