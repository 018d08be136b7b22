"""Hyperparameter rows of the form: each is one entry of the file, cell by cell as it is written.

Only cells that change are written back, so that a file keeps its own words, and keys that no cell
shows stay. What is wrong in a cell is written as it is and told by the file's own parser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from experiments.design.document.file_fields import is_unfinished
from experiments.design.yaml_editing.yaml_editing import (
    RawYaml,
    cell,
    child,
    load,
    load_node,
    scalar,
    source,
    wrapped,
)
from experiments.errors import InvalidExperiment, Problem

KINDS = ("range", "choices", "value")
RANGE_KEYS = ("low", "high", "log", "step", "type")
KEYS = ("role", *RANGE_KEYS, "choices", "ordered", "value", "natural", "when")
# Which keys have a meaning beside which kind.
KEYS_OF = {"range": RANGE_KEYS, "choices": ("choices", "ordered"), "value": ("value",)}
# Where a problem with a key of the file is shown.
CELL_OF = {"log": "scale", "type": "numbers"}
LONGEST_CELL = 20_000
MOST_OFFERED = 20  # choices of one hyperparameter


@dataclass(frozen=True, slots=True)
class Row:
    """One hyperparameter; `was` is its key as the file writes it, "" for none yet.

    `low`, `high`, `step`, `choices`, `value` and `when` hold YAML as a person writes it, without
    the brackets of `choices` and `when`. `numbers` is "" (by the look of low and high), int or
    float.
    """

    was: str = ""
    name: str = ""
    role: str = "nuisance"
    kind: str = "range"
    low: str = ""
    high: str = ""
    scale: str = "linear"
    step: str = ""
    numbers: str = ""
    choices: str = ""
    ordered: bool = False
    value: str = ""
    natural_low: bool = False
    natural_high: bool = False
    when: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def changed(self, cells: Mapping[str, Any]) -> Row:
        """The row with some cells changed; a new role or kind takes along what it can.

        Raises:
            InvalidExperiment: for a cell that there is not.
        """
        known = {field.name: field.type for field in fields(self) if field.name != "was"}
        for name, value in cells.items():
            kind = bool if known.get(name) == "bool" else str
            if name not in known or not isinstance(value, kind) or len(str(value)) > LONGEST_CELL:
                raise InvalidExperiment(
                    "The row cannot be changed like this.", [Problem(name, "no cell")]
                )
        after = replace(self, **cells)
        if "role" in cells and (after.role == "fixed") is not (after.kind == "value"):
            after = replace(
                after, kind="value" if after.role == "fixed" else self._searched_kind()
            )
        return after if after.kind == self.kind else after._converted(self.kind)

    def _searched_kind(self) -> str:
        return "range" if _is_number(load(self.value)) else "choices"

    def _converted(self, before: str) -> Row:
        """Fields of one kind converted to another; never over what is there already."""
        ends = {
            "range": [self.low, self.high],
            "choices": _parts(self.choices),
            "value": [self.value],
        }[before]
        first, last = (ends[0], ends[-1]) if ends else ("", "")
        if self.kind == "value":
            return replace(self, value=self.value or first)
        if self.kind == "choices":
            return replace(self, choices=self.choices or ", ".join(filter(None, ends)))
        low, high = self.low or first, self.high or (last if len(ends) > 1 else "")
        return replace(self, low=low, high=high)

    def written(self) -> dict[str, str]:
        """The entry's keys and their YAML; what is empty or usual is left out."""
        found = {"role": scalar(self.role) if self.role else ""}
        if self.kind == "range":
            found |= {"low": cell(self.low), "high": cell(self.high), "step": cell(self.step)}
            found |= {"log": "true" if self.scale == "log" else "", "type": self.numbers}
            found = {key: value for key, value in found.items() if value not in ("", '""')}
        elif self.kind == "choices":
            found["choices"] = wrapped(self.choices, "[", "]")
            found["ordered"] = "true" if self.ordered else ""
        elif self.value.strip():
            by = self.value.strip().startswith("by:")
            found["value"] = wrapped(self.value, "{", "}") if by else cell(self.value)
        if self.kind == "range" or (self.kind == "choices" and self.ordered):
            edges = [edge for edge in ("low", "high") if getattr(self, f"natural_{edge}")]
            found["natural"] = f"[{', '.join(edges)}]" if edges else ""
        found["when"] = wrapped(self.when, "{", "}") if self.when.strip() else ""
        return {key: found[key] for key in KEYS if found.get(key)}


def rows_of(text: str, space: Node | None) -> tuple[Row, ...]:
    """The rows of a file's hyperparameters, in its order."""
    if not isinstance(space, MappingNode):
        return ()
    return tuple(_row(text, key, entry) for key, entry in space.value)


def _row(text: str, key: Node, entry: Node) -> Row:
    name = key.value if isinstance(key, ScalarNode) else ""
    row = Row(was=source(text, key), name=name, role="", kind="value")
    if not isinstance(entry, MappingNode):
        return replace(row, value=source(text, entry))
    nodes = {key.value: value for key, value in entry.value if isinstance(key, ScalarNode)}
    role = load_node(nodes["role"]) if "role" in nodes else ""
    role = role if isinstance(role, str) else source(text, nodes["role"])
    kind = next((kind for kind in KINDS if any(key in nodes for key in _telling(kind))), "")

    def value_of(key: str) -> str:
        return source(text, nodes[key]) if key in nodes else ""

    def is_true(key: str) -> bool:
        return key in nodes and load_node(nodes[key]) is True

    natural = load_node(nodes["natural"]) if "natural" in nodes else []
    numbers = value_of("type")
    return replace(
        row,
        role=role,
        kind=kind or ("value" if role == "fixed" else "range"),
        low=value_of("low"),
        high=value_of("high"),
        scale="log" if is_true("log") else "linear",
        step=value_of("step"),
        numbers=numbers if numbers in ("int", "float") else "",
        choices=_inside(value_of("choices"), "[]"),
        ordered=is_true("ordered"),
        value=value_of("value"),
        natural_low=isinstance(natural, list) and "low" in natural,
        natural_high=isinstance(natural, list) and "high" in natural,
        when=_inside(value_of("when"), "{}"),
    )


def _telling(kind: str) -> tuple[str, ...]:
    return ("low", "high") if kind == "range" else KEYS_OF[kind]


def _inside(written: str, brackets: str) -> str:
    if written.startswith(brackets[0]) and written.endswith(brackets[1]):
        return written[1:-1].strip()
    # What was no list had to be quoted to stand there: show what was written.
    data = load(written)
    return data if isinstance(data, str) else written


def _parts(choices: str) -> list[str]:
    data = load(f"[{choices}]")
    if not isinstance(data, list):
        return []
    return [scalar(element) if isinstance(element, str) else str(element) for element in data]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def changed_entry(entry: Any, before: Row, after: Row) -> dict[Any, Any]:
    """The entry after its row has changed; keys that no cell shows stay."""
    old, new = before.written(), after.written()
    found = dict(entry) if isinstance(entry, dict) else {}
    if before.kind != after.kind:
        obsolete = {key for kind in KINDS for key in KEYS_OF[kind]} - set(KEYS_OF[after.kind])
        found = {key: value for key, value in found.items() if key not in obsolete}
    for key in KEYS:
        if old.get(key) == new.get(key) and entry and isinstance(entry, dict):
            continue
        if key in new:
            found[key] = RawYaml(new[key])
        else:
            found.pop(key, None)
    return found


def conditions_of(rows: Sequence[Row]) -> list[str]:
    """Choices of the cell `when`: each choice of a hyperparameter that may decide."""
    found = []
    for row in rows:
        choices = _parts(row.choices) if row.kind == "choices" and row.role == "scientific" else []
        found += [f"{scalar(row.name)}: {choice}" for choice in choices[:MOST_OFFERED]]
    return found


def problems_of_rows(rows: Sequence[Row], problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The parser's problems that belong to a row, each with its row's position and its cell.

    A problem with a key that no cell shows has the cell "", and names the key in its message.
    """
    found = []
    for problem in problems:
        place = _place(rows, problem.where)
        if place is None:
            continue
        index, rest = place
        key = rest.split(".", 1)[0]
        field = CELL_OF.get(key, key)
        cells = {column.name for column in fields(Row)} | {"natural"}
        hidden = field not in cells or not _shows(rows[index], field)
        message = f"{rest}: {problem.message}" if hidden and rest else problem.message
        belongs = {"row": index, "cell": "" if hidden else field}
        found.append({**belongs, "message": message, "unfinished": is_unfinished(problem)})
    return found


def _shows(row: Row, field: str) -> bool:
    """Test whether a row of this kind has the cell on the page."""
    cells = {
        "range": ("low", "high", "scale", "step", "numbers"),
        "choices": ("choices", "ordered"),
    }
    everywhere = ("name", "role", "kind", "when", "natural")
    return field in everywhere or field in cells.get(row.kind, ("value",))


def _place(rows: Sequence[Row], where: str) -> tuple[int, str] | None:
    """The row with the longest name that `where` begins with, and what follows the name."""
    path = where.removeprefix("hyperparameters.")
    if path == where:
        return None
    best: tuple[int, str] | None = None
    for index, row in enumerate(rows):
        rest = path.removeprefix(row.name)
        follows = rest == "" or rest.startswith(".")
        if path.startswith(row.name) and follows and (best is None or len(rest) < len(best[1])):
            best = (index, rest)
    return None if best is None else (best[0], best[1].lstrip("."))


def space_of(root: Node | None) -> Node | None:
    """The `hyperparameters:` part of a composed file."""
    return child(root, "hyperparameters")
