"""Subcommands of `manage.py experiment` for experiments that run."""

from __future__ import annotations

import argparse
from typing import Any, Literal

from experiments.design.trial_names import parse_trial_name
from experiments.errors import NotFound, Problem, VerdictError
from experiments.management.acting_person import person
from experiments.models import Experiment, Trial
from experiments.team.queries.access import Access, get_project
from experiments.trials.lifecycle.queries import progress
from experiments.trials.lifecycle.services import added_trials, control, experiments
from experiments.trials.table.queries.trial_detail import find_trial

ACTIONS = {
    "pause": "start no new trials",
    "resume": "go on after a pause",
    "stop": "end its search: running trials end at their next evaluation",
    "cancel": "end single trials now",
    "retry": "queue failed trials again, with the same parameters and seeds",
    "set": "change trials at a time, priority, budget or the cap on GPU hours",
}


def add_to(actions: Any) -> None:
    """Add a parser for each action; `actions` is what `add_subparsers` returned."""
    for name, text in ACTIONS.items():
        parser = actions.add_parser(name, help=text)
        parser.add_argument("experiment", help="PROJECT/NAME")
        if name == "pause":
            parser.add_argument(
                "--hand-back", action="store_true", help="give running trials back to the queue"
            )
        if name == "cancel":
            parser.add_argument("trials", nargs="+", metavar="TRIAL", help="such as 17 or B17")
        if name == "retry":
            parser.add_argument(
                "trials",
                nargs="*",
                metavar="TRIAL",
                help="default: all that raised an exception or were lost",
            )
        if name == "set":
            _add_limits(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parallel", type=int, help="trials at a time")
    parser.add_argument("--priority", type=int, help="the higher one goes first")
    parser.add_argument("--trials", type=int, help="trials of each arm")
    parser.add_argument("--gpu-hours", help="start no new trials beyond them; none: no cap")


def act(options: dict[str, Any]) -> str:
    """Do what the command line asks; what to say about it.

    Raises:
        VerdictError: when it cannot be done.
    """
    experiment = progress.find(options["experiment"])
    access = get_project(person(options["user"]), experiment.project.slug)
    name = options["experiment"]
    match options["action"]:
        case "pause":
            control.pause(access=access, experiment=experiment, hand_back=options["hand_back"])
            then = "are handed back" if options["hand_back"] else "go on"
            return f"{name} is paused; running trials {then}."
        case "resume":
            control.resume(access=access, experiment=experiment)
            return f"{name} goes on."
        case "stop":
            experiments.stop(access=access, experiment=experiment)
            return f"{name} ends; running trials stop at their next step."
        case "cancel":
            found = [_trial(experiment, each) for each in options["trials"]]
            for trial in found:
                control.cancel(access=access, trial=trial)
            return f"{_counted(len(found))} of {name} cancelled."
        case "retry":
            return f"{_counted(_retry(access, experiment, options['trials']))} of {name} queued."
    return f"{name}: {_set(access, experiment, options)}."


def _retry(access: Access, experiment: Experiment, names: list[str]) -> int:
    if not names:
        return control.retry_failed(access=access, experiment=experiment)
    for trial in [_trial(experiment, name) for name in names]:
        added_trials.retry(access=access, trial=trial)
    return len(names)


def _set(access: Access, experiment: Experiment, options: dict[str, Any]) -> str:
    wanted = {key: options[key] for key in ("parallel", "priority") if options[key] is not None}
    cap = _cap(options["gpu_hours"])
    if not wanted and cap == "keep" and options["trials"] is None:
        raise VerdictError("Say what to set: --parallel, --priority, --trials or --gpu-hours.")
    control.change(access=access, experiment=experiment, **wanted, gpu_hours=cap)
    if options["trials"] is not None:
        control.set_budget(access=access, experiment=experiment, per_arm=options["trials"])
        wanted["trials of each arm"] = options["trials"]
    if cap != "keep":
        wanted["GPU hours"] = "no cap" if cap is None else cap
    return ", ".join(f"{key} {value}" for key, value in wanted.items())


def _cap(text: str | None) -> float | Literal["keep"] | None:
    if text is None:
        return "keep"
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        problem = Problem("gpu-hours", f"found {text}, want a number or none")
        raise VerdictError("This cannot be changed so.", [problem]) from None


def _trial(experiment: Experiment, name: str) -> Trial:
    reference = parse_trial_name(name)
    found = find_trial(experiment, reference) if reference else None
    if found is None:
        raise NotFound(f"{experiment.name} has no trial {name}; want a name such as 17 or B17.")
    return found


def _counted(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"
