"""The line that runs a trial again, from what its record holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from experiments.design.document import commands, experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.fidelity import REDUCTION_FACTORS, RUNG_PRUNERS, Fidelity
from experiments.design.objective_code import ObjectiveCode, PackageCode, recorded_code
from experiments.design.queries.records import AnyExperiment, AnyTrial
from experiments.models import Artifact
from experiments.models.trial_encoding import decode_reports
from experiments.trials.reproduce_line import reproduce_line
from experiments.trials.series.lineage import from_lower_budget, resumptions
from experiments.trials.table.queries.trial_table import STATE_WORDS


def line_of(experiment: AnyExperiment, trial: AnyTrial | None) -> str:
    """Empty for a trial that has no configuration or seed: nothing else could run it again."""
    if trial is None or trial.configuration is None or trial.train_seed is None:
        return ""
    document = json.loads(trial.configuration.document)
    if not document.get("objective"):
        return ""
    environment = json.loads(trial.environment.document) if trial.environment else {}
    runs = _what_runs(document, environment, trial)
    if runs is None:
        return ""
    params, how = _training(experiment, trial, document.get("parameters", {}))
    return reproduce_line(
        **runs,
        interpreter=environment.get("interpreter", ""),
        params=params,
        train_seed=trial.train_seed,
        split_seed=trial.split_seed or 0,
        search_seed=trial.search_seed,
        metric=experiment.official_metric,
        direction=experiment.direction,
        score=trial.value,
        data=document.get("data"),
        resumed=_resumed(trial.resumed),
        lower_budgets=from_lower_budget(trial.resumed),
        **how,
    )


def _resumed(text: str) -> list[str]:
    """Places at which the run was resumed, in the order of its attempts: `12`, `12[fold=2]`."""
    found = resumptions(text)
    return [f"{found[each].step or 0}{found[each].suffix}" for each in sorted(found)]


def _what_runs(
    document: dict[str, Any], environment: dict[str, Any], trial: AnyTrial
) -> dict[str, Any] | None:
    """Objective or command with its code; None for a command that is listed no more."""
    objective, commit = document["objective"], document.get("commit", "").removesuffix("-dirty")
    name = commands.name_of(objective)
    if name is None:
        code = recorded_code(environment)
        if not code.packages:  # of an earlier version, which noted Verdict's own commit
            top = objective.partition(".")[0]
            code = ObjectiveCode(
                packages=(PackageCode(top, commit=commit if top == "workers" else ""),)
            )
        return {"objective": objective, "code": code, "diff": _diff(trial)}
    template = next((each for each in commands.listed() if each.name == name), None)
    if template is None:
        return None
    program = PackageCode(name, commit=commit, remote=template.address)
    return {"command": template.arguments, "code": ObjectiveCode(packages=(program,))}


def _diff(trial: AnyTrial) -> str:
    """Name of the file with what of its code was not committed; "" where all was."""
    diffs = Artifact.objects.filter(trial=trial.pk, kind="diff", attempt=trial.attempt)
    return diffs.values_list("name", flat=True).first() or ""


def _training(
    experiment: AnyExperiment, trial: AnyTrial, params: dict[str, Any]
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


def _last_budget(file: ExperimentFile, fidelity: Fidelity, trial: AnyTrial) -> float | None:
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
