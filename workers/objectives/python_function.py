"""A training function named in an experiment file, imported only if the operator allows it."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import inspect
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn, cast

from workers.training.code_on_disk import changed_within

_BYTECODE_SECONDS = 2
TrainingFunction = Callable[[Any], object]


class ObjectiveError(ValueError):
    """The objective cannot be run; the message says what would be right.

    `nearest` is the objective that may be meant, "" when none is near.
    """

    def __init__(self, message: str, nearest: str = "") -> None:
        super().__init__(f"{message}; did you mean {nearest}?" if nearest else message)
        self.nearest = nearest


def add_folder(folder: str) -> None:
    """Import objectives from a folder, too, after all that is installed."""
    if folder and folder not in sys.path:
        sys.path.append(folder)


def is_allowed(module: str, allowed: Sequence[str]) -> bool:
    """Test whether a module is one of the allowed ones or lies under one.

    Dotted components are compared, so that `team` allows `team.digits` and not `teammate`.
    """
    parts = module.split(".")
    prefixes = [prefix.split(".") for prefix in allowed if prefix]
    return any(parts[: len(prefix)] == prefix for prefix in prefixes)


def import_module(name: str) -> ModuleType:
    """Import a module of an objective, and its present source, however lately that was edited.

    Bytecode is dated by whole seconds: kept of a source that is edited once more within its
    second, it would be taken for the edit's. So none is kept of a package that has just changed.
    """
    if changed_within(_BYTECODE_SECONDS, name.partition(".")[0]):
        sys.dont_write_bytecode = True
    return importlib.import_module(name)


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
        raise ObjectiveError(f"objective {objective!r}: expected package.module:function")
    if not is_allowed(module_name, allowed):
        raise ObjectiveError(
            f"objective {objective!r}: {module_name} is not under the allowed modules "
            f"({', '.join(allowed) or 'none'})"
        )
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise  # the module is there and misses something itself
        raise ObjectiveError(
            f"objective {objective!r}: no module {error.name}",
            _nearest_module(objective, error.name, allowed),
        ) from error
    function = vars(module).get(function_name)
    if not callable(function):
        known = [
            name for name, member in vars(module).items() if _is_defined_in(member, module_name)
        ]
        near = difflib.get_close_matches(function_name, known, 1)
        raise ObjectiveError(
            f"objective {objective!r}: {module_name} has no such function",
            f"{module_name}:{near[0]}" if near else "",
        )
    home = getattr(function, "__module__", None)
    if home != module_name:
        raise ObjectiveError(f"objective {objective!r}: defined in {home}; name it there")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ObjectiveError(f"objective {objective!r}: an async function; expected a plain one")
    if inspect.isgeneratorfunction(function):
        raise ObjectiveError(
            f"objective {objective!r}: a generator function; expected a plain one"
        )
    return _as_script(cast(TrainingFunction, function))


def check_takes_a_run(objective: str, function: TrainingFunction) -> None:
    """Pass when a function can be called with a run and nothing else.

    Raises:
        ObjectiveError: when it cannot.
    """
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        raise ObjectiveError(
            f"objective {objective!r}: it is called with the run alone, and {error}; "
            f"write def {objective.partition(':')[2]}(run)"
        ) from None
    except ValueError:  # written in C: it tells no signature
        return


def _is_defined_in(value: object, module: str) -> bool:
    return inspect.isfunction(value) and value.__module__ == module


def _nearest_module(objective: str, missing: str, allowed: Sequence[str]) -> str:
    """The objective with the name that lies nearest to the missing module's."""
    parent, _, name = missing.rpartition(".")
    if parent:
        paths = getattr(sys.modules.get(parent), "__path__", [])
        known = [submodule.name for submodule in pkgutil.iter_modules(paths)]
    else:
        known = [known_name.partition(".")[0] for known_name in allowed]
    near = difflib.get_close_matches(
        name, [known_name for known_name in known if known_name != name], 1
    )
    if not near:
        return ""
    module, _, function = objective.partition(":")
    right = ".".join(filter(None, (parent, near[0])))
    return f"{right}{module.removeprefix(missing)}:{function}"


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
