"""Commands about experiments, of `verdict` and `manage.py experiment` alike.

What a command needs is imported when it runs: a list must not wait for SciPy.
"""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import django
from django.apps import apps
from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError

from experiments import database
from experiments.errors import NotFound
from experiments.management import control_commands
from experiments.management.command_group import (
    CommandGroup,
    ExperimentName,
    say_json,
    with_database,
)

if TYPE_CHECKING:
    from experiments.design.document.experiment_file import ExperimentFile
    from experiments.trials.lifecycle.queries.objective_checks import ObjectiveReport
    from experiments.trials.lifecycle.queries.progress import Progress

POLL_SECONDS = 1.0
_FILE = click.argument("file", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="experiment", cls=CommandGroup)
@click.option("--user", help="Act as this user (default: the first superuser).")
@click.pass_context
def experiment_group(context: click.Context, user: str | None) -> None:
    """Run, check, list, show and control experiments."""
    context.obj = user


@experiment_group.command()
@_FILE
@click.option("--detach", is_flag=True, help="Return without waiting for the end.")
@_JSON
@click.pass_obj
@with_database
def run(user: str | None, file: Path, detach: bool, as_json: bool) -> None:
    """Create an experiment from a file and watch it.

    \b
    Examples:
      verdict run label-smoothing.yaml
      verdict run --detach --json label-smoothing.yaml
    """
    from experiments.design.document import experiment_file
    from experiments.management.acting_person import person
    from experiments.team.queries.access import find_project
    from experiments.trials.lifecycle.queries import progress
    from experiments.trials.lifecycle.services import experiments

    text = _read(file)
    document = experiment_file.parse(text)
    access = find_project(person(user), document.project)
    if access is None:
        raise NotFound(_no_project(document))
    experiment = experiments.create(access=access, text=text)
    if not as_json:
        reference = f"{experiment.project.slug}/{experiment.name}"
        click.echo(f"{reference}: {experiment.budget} trials queued.")
        if not progress.workers_alive(experiment.queue):
            click.echo(
                f"No worker listens to the queue {experiment.queue}; start one with "
                "`verdict up` or `verdict worker`."
            )
    now = progress.progress(experiment.pk) if detach else _watch(experiment.pk, bar=not as_json)
    if as_json:
        say_json(asdict(now))
    elif not detach:
        click.echo(f"{_state(now)}: {now.stop_reason or now.failure}")
        _describe(now)


@experiment_group.command()
@_FILE
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
@_JSON
@click.pass_obj
def check(user: str | None, file: Path, strict: bool, as_json: bool) -> None:
    """Say what is wrong with a file, what the rules of design warn of, and whether a worker can
    import the objective.

    Without a database or a worker the objective is not checked: a repository can check its files
    before they are merged.

    \b
    Examples:
      verdict check label-smoothing.yaml
      verdict check --strict --json label-smoothing.yaml
    """
    from experiments.analysis.design.checks import check_design
    from experiments.analysis.diagnosis import Severity
    from experiments.design.document import experiment_file
    from experiments.design.review.design_description import describe

    document = experiment_file.parse(_read(file))
    arms = document.arms()
    total = sum(document.budget_of(arm) for arm in arms)
    fired = [result for result in check_design(describe(document)) if result.diagnosis.fired]
    reference = f"{document.project}/{document.name}"
    report = _objective_report(user, document)
    if as_json:
        keys = ("severity", "title", "detail", "advice", "subject", "section", "evidence")
        rules = [
            {"rule": result.number, **{key: getattr(result.diagnosis, key) for key in keys}}
            for result in fired
        ]
        shape = {"experiment": reference, "arms": len(arms), "trials": total}
        say_json({**shape, "rules": rules, "objective": asdict(report)})
    else:
        counted = "1 arm" if len(arms) == 1 else f"{len(arms)} arms"
        click.echo(f"{reference}: {counted}, {total} trials. The file is valid.")
        for result in fired:
            diagnosis = result.diagnosis
            click.echo(f"{result.number} {diagnosis.severity}: {diagnosis.title}")
            click.echo(f"  {diagnosis.detail} {diagnosis.advice}")
            where = f"{diagnosis.subject}; " if diagnosis.subject else ""
            click.echo(f"  {where}{diagnosis.section}")
        if report.state == "passed":
            click.echo(f"{report.worker} imported {document.objective}. It can run.")
        elif report.state != "failed":
            click.echo(f"The objective is not checked: {report.message}")
    if report.state == "failed":
        raise click.ClickException("\n".join(filter(None, (report.message, report.log.strip()))))
    warnings = [result for result in fired if result.diagnosis.severity is not Severity.NOTICE]
    if strict and warnings:
        raise click.ClickException(f"{len(warnings)} of the rules warn.")


@experiment_group.command(name="list")
@click.option("--project", default="", help="Only experiments of this project.")
@_JSON
@with_database
def list_experiments(project: str, as_json: bool) -> None:
    """List experiments, newest first.

    \b
    Examples:
      verdict list
      verdict list --project digits --json
    """
    from experiments.trials.lifecycle.queries import progress

    found = progress.all_progress(project)
    if as_json:
        say_json([asdict(experiment) for experiment in found])
        return
    rows = [("EXPERIMENT", "STATE", "TRIALS", "LEFT", "BEST", "FINDINGS")] + [
        (
            f"{experiment.project}/{experiment.name}",
            _state(experiment),
            f"{experiment.done} of {experiment.budget}",
            _left(experiment),
            _number(experiment.best_value),
            experiment.findings.summary or "none",
        )
        for experiment in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        red = "red" if row[1].startswith("failed") else None
        click.secho("  ".join(cells).rstrip(), fg=red)


@experiment_group.command()
@click.argument("experiment", type=ExperimentName(), metavar="PROJECT/NAME")
@_JSON
@with_database
def show(experiment: str, as_json: bool) -> None:
    """Show one experiment's state, progress and best trial.

    \b
    Examples:
      verdict show digits/label-smoothing
      verdict show digits/label-smoothing --json
    """
    from experiments.trials.lifecycle.queries import progress

    now = progress.progress(progress.find(experiment).pk)
    if as_json:
        say_json(asdict(now))
    else:
        _describe(now)


control_commands.add_to(experiment_group)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from None


def _no_project(document: ExperimentFile) -> str:
    metric = document.official or next(iter(document.metrics), "METRIC")
    declared = document.metrics.get(metric)
    direction = declared.direction if declared and declared.direction else "maximize"
    return (
        f"There is no project {document.project} yet. Create it first:\n"
        f"  verdict project create {document.project} --metric {shlex.quote(metric)} "
        f"--direction {direction}"
    )


def _objective_report(user: str | None, file: ExperimentFile) -> ObjectiveReport:
    """A worker's report on the objective; why there is none without a database or a project."""
    if not apps.ready:
        django.setup(set_prefix=False)
    from experiments.management.acting_person import person
    from experiments.team.queries.access import get_project
    from experiments.trials.lifecycle.queries.objective_checks import PATIENCE, unchecked
    from experiments.trials.lifecycle.services import objective_checks

    try:
        if lacking := database.why_unusable():
            return unchecked(lacking)
        access = get_project(person(user), file.project)
        wait = PATIENCE.total_seconds()
        return objective_checks.check(access=access, file=file, wait=wait)
    except (CommandError, DatabaseError, InterfaceError, NotFound) as error:
        return unchecked(str(error))


def _watch(experiment_id: int, *, bar: bool) -> Progress:
    """Wait for the experiment's end, with a progress bar; its progress then."""
    from experiments.trials.lifecycle.queries import progress

    now = progress.progress(experiment_id)
    shown = click.progressbar(
        length=now.budget,
        label=now.name,
        show_eta=False,
        show_pos=True,
        item_show_func=lambda facts: facts,
        hidden=not bar,
    )
    try:
        with shown:
            while True:
                now = progress.progress(experiment_id)
                shown.length = now.budget
                shown.update(now.done - shown.pos, _facts(now))
                if (now.ended_at is not None or now.has_failed) and not now.running:
                    return now
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        click.echo(f"Still running; `verdict stop {now.project}/{now.name}` ends it.", err=True)
        sys.exit(130)


def _describe(now: Progress) -> None:
    from experiments.trials.lifecycle.queries.progress import find
    from experiments.trials.lifecycle.queries.waiting import why_waiting

    click.echo(f"{now.project}/{now.name}: {now.goal}")
    click.echo(f"  state     {', '.join(filter(None, (_state(now), now.stop_reason)))}")
    click.echo(
        f"  trials    {now.done} of {now.budget}, {now.running} running, {now.failed} failed"
    )
    if now.time_left is not None:
        click.echo(f"  time left {_left(now)}")
    best = _number(now.best_value)
    if now.best_number is not None:
        best += f" (trial {now.best_number})"
    click.echo(f"  best      {now.official_metric} {best}")
    if now.failure:
        click.echo(f"  failure   {now.failure}")
    click.echo(f"  findings  {now.findings.summary or 'none open'}")
    if waits := why_waiting(find(f"{now.project}/{now.name}"), now.running):
        click.echo(f"  {waits}.")


def _state(now: Progress) -> str:
    if not now.has_failed:
        return now.state
    return "failed, paused" if now.state == "paused" else "failed"


def _facts(now: Progress) -> str:
    facts = [f"best {_number(now.best_value)}"]
    if now.findings.to_answer:
        facts.append(now.findings.answer_summary)
    if now.time_left is not None:
        facts.append(f"{_left(now)} left")
    return ", ".join(facts)


def _left(now: Progress) -> str:
    from experiments.web.formatting import time_range

    return "" if now.time_left is None else time_range(now.time_left.low, now.time_left.high)


def _number(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.4g}"
