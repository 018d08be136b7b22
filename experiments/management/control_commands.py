"""Commands that control an experiment under way."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import click

from experiments.management.command_group import ExperimentName, say_json, with_database

if TYPE_CHECKING:
    from experiments.design.queries.records import ExperimentRecord, TrialRecord
    from experiments.team.queries.access import Access

_EXPERIMENT = click.argument("experiment", type=ExperimentName(), metavar="PROJECT/NAME")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print its progress as JSON.")


@click.command()
@_EXPERIMENT
@click.option("--hand-back", is_flag=True, help="Give running trials back to the queue.")
@_JSON
@click.pass_obj
@with_database
def pause(user: str | None, experiment: str, hand_back: bool, as_json: bool) -> None:
    """Start no new trials.

    \b
    Examples:
      verdict pause digits/label-smoothing
      verdict pause digits/label-smoothing --hand-back
    """
    from experiments.trials.lifecycle.services import control

    access, found = _found(user, experiment)
    control.pause(access=access, experiment=found, hand_back=hand_back)
    then = "are handed back" if hand_back else "go on"
    _say(experiment, f"{experiment} is paused; running trials {then}.", as_json)


@click.command()
@_EXPERIMENT
@_JSON
@click.pass_obj
@with_database
def resume(user: str | None, experiment: str, as_json: bool) -> None:
    """Go on after a pause.

    \b
    Example:
      verdict resume digits/label-smoothing
    """
    from experiments.trials.lifecycle.services import control

    access, found = _found(user, experiment)
    control.resume(access=access, experiment=found)
    _say(experiment, f"{experiment} goes on.", as_json)


@click.command()
@_EXPERIMENT
@_JSON
@click.pass_obj
@with_database
def stop(user: str | None, experiment: str, as_json: bool) -> None:
    """End a search; running trials end at their next evaluation.

    \b
    Example:
      verdict stop digits/label-smoothing
    """
    from experiments.trials.lifecycle.services import experiments

    access, found = _found(user, experiment)
    experiments.stop(access=access, experiment=found)
    _say(experiment, f"{experiment} ends; running trials stop at their next step.", as_json)


@click.command()
@_EXPERIMENT
@click.argument("trials", nargs=-1, required=True, metavar="TRIAL...")
@_JSON
@click.pass_obj
@with_database
def cancel(user: str | None, experiment: str, trials: tuple[str, ...], as_json: bool) -> None:
    """End single trials now.

    \b
    Example:
      verdict cancel digits/label-smoothing A17 B17
    """
    from experiments.trials.lifecycle.services import control

    access, found = _found(user, experiment)
    named = [_trial(found, name) for name in trials]
    for trial in named:
        control.cancel(access=access, trial=trial)
    _say(experiment, f"{_counted(len(named))} of {experiment} cancelled.", as_json)


@click.command()
@_EXPERIMENT
@click.argument("trials", nargs=-1, metavar="[TRIAL...]")
@_JSON
@click.pass_obj
@with_database
def retry(user: str | None, experiment: str, trials: tuple[str, ...], as_json: bool) -> None:
    """Queue failed trials again, with the same parameters and seeds.

    Without names: all that raised an exception or were lost.

    \b
    Examples:
      verdict retry digits/label-smoothing
      verdict retry digits/label-smoothing A17
    """
    from experiments.trials.lifecycle.services import added_trials, control

    access, found = _found(user, experiment)
    count = len(trials)
    if not trials:
        count = control.retry_failed(access=access, experiment=found)
    for trial in [_trial(found, name) for name in trials]:
        added_trials.retry(access=access, trial=trial)
    _say(experiment, f"{_counted(count)} of {experiment} queued.", as_json)


@click.command(name="set")
@_EXPERIMENT
@click.option("--parallel", type=int, help="Trials at a time.")
@click.option("--priority", type=int, help="Higher priority runs first.")
@click.option("--trials", type=int, help="Trials of each arm.")
@click.option("--gpu-hours", help="Start no new trials beyond them; none: no cap.")
@_JSON
@click.pass_obj
@with_database
def set_limits(
    user: str | None,
    experiment: str,
    parallel: int | None,
    priority: int | None,
    trials: int | None,
    gpu_hours: str | None,
    as_json: bool,
) -> None:
    """Change trials at a time, priority, budget or the cap on GPU hours.

    \b
    Examples:
      verdict set digits/label-smoothing --parallel 4 --priority 2
      verdict set digits/label-smoothing --gpu-hours none
    """
    from experiments.errors import VerdictError
    from experiments.trials.lifecycle.services import control

    access, found = _found(user, experiment)
    given = {"parallel": parallel, "priority": priority}
    wanted = {key: value for key, value in given.items() if value is not None}
    cap = _cap(gpu_hours)
    if not wanted and cap == "keep" and trials is None:
        raise VerdictError(
            "Nothing to change; give --parallel, --priority, --trials or --gpu-hours"
        )
    control.change(access=access, experiment=found, **wanted, gpu_hours=cap)
    changes = [f"{key} {value}" for key, value in wanted.items()]
    if trials is not None:
        control.set_budget(access=access, experiment=found, per_arm=trials)
        changes.append(f"trials of each arm {trials}")
    if cap != "keep":
        changes.append(f"GPU hours {'no cap' if cap is None else cap}")
    _say(experiment, f"{experiment}: {', '.join(changes)}.", as_json)


def add_to(group: click.Group) -> None:
    """Add every command of this module."""
    for command in (pause, resume, stop, cancel, retry, set_limits):
        group.add_command(command)


def _found(user: str | None, reference: str) -> tuple[Access, ExperimentRecord]:
    from experiments.management.acting_person import person
    from experiments.team.queries.access import get_project
    from experiments.trials.lifecycle.queries import progress

    experiment = progress.find(reference)
    return get_project(person(user), reference.partition("/")[0]), experiment


def _say(reference: str, message: str, as_json: bool) -> None:
    from experiments.trials.lifecycle.queries import progress

    if as_json:
        say_json(asdict(progress.progress(progress.find(reference).pk)))
    else:
        click.echo(message)


def _cap(text: str | None) -> float | Literal["keep"] | None:
    from experiments.errors import Problem, VerdictError

    if text is None:
        return "keep"
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        problem = Problem("gpu-hours", f"found {text}, expected a number or none")
        raise VerdictError("The change has errors.", [problem]) from None


def _trial(experiment: ExperimentRecord, name: str) -> TrialRecord:
    from experiments.design.trial_names import parse_trial_name
    from experiments.errors import NotFound
    from experiments.trials.table.queries.trial_detail import find_trial

    reference = parse_trial_name(name)
    found = find_trial(experiment, reference) if reference else None
    if found is None:
        raise NotFound(
            f"{experiment.name} has no trial {name}; expected a name such as 17 or B17."
        )
    return found


def _counted(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"
