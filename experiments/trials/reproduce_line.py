"""The shell line that runs a trial again, without Verdict's database."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.design.objective_code import ObjectiveCode, PackageCode

_UNKNOWN = ObjectiveCode()
_INSTALLED = "installed-code"  # a folder of its own: no environment is changed
_VERDICTS_OWN = ".venv/bin/python"


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
        "packages": ",".join(each.name for each in code.packages) if code.digest else None,
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
    for each in code.packages:
        if each.distribution:
            commands.append(
                f"{python} -m pip install --quiet --no-deps --target {_INSTALLED} "
                f"{shlex.quote(_requirement(each))}"
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
        _INSTALLED if each.distribution else each.folder
        for each in code.packages
        if each.distribution or each.commit == own  # of another repository nobody knows where
    ]
    return ":".join(dict.fromkeys(folder for folder in found if folder))


def _json(mapping: Mapping[str, Any] | None) -> str | None:
    return json.dumps(dict(mapping), separators=(",", ":")) if mapping else None
