"""YAML as experiment files need it.

1e-4 is a number; 2024-06-01, 12:30 and 0123 are text; keys are unique; aliases and tags, which
can make much or anything out of little, are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node

from experiments.errors import Problem

LONGEST = 200_000  # characters
DEEPEST = 20
MOST_VALUES = 10_000


class _Loader(yaml.SafeLoader):
    """The safe loader, stricter: it never builds anything but plain data."""

    depth = values = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not allowed",
                problem_mark=self.get_mark(),
            )
        if getattr(self.peek_event(), "tag", None) is not None:  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="tags (!name) are not allowed", problem_mark=self.get_mark()
            )
        self.values += 1
        if self.values > MOST_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"more than {MOST_VALUES} values", problem_mark=self.get_mark()
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
                    problem=f"the key {key!r} appears twice", problem_mark=key_node.start_mark
                )
        return super().construct_mapping(node, deep)


# YAML 1.1 reads 12:30 as 750, 0123 as 83 and 1e-4 as text; people mean what they see. None of the
# patterns can match one text in several ways, so that long digits cost no more than their length.
_DIGITS = r"[0-9][0-9_]*"
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    (
        "bool",
        "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
        "yYnNtTfFoO",
    ),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+|0b[01]+)", "-+0123456789"),
    (
        "float",
        rf"[-+]?(?:{_DIGITS}\.[0-9_]*|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?|[-+]?{_DIGITS}[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )


# JSON writes a character beyond U+FFFF as two escapes, which YAML takes for two characters.
_PAIR = re.compile(
    r"(?<!\\)((?:\\\\)*)((?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})+)"
)


def _joined(found: re.Match[str]) -> str:
    return found[1] + str(json.loads(f'"{found[2]}"'))


def load(text: str, problems: list[Problem]) -> Any:
    """Plain data of one YAML (or JSON) document; None and a problem when it is not one."""
    if text.lstrip().startswith("{"):
        text = _PAIR.sub(_joined, text)
    node = compose(text, problems)
    return None if node is None else _explained(lambda: construct(node), problems)


def compose(text: str, problems: list[Problem]) -> Node | None:
    """The same document as nodes that know where in the text they stand; not to be changed."""
    if len(text) > LONGEST:
        problems.append(
            Problem("", f"the file has {len(text)} characters, expected {LONGEST} at most")
        )
        return None
    node, wrong = (
        _cell(text)
        if len(text) <= SHORT
        else _file(text)
        if len(text) <= USUAL
        else _compose(text)
    )
    problems.extend(wrong)
    return node


def construct(node: Node) -> Any:
    """The plain data that a node stands for."""
    return _Loader("").construct_document(node)


# The form asks for the same file several times for each key that is pressed, and for each cell.
SHORT, USUAL = 200, 30_000  # characters
Composed = tuple[Node | None, tuple[Problem, ...]]


def _compose(text: str) -> Composed:
    wrong: list[Problem] = []
    node = _explained(lambda: yaml.compose(text, Loader=_Loader), wrong)
    return node, tuple(wrong)


_cell = lru_cache(maxsize=2048)(_compose)
_file = lru_cache(maxsize=16)(_compose)


def _explained(read: Callable[[], Any], problems: list[Problem]) -> Any:
    try:
        return read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else ""
        problems.append(Problem(line, f"not YAML: {error.problem or error.context}"))
    except ValueError:
        problems.append(Problem("", "not YAML: a whole number has too many digits"))
    except yaml.YAMLError as error:
        problems.append(Problem("", f"not YAML: {str(error).splitlines()[0]}"))
    return None
