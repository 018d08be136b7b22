"""Edits that the form makes in an experiment file, one at a time: text and edit in, text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from experiments.errors import InvalidExperiment, Problem, VerdictError
from experiments.file import presets
from experiments.forms.space_rows import Row, entry_items, new_entry, rows_of, space_of
from experiments.forms.yaml_editing import (
    Item,
    cell,
    child,
    compose,
    flow,
    kept,
    load,
    rewritten,
    scalar,
)

# Cells above the rows: the key's path and whether it holds text or YAML.
HEAD: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "experiment": (("experiment",), True),
    "goal": (("goal",), True),
    "objective": (("objective",), True),
    "trials": (("search", "trials"), False),
}
LONGEST_HEAD = 5_000
_UNREADABLE = "This YAML cannot be read, so rows cannot change it; mend it first."


class CannotEdit(VerdictError):
    """The YAML is written in a way that a row cannot change safely; nothing was changed."""


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
    space = space_of(compose(text))
    names = {row.name for row in rows_of(text, space)}
    number = next(n for n in range(1, len(names) + 2) if f"new_{n}" not in names)
    entry = new_entry(Row())
    if isinstance(space, MappingNode) and space.value:
        return rewritten(text, space, [*kept(space), Item(None, f"new_{number}", entry)])
    return with_key(text, ("hyperparameters",), f"\n  new_{number}: {entry}", block=True)


def _remove(text: str, edit: Mapping[str, Any]) -> str:
    space, _, position = _found(text, edit)
    items = kept(space)
    del items[position]
    return _checked(text, rewritten(text, space, items), position)


def _move(text: str, edit: Mapping[str, Any]) -> str:
    space, _, position = _found(text, edit)
    by = edit.get("by")
    if by not in (-1, 1):
        raise InvalidExperiment("A row moves by one.", [Problem("by", "want 1 or -1")])
    items = kept(space)
    if not 0 <= position + by < len(items):
        return text
    items.insert(position + by, items.pop(position))
    changed = rewritten(text, space, items)
    if sorted(map(repr, _space(text).items())) != sorted(map(repr, _space(changed).items())):
        raise CannotEdit("This YAML is written in a way that rows cannot move; move it there.")
    return changed


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
    for key, data in change.beside.items():
        text = with_key(text, (key,), flow(data))
    if change.whole:
        return with_key(text, ("hyperparameters",), "\n" + change.whole.rstrip("\n"), block=True)
    for name, entry in change.entries.items():
        space = space_of(compose(text))
        if not isinstance(space, MappingNode) or not space.value:
            value = f"\n  {scalar(name)}: {flow(entry)}"
            text = with_key(text, ("hyperparameters",), value, block=True)
            continue
        names = [row.name for row in rows_of(text, space)]
        if name in names:
            items = _with(space, names.index(name), value=flow(entry))
        else:
            items = [*kept(space), Item(None, scalar(name), flow(entry))]
        text = rewritten(text, space, items)
    return text


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
