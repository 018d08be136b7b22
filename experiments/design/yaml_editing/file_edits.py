"""Edits that the form makes in an experiment file, one at a time: text and edit in, text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from experiments.design.document import experiment_yaml, presets
from experiments.design.yaml_editing.space_rows import Row, changed_entry, rows_of, space_of
from experiments.design.yaml_editing.yaml_editing import (
    CannotEdit,
    RawYaml,
    cell,
    child,
    compose,
    flow,
    load,
    updated,
)
from experiments.errors import InvalidExperiment, Problem

# Cells above the rows: the key's path and whether it holds text or YAML.
HEAD: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "experiment": (("experiment",), True),
    "goal": (("goal",), True),
    "objective": (("objective",), True),
    "trials": (("search", "trials"), False),
}
LONGEST_HEAD = 5_000
_UNREADABLE = "This YAML cannot be read, so rows cannot change it; fix it first."


def edited(text: str, edit: Mapping[str, Any]) -> str:
    """The file after one edit of the form.

    `edit["do"]` is set (`was`, `cells`), add (`name` and `default`, if any), remove (`was`), move
    (`was`, `by`), head (`key`, `value`), preset (`name`), or empty for no change.

    Raises:
        CannotEdit: when the text is not YAML or an edit would change more than it says.
        InvalidExperiment: for an edit that there is not.
    """
    do = edit.get("do", "")
    if not do:
        return text
    known: dict[Any, Callable[[str, Mapping[str, Any]], str]] = {
        "set": _set,
        "add": _add,
        "remove": _remove,
        "move": _move,
        "head": _head,
        "preset": _preset,
    }
    if not isinstance(do, str) or do not in known:
        raise InvalidExperiment("There is no such edit.", [Problem("do", f"found {do!r}")])
    if text.strip() and not isinstance(compose(text), MappingNode):
        raise CannotEdit(_UNREADABLE)
    problems: list[Problem] = []
    experiment_yaml.load(text, problems)
    if problems:  # a key that appears twice has nodes, but no data
        raise CannotEdit(_UNREADABLE, problems)
    return known[do](text, edit)


def head_of(root: Node | None) -> dict[str, str]:
    """The cells above the rows as a composed file has them."""
    found = {}
    for name, (path, is_text) in HEAD.items():
        node = root
        for key in path:
            node = child(node, key)
        written = node.value if isinstance(node, ScalarNode) else ""
        quoted = isinstance(node, ScalarNode) and node.style is not None
        found[name] = flow(written) if quoted and not is_text else written
    return found


def _set(text: str, edit: Mapping[str, Any]) -> str:
    key, before, rows = _found(text, edit)
    cells = edit.get("cells")
    if not isinstance(cells, dict):
        raise InvalidExperiment(
            "The edit says no cells.", [Problem("cells", "expected a mapping")]
        )
    after = before.changed(cells)
    others = {row.name for row in rows if row is not before}
    if after.name != before.name and after.name in others:
        wrong = Problem("name", f"{after.name} exists already; choose another name")
        raise CannotEdit(str(wrong), [wrong])
    space = _space(text)
    entry = changed_entry(space[key], before, after)
    named = key if after.name == before.name else after.name
    return _with_space(
        text, {named if name == key else name: old for name, old in {**space, key: entry}.items()}
    )


def _add(text: str, edit: Mapping[str, Any]) -> str:
    space = _space(text)
    number = next(n for n in range(1, len(space) + 2) if f"new_{n}" not in space)
    name = edit.get("name") or f"new_{number}"
    if name in space:
        raise CannotEdit(f"{name} stands there already.")
    fixed = {"role": "fixed", "value": edit.get("default")}
    return _with_space(text, {**space, name: fixed if "default" in edit else {"role": Row().role}})


def _with_space(text: str, space: Any, **others: Any) -> str:
    """The text with `space` as its hyperparameters and `others` as further keys of the file."""
    return updated(text, {**(load(text) or {}), **others, "hyperparameters": space})


def _remove(text: str, edit: Mapping[str, Any]) -> str:
    gone, _, _ = _found(text, edit)
    return _with_space(text, {key: entry for key, entry in _space(text).items() if key != gone})


def _move(text: str, edit: Mapping[str, Any]) -> str:
    moved, _, _ = _found(text, edit)
    by = edit.get("by")
    if by not in (-1, 1):
        raise InvalidExperiment("A row moves by one.", [Problem("by", "expected 1 or -1")])
    space = _space(text)
    keys = list(space)
    place = keys.index(moved) + by
    if not 0 <= place < len(keys):
        return text
    keys.remove(moved)
    keys.insert(place, moved)
    return _with_space(text, {key: space[key] for key in keys})


def _head(text: str, edit: Mapping[str, Any]) -> str:
    key, value = edit.get("key"), edit.get("value")
    if not isinstance(key, str) or key not in HEAD or not isinstance(value, str):
        raise InvalidExperiment("There is no such cell.", [Problem("key", f"found {key!r}")])
    path, is_text = HEAD[key]
    value = value.replace("\x00", "")[:LONGEST_HEAD]
    wanted: Any = value if is_text else RawYaml(cell(value))
    file = load(text) or {}
    for outer in path[:0:-1]:
        inner = file.get(path[0])
        wanted = {**(inner if isinstance(inner, dict) else {}), outer: wanted}
    return updated(text, {**file, path[0]: wanted})


def _preset(text: str, edit: Mapping[str, Any]) -> str:
    preset = presets.find(edit.get("name"))
    change = preset.change(load(text) or {})
    whole = RawYaml("\n" + change.whole.rstrip("\n")) if change.whole else None
    return _with_space(text, whole or {**_space(text), **change.entries}, **change.extra)


def _found(text: str, edit: Mapping[str, Any]) -> tuple[Any, Row, tuple[Row, ...]]:
    """The key of the row that is edited, the row, and all rows."""
    rows = rows_of(text, space_of(compose(text)))
    for key, row in zip(_space(text), rows, strict=True):
        if row.was == edit.get("was"):
            return key, row, rows
    raise CannotEdit("The row is no longer in the file.")


def _space(text: str) -> dict[Any, Any]:
    file = load(text)
    space = file.get("hyperparameters") if isinstance(file, dict) else None
    return space if isinstance(space, dict) else {}
