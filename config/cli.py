"""The console script `verdict`: everything that a person does at a terminal, from any folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import redirect_stdout
from pathlib import Path

import click
from click.shell_completion import CompletionItem
from dotenv import load_dotenv

from experiments.management.command_group import CommandGroup, say_json, set_up, with_database
from experiments.management.experiment_commands import experiment_group

ROOT = Path(__file__).resolve().parent.parent
# Commands of Django's that `verdict` has under their own name, with their own options.
PASSED_ON = {
    "worker": (
        "Run trials from the queue on this machine.",
        "verdict worker",
        "verdict worker --queues gpu --gpus 2 --per-device 2",
        "verdict worker --slots 8 --name big-node --json",
    ),
    "import": (
        "Import runs of another tracker, or studies of one of Optuna's own storages.",
        "verdict import csv runs.csv --project digits",
        "verdict import optuna sqlite:///optuna.db",
        "verdict import optuna journal.log my-study --project digits --json",
    ),
    "export": (
        "Copy studies into one of Optuna's own storages.",
        "verdict export optuna sqlite:///optuna.db",
        "verdict export optuna journal.log digits/label-smoothing/smoothed --json",
    ),
    "project": (
        "Create a project.",
        "verdict project create digits --metric validation_accuracy --direction maximize",
        "verdict project create prices --metric rmse --direction minimize --margin 0.01 --json",
    ),
    "decisions": (
        "Verify or export a project's decision log.",
        "verdict decisions verify",
        "verdict decisions verify digits --json",
        "verdict decisions export digits > decisions.jsonl",
    ),
    "migrate": ("Migrate the database to this version.", "verdict migrate"),
}


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--user", help="Act as this user (default: the first superuser).")
@click.pass_context
def verdict(context: click.Context, user: str | None) -> None:
    """From a tuning question to a recorded decision.

    \b
    Examples:
      verdict up                          start everything on this machine
      verdict run label-smoothing.yaml    create an experiment and watch it
      verdict list --json
      verdict stop digits/label-smoothing

    \b
    Settings are environment variables, or lines of the file .env in Verdict's folder.
    Completion, for bash (zsh and fish alike):
      eval "$(_VERDICT_COMPLETE=bash_source verdict)"
    """
    context.obj = user


@verdict.command()
@click.option("--host", help="Address to listen at (default: HOST, else 127.0.0.1).")
@click.option("--port", help="Port to listen at (default: PORT, else 8000).")
@click.option(
    "--objectives",
    multiple=True,
    metavar="PACKAGE",
    help="Package of the current folder, or installed, whose functions experiments may name.",
)
@_JSON
def up(host: str | None, port: str | None, objectives: tuple[str, ...], as_json: bool) -> None:
    """Start web server, worker and queue in the foreground; Ctrl-C stops them.

    \b
    Examples:
      verdict up
      verdict up --host 0.0.0.0 --port 8080
      verdict up --objectives mypackage
      verdict up --json                   address and first password as JSON, once it runs
    """
    from config import launcher

    given = {"HOST": host, "PORT": port}
    os.environ.update({name: value for name, value in given.items() if value is not None})
    if objectives:
        _allow(objectives)
    if not as_json:
        sys.exit(launcher.main())
    shown = sys.stdout

    def tell(facts: dict[str, object]) -> None:
        with redirect_stdout(shown):
            say_json(facts)

    with redirect_stdout(sys.stderr):
        sys.exit(launcher.main(tell))


@verdict.command()
@click.argument("user", default="admin")
@_JSON
@with_database
def password(user: str, as_json: bool) -> None:
    """Set a user's password anew (default: admin); asks for it twice.

    \b
    Examples:
      verdict password
      verdict password alice --json
    """
    from django.core.management import call_command

    call_command("changepassword", user, stdout=sys.stderr if as_json else sys.stdout)
    if as_json:
        say_json({"user": user, "password_changed": True})


class PassedOn(click.Command):
    """A command of Django's; its options are Django's to read, explain and complete."""

    def __init__(self, name: str, summary: str, *examples: str) -> None:
        super().__init__(
            name,
            callback=self._pass_on,
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            short_help=summary,
            add_help_option=False,
            context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
        )
        self._examples = examples

    def _pass_on(self, arguments: tuple[str, ...]) -> None:
        from django.core.management import execute_from_command_line

        if {"-h", "--help"} & {*arguments}:
            self._parser().parse_args(arguments)  # prints and ends
        execute_from_command_line(["verdict", self.name or "", *arguments])

    def _parser(self) -> ArgumentParser:
        """Parser of Django's command, which tells our examples."""
        from django.core.management import get_commands, load_command_class
        from django.core.management.base import DjangoHelpFormatter

        class Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
            pass

        set_up()
        assert self.name is not None
        return load_command_class(get_commands()[self.name], self.name).create_parser(
            "verdict",
            self.name,
            epilog="\n".join(("examples:", *(f"  {example}" for example in self._examples))),
            formatter_class=Formatter,
        )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Options of Django's command."""
        actions = self._parser()._actions
        options = {option for action in actions for option in action.option_strings}
        return [
            CompletionItem(option) for option in sorted(options) if option.startswith(incomplete)
        ]


for _command in experiment_group.commands.values():
    verdict.add_command(_command)
for _name, _words in PASSED_ON.items():
    verdict.add_command(PassedOn(_name, *_words))


def main() -> None:
    """Entry point of the console script."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    load_dotenv(ROOT / ".env", override=False)
    verdict(prog_name="verdict")


def _allow(objectives: tuple[str, ...]) -> None:
    """Allow packages as objectives, of the current folder or installed.

    The workers alone look there, after everything else: a team's module may be called config, or
    as one of Python's own.

    Raises:
        ClickException: for one that cannot be found.
    """
    here = str(Path.cwd())
    sys.path.append(here)
    for name in objectives:
        top = name.partition(".")[0]
        if importlib.util.find_spec(top) is None:
            raise click.ClickException(f"--objectives: there is no package {top} in {here}.")
    already = os.environ.get("OBJECTIVES", "").strip() or "workers.problems"
    os.environ["OBJECTIVES"] = ",".join([already, *objectives])
    os.environ["OBJECTIVES_FOLDER"] = here


if __name__ == "__main__":
    main()
