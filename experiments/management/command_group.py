"""Click groups of experiments' commands: errors as one line, and the database looked at first."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec

import click
import django
from click.shell_completion import CompletionItem
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError

from experiments import database
from experiments.errors import VerdictError

Parameters = ParamSpec("Parameters")


class CommandGroup(click.Group):
    """Commands whose errors are for the person at the terminal, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VerdictError as error:
            lines = [error.message, *(f"  {problem}" for problem in error.problems)]
            raise click.ClickException("\n".join(lines)) from None
        except (CommandError, ImproperlyConfigured) as error:
            raise click.ClickException(str(error)) from None
        except (DatabaseError, InterfaceError) as error:
            raise click.ClickException(database.why_unusable() or _first_line(error)) from None


class ExperimentName(click.ParamType[str]):
    """PROJECT/NAME, completed from the database."""

    name = "experiment"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            set_up()
            from experiments.trials.lifecycle.queries import progress

            names = (
                f"{experiment.project}/{experiment.name}" for experiment in progress.all_progress()
            )
            return [CompletionItem(name) for name in names if name.startswith(incomplete)]
        except (DatabaseError, ImproperlyConfigured, InterfaceError):
            return []  # a shell that waits for names has no room for messages


def set_up() -> None:
    """Set Django up where nobody has."""
    if not apps.ready:
        django.setup()


def with_database(action: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Set Django up, and look whether the database can be used, before the command.

    Raises:
        ClickException: saying what the database lacks.
    """

    @wraps(action)
    def ready(*args: Parameters.args, **options: Parameters.kwargs) -> None:
        set_up()
        if lacking := database.why_unusable():
            raise click.ClickException(lacking)
        action(*args, **options)

    return ready


def say_json(value: Mapping[str, Any] | list[dict[str, Any]]) -> None:
    """Print as indented JSON; numbers that are not finite are text, times ISO 8601."""
    from experiments.web.plain_json import plain

    click.echo(json.dumps(plain(value), indent=2, default=_isoformat, ensure_ascii=False))


def _isoformat(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
