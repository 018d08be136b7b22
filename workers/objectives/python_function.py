"""A training function named in an experiment file, imported only if the operator allows it."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

TrainingFunction = Callable[[Any], object]


class ObjectiveError(ValueError):
    """The objective cannot be run; the message says what would be right."""


def is_allowed(module: str, allowed: Sequence[str]) -> bool:
    """Test whether a module is one of the allowed ones or lies under one.

    Dotted components are compared, so that `team` allows `team.digits` and not `teammate`.
    """
    parts = module.split(".")
    prefixes = [prefix.split(".") for prefix in allowed if prefix]
    return any(parts[: len(prefix)] == prefix for prefix in prefixes)


def load(objective: str, allowed: Sequence[str]) -> TrainingFunction:
    """Import `package.module:function`.

    Nothing is imported before the allow-list has been asked. The function must be a top-level
    name of the module that defines it: a name that a module merely imported is refused, since
    that would reach past the allow-list.

    Raises ObjectiveError for a malformed, refused or missing objective; whatever the module
    itself raises while it is imported passes through.
    """
    module_name, colon, function_name = objective.partition(":")
    if not colon or not all(
        part.isidentifier() for part in [*module_name.split("."), function_name]
    ):
        raise ObjectiveError(f"objective {objective!r}: want package.module:function")
    if not is_allowed(module_name, allowed):
        raise ObjectiveError(
            f"objective {objective!r}: {module_name} is not under the allowed modules "
            f"({', '.join(allowed) or 'none'})"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise  # the module is there and misses something itself
        raise ObjectiveError(f"objective {objective!r}: no module {error.name}") from error
    function = vars(module).get(function_name)
    if not callable(function):
        raise ObjectiveError(f"objective {objective!r}: {module_name} has no such function")
    home = getattr(function, "__module__", None)
    if home != module_name:
        raise ObjectiveError(f"objective {objective!r}: defined in {home}; name it there")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ObjectiveError(f"objective {objective!r}: an async function; want a plain one")
    if inspect.isgeneratorfunction(function):
        raise ObjectiveError(f"objective {objective!r}: a generator function; want a plain one")
    return _as_script(cast(TrainingFunction, function))


def _as_script(function: TrainingFunction) -> TrainingFunction:
    """The function, which may end as a script may.

    By sys.exit(0), a normal end; and in a process that it has forked itself, which is no run of
    its own and comes back to nobody.
    """

    @functools.wraps(function)
    def train(run: object) -> object:
        owner = os.getpid()
        error: BaseException | None = None
        returned: object = None
        try:
            returned = function(run)
        except BaseException as raised:
            error = raised
        if os.getpid() != owner:
            _leave(error)
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            return returned
        raise error

    return train


def _leave(error: BaseException | None) -> NoReturn:
    """End this process as an interpreter at the end of its script, without its exit functions."""
    code = 0 if error is None else 1
    with contextlib.suppress(BaseException):
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else bool(error.code)
            if error.code and not isinstance(error.code, int):
                print(error.code, file=sys.stderr)
        elif error is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF)
