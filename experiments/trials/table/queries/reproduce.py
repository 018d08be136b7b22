"""The shell line that runs a trial again, without Verdict's database."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from experiments.design.document import commands, experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.fidelity import REDUCTION_FACTORS, RUNG_PRUNERS, Fidelity
from experiments.design.objective_code import ObjectiveCode, PackageCode, recorded_code
from experiments.design.queries.records import AnyExperiment, AnyTrial
from experiments.models import Artifact
from experiments.models.trial_encoding import decode_reports
from experiments.trials.series.lineage import from_lower_budget, resumptions
from experiments.trials.table.queries.trial_table import STATE_WORDS

_UNKNOWN = ObjectiveCode()
_INSTALLED = "installed-code"  # a folder of its own: no environment is changed
_VERDICTS_OWN = ".venv/bin/python"


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
    return [f"{found[attempt].step or 0}{found[attempt].suffix}" for attempt in sorted(found)]


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
    template = next((command for command in commands.listed() if command.name == name), None)
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


def reproduce_line(
    *,
    objective: str = "",
    command: Sequence[str] = (),
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
    code: ObjectiveCode = _UNKNOWN,
    diff: str = "",
    interpreter: str = "",
    data: Mapping[str, str] | None = None,
    threads: int | None = 1,
    resumed: Sequence[str] = (),
    lower_budgets: bool = False,
) -> str:
    """A line to paste into a shell in a clone of the objective's repository.

    It carries all that the run depends on: the commit to check out, the folder that packages are
    imported from, objective (or the arguments of a `command`), parameters, data, seeds. `diff` is
    the name of the file with what was not committed, `interpreter` the Python that ran it, which
    needs Verdict installed. `score` is the
    recorded one (the best evaluation of `metric`), written so that no bit is lost; None when there
    is none. `last_step` is given for runs that did not end by themselves: pruned or stopped ones.
    `folds` is how often the objective runs for one value, 0 when once; `budget` what `run.budget`
    says; `early_stopping` the rule by which each fold ends, for which no single last step stands.
    `resumed` are the steps of the checkpoints from which the recorded run went on, each with the
    suffix of its pass; `lower_budgets`: it built on what was trained on lower ones.
    """
    options: dict[str, object] = {
        "path": _folders(code) or None,
        "objective": objective or None,
        "command": json.dumps(list(command), separators=(",", ":")) if command else None,
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
        "packages": ",".join(package.name for package in code.packages) if code.digest else None,
        "code": code.digest or None,
        "data": _json(data),
        "resumed": ",".join(resumed) or None,
        "lower-budgets": "built-on" if lower_budgets else None,
        "score": None if score is None else repr(float(score)),
    }
    # One word each: a separate value that begins with "-" would be read as an option.
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    run = " ".join(shlex.quote(word) for word in words)
    python = _VERDICTS_OWN if _is_verdicts(code) else shlex.quote(interpreter or "python")
    return " && ".join([*_preparation(code, diff, python), f"{python} -m workers.reproduce {run}"])


def _is_verdicts(code: ObjectiveCode) -> bool:
    """Test for a problem that Verdict brings, whose repository has an environment."""
    return bool(code.packages) and code.packages[0].name == "workers"


def _preparation(code: ObjectiveCode, diff: str, python: str) -> list[str]:
    """Commands that bring the code: a checkout with what was not committed, or installations."""
    commands = []
    own = code.packages[0] if code.packages else PackageCode("")
    if own.commit and not own.distribution:
        commands.append(f"git checkout --detach {shlex.quote(own.commit)}")
    if diff:
        commands.append(f"git apply {shlex.quote(diff)}")
    if _is_verdicts(code):
        commands.append("make setup")
    for package in code.packages:
        if package.distribution:
            commands.append(
                f"{python} -m pip install --quiet --no-deps --target {_INSTALLED} "
                f"{shlex.quote(_requirement(package))}"
            )
    return commands


def _requirement(package: PackageCode) -> str:
    """As pip takes it: the recorded origin where there is one (PEP 610), else the version."""
    if not package.origin:
        return f"{package.distribution}=={package.version}"
    version_control = f"git+{package.origin}@{package.commit}" if package.commit else ""
    return f"{package.distribution} @ {version_control or package.origin}"


def _folders(code: ObjectiveCode) -> str:
    """Folders that packages are imported from, relative to the clone."""
    own = code.packages[0].commit if code.packages else ""
    found = [
        _INSTALLED if package.distribution else package.folder
        for package in code.packages
        if package.distribution
        or package.commit == own  # of another repository nobody knows where
    ]
    return ":".join(dict.fromkeys(folder for folder in found if folder))


def _json(mapping: Mapping[str, Any] | None) -> str | None:
    return json.dumps(dict(mapping), separators=(",", ":")) if mapping else None
