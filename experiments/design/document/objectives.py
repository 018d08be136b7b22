"""Objectives that the operator allows; workers import nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path


def is_allowed(objective: str, prefixes: Iterable[str]) -> bool:
    """Test whether `package.module:function` lies under one of the dotted `prefixes`.

    Components are compared whole: `workers.problems` allows `workers.problems.digits:train`
    but not `workers.problems_of_others:train`. The function is one top-level name.
    """
    module, _, function = objective.partition(":")
    if not function.isidentifier() or function.startswith("_"):
        return False
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    return any(parts[: len(want)] == want for want in (prefix.split(".") for prefix in prefixes))


def refusal(objective: str, prefixes: Sequence[str]) -> str:
    """Reason that `package.module:function` may not be an objective; "" when it may.

    Nothing is imported: where the module's source lies on this machine it is read.
    """
    module, _, function = objective.partition(":")
    if function.startswith("_"):
        return (
            f"{function} begins with an underscore, which marks a name as private to its module; "
            "give the training function a public name"
        )
    if not is_allowed(objective, prefixes):
        return f"{objective} is not on the operator's list, which allows {', '.join(prefixes)}"
    return _kind_refused(module, function)


def _kind_refused(module: str, function: str) -> str:
    for node in _statements(module):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name != function:
            continue
        if isinstance(node, ast.AsyncFunctionDef):
            return (
                f"{function} is an async function, which does nothing when it is called; "
                "run its loop inside a plain one: asyncio.run(...)"
            )
        if not node.decorator_list and _yields(node):
            return (
                f"{function} is a generator function, which does nothing when it is called; "
                "log with run.log(...) instead of yield"
            )
    return ""


def _statements(module: str) -> list[ast.stmt]:
    """Top-level statements of a module that is installed here; none where it is not."""
    path: Sequence[str] | None = None
    origin = None
    parts = module.split(".")
    for number in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: number + 1]), path)
        if spec is None:
            return []
        path, origin = spec.submodule_search_locations, spec.origin
    try:
        return ast.parse(Path(origin or "").read_bytes()).body
    except (OSError, SyntaxError, ValueError):  # a worker that imports it tells of it
        return []


def _yields(function: ast.FunctionDef) -> bool:
    """Test whether it yields itself; functions within it may."""
    nodes: list[ast.AST] = list(function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    return False
