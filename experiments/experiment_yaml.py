"""YAML as experiment files need it: 1e-4 is a number, no key stands twice, no aliases."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node

from experiments.errors import Problem

LONGEST = 200_000  # characters
DEEPEST = 20


class _Loader(yaml.SafeLoader):
    """The safe loader, stricter: it never builds anything but plain data."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not allowed",
                problem_mark=self.get_mark(),
            )
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"nested deeper than {DEEPEST} levels",
                problem_mark=self.get_mark(),
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            try:
                twice = key in seen
                seen.add(key)
            except TypeError:
                raise yaml.MarkedYAMLError(
                    problem="a key must be text or a number", problem_mark=key_node.start_mark
                ) from None
            if twice:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands there twice", problem_mark=key_node.start_mark
                )
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot and a sign in 1.0e+4; people write 1e-4.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def load(text: str, problems: list[Problem]) -> Any:
    """Plain data of one YAML (or JSON) document; None and a problem when it is not one."""
    if len(text) > LONGEST:
        problems.append(
            Problem("", f"the file has {len(text)} characters, want {LONGEST} at most")
        )
        return None
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else ""
        problems.append(Problem(line, f"not YAML: {error.problem or error.context}"))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        problems.append(Problem("", f"not YAML: {str(error).splitlines()[0]}"))
    return None
