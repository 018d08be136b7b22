"""Process that imports an objective, or lists those there are, and says what it found.

It is started for one order, which comes as JSON on standard input, and answers with JSON as the
last thing it does. Nothing else of the worker is loaded here.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.design.document.objective_source import (
    TrainingFunctionSource,
    find_function,
    training_functions,
)
from workers.objectives.python_function import ObjectiveError, check_takes_a_run, load
from workers.training.memory import in_one_line
from workers.training.parent_death import end_with_parent

MOST_OFFERS = 300
MOST_FILES = 3000
LARGEST_FILE = 2**20  # bytes
LONGEST_LOG = 8_000  # characters of a traceback, of its end


def inspect_objective(objective: str, allowed: Sequence[str]) -> dict[str, Any]:
    """Import an objective and read its source.

    Returns:
        `fault`: why it cannot run, "" when it can; `nearest`: the objective that may be meant;
        `log`: the traceback of an import that raised; `seconds` of the import; `source`: what the
        function's source declares, None where it lies nowhere.
    """
    found: dict[str, Any] = {"fault": "", "nearest": "", "log": "", "source": None}
    began = time.monotonic()
    try:
        function = load(objective, allowed)
        check_takes_a_run(objective, function)
        found["source"] = _source(objective)
    except ObjectiveError as error:
        found |= {"fault": str(error), "nearest": error.nearest}
    except BaseException as error:  # sys.exit() as well
        module = objective.partition(":")[0]
        found["fault"] = f"importing {module} raises {in_one_line(error)}"
        found["log"] = "".join(traceback.format_exception(error))[-LONGEST_LOG:]
    return {**found, "seconds": time.monotonic() - began}


def _source(objective: str) -> dict[str, Any] | None:
    module, _, name = objective.partition(":")
    try:
        text = inspect.getsource(sys.modules[module])
        found = find_function(module, ast.parse(text), name)
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return None
    return asdict(found) if found is not None else None


def offers(allowed: Sequence[str]) -> list[dict[str, Any]]:
    """Training functions under the allowed modules, read from their sources."""
    found: dict[str, TrainingFunctionSource] = {}
    for count, (module, path) in enumerate(_modules(allowed)):
        if count >= MOST_FILES or len(found) >= MOST_OFFERS:
            break
        try:
            if path.stat().st_size > LARGEST_FILE:
                continue
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        for function in training_functions(module, tree):
            found[function.objective] = function
    return [asdict(offer) for offer in list(found.values())[:MOST_OFFERS]]


def _modules(allowed: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for name in allowed:
        try:
            spec = importlib.util.find_spec(name)
        except BaseException:  # a parent package raised: whoever names it as an objective is told
            continue
        if spec is None:
            continue
        for folder in spec.submodule_search_locations or ():
            yield from _of_folder(name, Path(folder))
        if spec.submodule_search_locations is None and spec.origin:
            yield name, Path(spec.origin)


def _of_folder(package: str, folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if all(part.isidentifier() for part in parts):
            shown = parts[:-1] if parts[-1] == "__init__" else parts
            yield ".".join((package, *shown)), path


def main() -> None:
    """Carry the order out; never returns."""
    order = json.loads(sys.stdin.read())
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever an import prints is no answer
    end_with_parent(order["parent"])
    sys.argv = [order.get("objective", "objectives")]
    allowed = order["allowed"]
    found = (
        inspect_objective(order["objective"], allowed)
        if "objective" in order
        else {"offers": offers(allowed)}
    )
    with os.fdopen(answer, "w", errors="replace") as stream:
        stream.write(json.dumps(found))
    os._exit(0)  # whatever threads an import has left
