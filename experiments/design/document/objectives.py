"""Which objectives the operator allows: no page can make a worker import anything else."""

from __future__ import annotations

from collections.abc import Iterable


def is_allowed(objective: str, prefixes: Iterable[str]) -> bool:
    """Whether `package.module:function` lies under one of the dotted `prefixes`.

    Components are compared whole: `workers.problems` allows `workers.problems.digits:train`
    but not `workers.problems_of_others:train`. The function is one top-level name.
    """
    module, _, function = objective.partition(":")
    if not function.isidentifier() or function.startswith("_"):
        return False
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    return any(parts[: len(want)] == want for want in (each.split(".") for each in prefixes))
