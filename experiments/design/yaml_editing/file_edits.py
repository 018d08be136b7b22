"""Edits that the form makes in an experiment file, one at a time: text and edit in, text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from experiments.design.document import presets
from experiments.design.yaml_editing.space_rows import (
    Row,
    entry_items,
    new_entry,
    rows_of,
    space_of,
)
from experiments.design.yaml_editing.yaml_editing import (
    CannotEdit,
    Item,
    cell,
    child,
    compose,
    flow,
    kept,
    load,
    rewritten,
    saying,
    scalar,
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
_UNREADABLE = "This YAML cannot be read, so rows cannot change it; mend it first."


def edited(text: str, edit: Mapping[str, Any]) -> str:
    """The file after one edit of the form.

    `edit["do"]` is set (`was`, `cells`), add, remove (`was`), move (`was`, `by`), head (`key`,
    `value`), preset (`name`), or empty for no change.

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
    space, rows, position = _found(text, edit)
    cells = edit.get("cells")
    if not isinstance(cells, dict):
        raise InvalidExperiment("The edit says no cells.", [Problem("cells", "want a mapping")])
    before = rows[position]
    after = before.changed(cells)
    others = {row.name for row in rows if row is not before}
    if after.name != before.name and after.name in others:
        wrong = Problem("name", f"{after.name} stands there already; choose another name")
        raise CannotEdit(str(wrong), [wrong])
    entry = space.value[position][1]
    if isinstance(entry, MappingNode) and entry.value:
        changed = rewritten(text, entry, entry_items(entry, before, after))
    else:
        changed = rewritten(text, space, _with(space, position, value=new_entry(after)))
    if after.name != before.name:
        again = space_of(compose(changed))
        if not isinstance(again, MappingNode):
            raise CannotEdit(_UNREADABLE)
        changed = rewritten(changed, again, _with(again, position, key=scalar(after.name)))
    return _checked(text, changed, position)


def _with(
    space: MappingNode, position: int, *, key: str | None = None, value: str | None = None
) -> list[Item]:
    items = kept(space)
    items[position] = Item(position, key, value)
    return items


def _add(text: str, edit: Mapping[str, Any]) -> str:
    space = _space(text)
    number = next(n for n in range(1, len(space) + 2) if f"new_{n}" not in space)
    return _with_space(text, {**space, f"new_{number}": {"role": Row().role}})


def _with_space(text: str, space: Mapping[Any, Any], **beside: Any) -> str:
    """The text with other hyperparameters, and with other keys of the file `beside` them."""
    return saying(
        text if text.strip() else "hyperparameters:\n",
        {**(load(text) or {}), **beside, "hyperparameters": space},
    )


def _remove(text: str, edit: Mapping[str, Any]) -> str:
    _, _, position = _found(text, edit)
    rows = list(_space(text).items())
    del rows[position]
    return _with_space(text, dict(rows))


def _move(text: str, edit: Mapping[str, Any]) -> str:
    _, _, position = _found(text, edit)
    by = edit.get("by")
    if by not in (-1, 1):
        raise InvalidExperiment("A row moves by one.", [Problem("by", "want 1 or -1")])
    rows = list(_space(text).items())
    if not 0 <= position + by < len(rows):
        return text
    rows.insert(position + by, rows.pop(position))
    return _with_space(text, dict(rows))


def _head(text: str, edit: Mapping[str, Any]) -> str:
    key, value = edit.get("key"), edit.get("value")
    if not isinstance(key, str) or key not in HEAD or not isinstance(value, str):
        raise InvalidExperiment("There is no such cell.", [Problem("key", f"found {key!r}")])
    path, is_text = HEAD[key]
    value = value.replace("\x00", "")[:LONGEST_HEAD]
    return with_key(text, path, scalar(value) if is_text else cell(value))


def _preset(text: str, edit: Mapping[str, Any]) -> str:
    preset = presets.find(edit.get("name"))
    file = load(text)
    change = preset.change(file if isinstance(file, dict) else {})
    if not change.whole:
        return _with_space(text, {**_space(text), **change.entries}, **change.beside)
    for key, data in change.beside.items():
        text = with_key(text, (key,), flow(data))
    return with_key(text, ("hyperparameters",), "\n" + change.whole.rstrip("\n"), block=True)


def with_key(text: str, path: tuple[str, ...], value: str, *, block: bool = False) -> str:
    """The text with a key of one or two levels set to a YAML value.

    With `block` the value begins with a line break and takes the place of the whole old part.
    """
    root = compose(text)
    if not isinstance(root, MappingNode):
        return f"{text}{path[0]}:{value if block else ' ' + value}\n"
    inner = child(root, path[0])
    if len(path) == 2:
        if isinstance(inner, MappingNode) and inner.value:
            return rewritten(text, inner, _set_in(inner, path[1], value))
        value = f"{{{path[1]}: {value}}}"
    if block and root.flow_style:
        value = flow(load(value))
    items = _set_in(root, path[0], value)
    if block:
        items = [item if item.value is None else Item(None, path[0], value) for item in items]
    return rewritten(text, root, items)


def _set_in(node: MappingNode, key: str, value: str) -> list[Item]:
    items = kept(node)
    for position, (name, _) in enumerate(node.value):
        if isinstance(name, ScalarNode) and name.value == key:
            items[position] = Item(position, value=value)
            return items
    return [*items, Item(None, key, value)]


def _found(text: str, edit: Mapping[str, Any]) -> tuple[MappingNode, tuple[Row, ...], int]:
    space = space_of(compose(text))
    rows = rows_of(text, space)
    for position, row in enumerate(rows):
        if row.was == edit.get("was") and isinstance(space, MappingNode):
            return space, rows, position
    raise CannotEdit("The row is no longer in the file.")


def _space(text: str) -> dict[Any, Any]:
    file = load(text)
    space = file.get("hyperparameters") if isinstance(file, dict) else None
    return space if isinstance(space, dict) else {}


def _checked(before: str, after: str, position: int) -> str:
    """`after`, when it differs from `before` in one hyperparameter at most."""
    old, new = load(before), load(after)
    if isinstance(old, dict) and isinstance(new, dict):
        rows = [list(_space(text).items()) for text in (before, after)]
        size = len(rows[0])
        rest = [repr(pairs[:position] + pairs[position + 1 :]) for pairs in rows]
        if len(rows[1]) < size:
            rest[1] = repr(rows[1])
        others = [repr({**file, "hyperparameters": None}) for file in (old, new)]
        if rest[0] == rest[1] and others[0] == others[1]:
            return after
    raise CannotEdit("This YAML is written in a way that rows cannot change; change it there.")
