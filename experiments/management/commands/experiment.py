"""`manage.py experiment run FILE | check FILE | list | show`, and what controls one under way:
`pause | resume | stop | cancel | retry | set`.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from experiments.analysis.design.checks import check_design
from experiments.analysis.diagnosis import Severity
from experiments.design.document import experiment_file
from experiments.design.review.design_description import describe
from experiments.errors import VerdictError
from experiments.management import control_actions
from experiments.management.acting_person import person
from experiments.models import Experiment
from experiments.team.queries.access import get_project
from experiments.trials.lifecycle.queries import progress as progress_queries
from experiments.trials.lifecycle.queries.progress import Progress
from experiments.trials.lifecycle.queries.waiting import why_waiting
from experiments.trials.lifecycle.services import experiments

POLL_SECONDS = 1.0


class Command(BaseCommand):
    help = "Run, check, list, show and control experiments."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="act as this user (default: the first superuser)")
        actions = parser.add_subparsers(dest="action", required=True)
        run = actions.add_parser("run", help="create an experiment from a file and watch it")
        run.add_argument("file", type=Path)
        run.add_argument("--detach", action="store_true", help="do not wait for its end")
        check = actions.add_parser("check", help="what is wrong with a file, and what rules say")
        check.add_argument("file", type=Path)
        check.add_argument("--strict", action="store_true", help="fail on warnings, too")
        listing = actions.add_parser("list", help="all experiments, newest first")
        listing.add_argument("--project", default="")
        show = actions.add_parser("show", help="one experiment")
        show.add_argument("experiment", help="PROJECT/NAME")
        control_actions.add_to(actions)

    def handle(self, *args: Any, **options: Any) -> None:
        self.console = Console(file=self.stdout, highlight=False, soft_wrap=True)  # type: ignore[arg-type]
        try:
            if options["action"] in control_actions.ACTIONS:
                self.console.print(control_actions.act(options), markup=False)
            else:
                getattr(self, f"_{options['action']}")(options)
        except VerdictError as error:
            lines = [error.message, *(f"  {problem}" for problem in error.problems)]
            raise CommandError("\n".join(lines)) from None

    def _run(self, options: dict[str, Any]) -> None:
        text = _read(options["file"])
        slug = experiment_file.parse(text).project
        access = get_project(person(options["user"]), slug)
        experiment = experiments.create(access=access, text=text)
        reference = f"{experiment.project.slug}/{experiment.name}"
        self.console.print(f"{reference}: {experiment.budget} trials queued.")
        if not progress_queries.workers_alive(experiment.queue):
            self.console.print(
                f"No worker listens to the queue {experiment.queue}; start one with "
                "`make run` or `manage.py worker`."
            )
        if not options["detach"]:
            self._watch(experiment)

    def _check(self, options: dict[str, Any]) -> None:
        """Needs no database: so a repository can check its files before they are merged."""
        file = experiment_file.parse(_read(options["file"]))
        arms = file.arms()
        total = sum(file.budget_of(arm) for arm in arms)
        self.console.print(
            f"{file.project}/{file.name}: {len(arms)} {'arm' if len(arms) == 1 else 'arms'}, "
            f"{total} trials. It can run.",
            markup=False,
        )
        fired = [each for each in check_design(describe(file)) if each.diagnosis.fired]
        for each in fired:
            told = each.diagnosis
            self.console.print(f"{each.number} {told.severity}: {told.title}", markup=False)
            self.console.print(f"  {told.detail} {told.advice}", markup=False)
            where = f"{told.subject}; " if told.subject else ""
            self.console.print(f"  {where}{told.section}", markup=False)
        warnings = [each for each in fired if each.diagnosis.severity is not Severity.NOTICE]
        if options["strict"] and warnings:
            raise CommandError(f"{len(warnings)} of the rules warn.")

    def _watch(self, experiment: Experiment) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        try:
            with Bar(*columns, console=self.console) as bar:
                task = bar.add_task(experiment.name, total=experiment.budget, facts="")
                while True:
                    now = progress_queries.progress(experiment.pk)
                    bar.update(task, completed=now.done, total=now.budget, facts=_facts(now))
                    if (now.ended_at is not None or now.has_failed) and not now.running:
                        break
                    time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            reference = f"{experiment.project.slug}/{experiment.name}"
            self.console.print(f"Still running; `experiment stop {reference}` ends it.")
            sys.exit(130)
        self.console.print(f"{_state(now)}: {now.stop_reason or now.failure}", markup=False)
        self._describe(now)

    def _list(self, options: dict[str, Any]) -> None:
        table = Table("experiment", "state", "trials", "best", "warnings")
        for each in progress_queries.all_progress(options["project"]):
            table.add_row(
                f"{each.project}/{each.name}",
                Text(_state(each), style="red" if each.has_failed else ""),
                f"{each.done} of {each.budget}",
                _number(each.best_value),
                str(each.warnings),
            )
        self.console.print(table)

    def _show(self, options: dict[str, Any]) -> None:
        experiment = progress_queries.find(options["experiment"])
        self._describe(progress_queries.progress(experiment.pk))

    def _describe(self, now: Progress) -> None:
        self.console.print(f"{now.project}/{now.name}: {now.goal}", markup=False)
        state = ", ".join(filter(None, (_state(now), now.stop_reason)))
        self.console.print(f"  state     {state}", markup=False)
        self.console.print(
            f"  trials    {now.done} of {now.budget}, {now.running} running, {now.failed} failed"
        )
        best = _number(now.best_value)
        if now.best_number is not None:
            best += f" (trial {now.best_number})"
        self.console.print(f"  best      {now.official_metric} {best}", markup=False)
        if now.failure:
            self.console.print(f"  failure   {now.failure}", markup=False)
        self.console.print(f"  findings  {now.warnings} open warnings")
        waits = why_waiting(progress_queries.find(f"{now.project}/{now.name}"), now.running)
        if waits:
            self.console.print(f"  {waits}.", markup=False)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from None


def _state(now: Progress) -> str:
    if not now.has_failed:
        return now.state
    return "failed, paused" if now.state == "paused" else "failed"


def _facts(now: Progress) -> str:
    facts = [f"best {_number(now.best_value)}"]
    if now.warnings:
        facts.append(f"{now.warnings} warnings")
    if now.seconds_left is not None:
        facts.append(f"{_duration(now.seconds_left)} left")
    return ", ".join(facts)


def _number(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.4g}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
