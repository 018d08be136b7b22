"""Change a part of a YAML text and leave every other character, comments included, as it is.

The text is composed into nodes that know where they stand, and only their spans are replaced.
Rows of a block mapping own their lines: the comments beside them and those directly above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from experiments.design.document import experiment_yaml
from experiments.errors import VerdictError

MOST_STEPS = 200


class CannotEdit(VerdictError):
    """The YAML is written in a way that cannot be changed safely; nothing was changed."""


@dataclass(frozen=True, slots=True)
class RawYaml:
    """A value as a person wrote it: YAML that stands in the file as it is.

    One that begins with a line break is a block, and takes the place of the whole old part.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """A pair of a mapping as it should become; `key` and `value` are YAML text.

    `was` is the position of an existing pair, None for a new one. None for `key` or `value` keeps
    what stands there. A value that begins with a line break is a block.
    """

    was: int | None = None
    key: str | None = None
    value: str | None = None


def all_items(node: MappingNode) -> list[Item]:
    """All pairs of a mapping, unchanged."""
    return [Item(position) for position in range(len(node.value))]


def compose(text: str) -> Node | None:
    """The nodes of a text, None when it is empty or not YAML."""
    return experiment_yaml.compose(text, [])


def load(text: str) -> Any:
    """The data of a text, None when it is not YAML."""
    return experiment_yaml.load(text, [])


def child(node: Node | None, key: str) -> Node | None:
    """The value of a key in a mapping, None when there is none."""
    if isinstance(node, MappingNode):
        for name, value in node.value:
            if isinstance(name, ScalarNode) and name.value == key:
                found: Node = value
                return found
    return None


def source(text: str, node: Node) -> str:
    """A node as it is written, on one line."""
    written = text[node.start_mark.index : end_of(node)]
    block = isinstance(node, CollectionNode) and not node.flow_style
    # A plain scalar of a block may hold what ends one within brackets.
    plain = isinstance(node, ScalarNode) and node.style is None
    folded = isinstance(node, ScalarNode) and node.style in ("|", ">")
    if (
        len(written.splitlines()) > 1
        or block
        or folded
        or (plain and re.search(r"[,\[\]{}?:]", written))
    ):
        return flow(load_node(node))
    return written


def load_node(node: Node) -> Any:
    """The data that a node stands for."""
    return experiment_yaml.construct(node)


def flow(data: Any) -> str:
    """Plain data as YAML on one line, read back as the same data."""
    if isinstance(data, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(value)}" for key, value in data.items()) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(flow(element) for element in data) + "]"
    if isinstance(data, str):
        return scalar(data)
    if isinstance(data, RawYaml):
        return data.text
    if isinstance(data, bool) or data is None:
        return {True: "true", False: "false", None: "null"}[data]
    return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(data), repr(data))


def scalar(text: str) -> str:
    """A text as a YAML scalar, quoted when it would otherwise be read as something else."""
    plain = re.fullmatch(r"[A-Za-z_./+-][\w ./+:=%()?!'-]*", text, re.ASCII)
    if (
        plain
        and not text.endswith((" ", ":"))
        and ": " not in text
        and load(f"[{text}]") == [text]
    ):
        return text
    quoted: str = yaml.dump(
        text, default_style='"', allow_unicode=True, width=float("inf"), explicit_end=False
    )
    return quoted.rstrip("\n")


def end_of(node: Node) -> int:
    """End of a node's last character: PyYAML ends a block at whatever follows it."""
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end_of(last[1] if isinstance(last, tuple) else last)
    start, end = node.start_mark, node.end_mark
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        written = start.buffer[start.index : end.index] if start.buffer else ""
        return int(end.index - (len(written) - len(written.rstrip("\n"))))
    return int(end.index)


def rewritten(text: str, node: MappingNode, items: Sequence[Item]) -> str:
    """The text in which a mapping has become `items`."""
    if [item.was for item in items] == list(range(len(node.value))):
        for item in reversed(items):
            text = _replaced(text, node, item)
        return text
    if node.flow_style or not node.value or not items:
        return _flow_rewritten(text, node, items)
    return _block_rewritten(text, node, items)


def _replaced(text: str, node: MappingNode, item: Item) -> str:
    """A pair's key and value in their places; comments in what is replaced go above it."""
    key, value = node.value[item.was or 0]
    if item.value is not None:
        start, end = value.start_mark.index, end_of(value)
        if value.start_mark.line != key.end_mark.line:
            start = key.end_mark.index + text[key.end_mark.index :].index(":") + 1
        gap = "" if item.value.startswith("\n") or text[start - 1] == " " else " "
        comments = list(_comments(text, start, end, value))
        text = f"{text[:start]}{gap}{item.value}{text[end:]}"
        if item.key is not None:
            text = text[: key.start_mark.index] + item.key + text[end_of(key) :]
        return _with_comments(text, key.start_mark.index, comments)
    if item.key is not None:
        text = text[: key.start_mark.index] + item.key + text[end_of(key) :]
    return text


def _flow_rewritten(text: str, node: MappingNode, items: Sequence[Item]) -> str:
    """`{...}` on one line; a mapping in block style becomes one when it is emptied or filled."""
    start, end = node.start_mark.index, end_of(node)
    pairs = []
    for item in items:
        key, value = item.key, item.value
        if item.was is not None:
            old_key, old_value = node.value[item.was]
            key = source(text, old_key) if key is None else key
            value = source(text, old_value) if value is None else value
        pairs.append(f"{key}: {value}")
    comments = list(_comments(text, start, end, node))
    if not node.flow_style:
        start = _line_start(text, start)
        return f"{text[:start]}  {{}}{text[end:]}"
    changed = text[:start] + "{" + ", ".join(pairs) + "}" + text[end:]
    return _with_comments(changed, start, comments)


def _block_rewritten(text: str, node: MappingNode, items: Sequence[Item]) -> str:
    chunks = list(_chunks(text, node))
    gaps = [text[before[1] : after[0]] for before, after in pairwise(chunks)]
    indent = " " * node.value[0][0].start_mark.column
    lines = []
    for item in items:
        if item.was is None:
            lines.append(indent + _line(str(item.key), str(item.value)))
            continue
        start, end = chunks[item.was]
        changed = _replaced(text, node, item)
        line = changed[start : end + len(changed) - len(text)]
        lines.append(line if line.endswith("\n") else line + "\n")
    body = "".join(
        line + (gaps[place] if place < min(len(gaps), len(lines) - 1) else "")
        for place, line in enumerate(lines)
    )
    left = [
        splitline for gap in gaps[max(0, len(lines) - 1) :] for splitline in gap.splitlines(True)
    ]
    body += "".join(line for line in left if line.strip())
    return text[: chunks[0][0]] + body + text[chunks[-1][1] :]


def _chunks(text: str, node: MappingNode) -> Iterator[tuple[int, int]]:
    """The lines of each pair: from the comments directly above to the end of its last line."""
    floor = 0
    for key, value in node.value:
        start = _line_start(text, key.start_mark.index)
        while start > floor:
            above = _line_start(text, start - 1)
            if above < floor or not text[above:start].lstrip().startswith("#"):
                break
            start = above
        last = text.find("\n", max(end_of(value), key.end_mark.index))
        floor = len(text) if last < 0 else last + 1
        yield start, floor


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _with_comments(text: str, index: int, comments: Sequence[str]) -> str:
    """Comments on lines of their own above the line of `index`."""
    start = _line_start(text, index)
    indent = text[start : start + len(text[start:]) - len(text[start:].lstrip(" "))]
    return text[:start] + "".join(f"{indent}{comment}\n" for comment in comments) + text[start:]


def _comments(text: str, start: int, end: int, node: Node) -> Iterator[str]:
    """The comments between two places; a # within a scalar is none."""
    masked = list(text[start:end])
    for scalar_node in _scalars(node):
        first = max(0, scalar_node.start_mark.index - start)
        last = end_of(scalar_node) - start
        masked[first:last] = "x" * (min(last, len(masked)) - first)
    for found in re.finditer(r"(?:^|(?<=\s))#[^\n]*", "".join(masked)):
        yield text[start + found.start() : start + found.end()].rstrip()


def _scalars(node: Node) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _scalars(key)
            yield from _scalars(value)
    elif isinstance(node, SequenceNode):
        for element in node.value:
            yield from _scalars(element)


def cell(written: str) -> str:
    """A typed value as YAML: quoted when it is not one value by itself."""
    written = written.strip()
    node = compose(f"[{written}]")
    if (
        isinstance(node, SequenceNode)
        and len(node.value) == 1
        and end_of(node) == len(written) + 2
        and "\n" not in written
        and not written.startswith("&")
        and not (isinstance(node.value[0], MappingNode) and not written.startswith("{"))
        and repr(load(f"[{written}]")) == repr([load(written)])
    ):
        return written
    return scalar(written)


def wrapped(written: str, opening: str, closing: str) -> str:
    """`[...]` or `{...}` around what a person wrote; as quoted text when that is not YAML."""
    written = written.strip()
    inside = f"{opening}{written}{closing}"
    node = compose(inside)
    kind = SequenceNode if opening == "[" else MappingNode
    good = isinstance(node, kind) and end_of(node) == len(inside) and "\n" not in written
    return inside if good and load(inside) is not None else scalar(written)


def updated(text: str, wanted: Mapping[Any, Any]) -> str:
    """The text changed as little as it takes to say `wanted`: comments and wording stay.

    Its values are plain data, or `RawYaml` ones.

    Raises:
        CannotEdit: when it is written in a way that this cannot do (`? key` over two lines).
    """
    if not text.strip():
        return dumped(wanted)
    for _ in range(MOST_STEPS):
        node, data = compose(text), load(text)
        if not isinstance(node, MappingNode) or not isinstance(data, dict):
            break
        if _same(data, wanted):
            return text
        before, text = text, _step(text, node, data, wanted)
        if text == before:
            break
    raise CannotEdit("This YAML is written in a way that cannot be changed; change it there.")


def dumped(wanted: Mapping[Any, Any]) -> str:
    """A text that says `wanted`, a line for each key."""
    lines = [_line(flow(key), _written(value, block=True)) for key, value in wanted.items()]
    return "".join(lines)


def _step(text: str, node: MappingNode, data: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> str:
    """The text with one mapping's keys, or some of its values, as they are wanted."""
    places = {key: place for place, key in enumerate(data)}
    block = not node.flow_style and bool(node.value)
    if list(data) != list(wanted):
        if len(data) == len(wanted):  # a key that is gone and a new one in its place: a new name
            for (key, place), new in zip(list(places.items()), wanted, strict=True):
                if key not in wanted and new not in data:
                    places[new] = place
        return rewritten(
            text,
            node,
            [
                Item(places[key], None if key in data else flow(key))
                if key in places
                else Item(None, flow(key), _written(value, block=block))
                for key, value in wanted.items()
            ],
        )
    changed = text
    for key in reversed([key for key in wanted if not _same(data[key], wanted[key])]):
        place, old, value = places[key], data[key], wanted[key]
        inner = node.value[place][1]
        if isinstance(inner, MappingNode) and isinstance(value, dict) and old and value:
            after = _step(changed, inner, old, value)
        else:
            items = all_items(node)
            whole = isinstance(value, RawYaml) and value.text.startswith("\n") and block
            written = _written(value, block=block and (whole or old is None))
            items[place] = Item(None, flow(key), written) if whole else Item(place, value=written)
            after = rewritten(changed, node, items)
        # From the last to the first, nodes still know where they stand, until lines move.
        if after.count("\n") != text.count("\n"):
            return after if changed is text else changed
        changed = after
    return changed


def _same(data: Any, wanted: Any) -> bool:
    if isinstance(wanted, RawYaml):
        return repr(data) == repr(load(wanted.text))
    if isinstance(wanted, dict) and isinstance(data, dict):
        keys = repr(list(data)) == repr(list(wanted))
        return keys and all(_same(data[key], wanted[key]) for key in wanted)
    return repr(data) == repr(wanted)


def _written(value: Any, *, block: bool) -> str:
    """A new value on one line; a mapping of mappings in a block has a line for each."""
    if isinstance(value, RawYaml) and value.text.startswith("\n") and not block:
        return flow(load(value.text))
    entries = list(value.values()) if isinstance(value, dict) else []
    if block and entries and all(isinstance(entry, dict) for entry in entries):
        return "".join(f"\n  {flow(key)}: {flow(member)}" for key, member in value.items())
    return flow(value)


def _line(key: str, value: str) -> str:
    return f"{key}:{value}\n" if value.startswith("\n") else f"{key}: {value}\n"
