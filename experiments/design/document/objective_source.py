"""Training functions as their source declares them: hyperparameters with defaults, logged metrics.

Sources are parsed and never imported or run, so what a program computes is not seen: a name that
is built at run time stays unknown.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

Scalar = str | int | float | bool | None
_RUN = "run"
_DYNAMIC = {"locals", "vars", "eval", "exec"}
# Attributes that hand out what logs, or change a mapping.
_WAYS_TO_LOG = {"log", "update", "setdefault", "__setitem__", "__dict__", "__class__"}
_SECTION = re.compile(r"^\s*(args|arguments|parameters|hyperparameters|params)\s*:?\s*$", re.I)
_ENTRY = re.compile(r"^\s*\*{0,2}([A-Za-z_]\w*)\s*(?:\([^)]*\))?\s*:(?!:)")


@dataclass(frozen=True, slots=True)
class DeclaredHyperparameter:
    """A hyperparameter that a training function reads; `default` where `has_default`."""

    name: str
    default: Scalar = None
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class TrainingFunctionSource:
    """One training function.

    `metrics` are the names it logs in plain text; `logs_more` says that others may be logged, too:
    under a computed name, as the returned score, or by whoever else gets hold of the run or of a
    mapping that is logged.
    """

    objective: str
    summary: str = ""
    hyperparameters: tuple[DeclaredHyperparameter, ...] = ()
    metrics: tuple[str, ...] = ()
    logs_more: bool = True

    def never_logs(self, metric: str) -> bool:
        """Tell from the source that a metric is not logged."""
        return bool(metric) and not self.logs_more and metric not in self.metrics


def training_functions(module: str, tree: ast.Module) -> list[TrainingFunctionSource]:
    """Public functions of a module that can be called with the run alone and name it so."""
    return [
        read_function(module, tree, node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and _takes_a_run(node)
    ]


def find_function(module: str, tree: ast.Module, name: str) -> TrainingFunctionSource | None:
    """One function of a module whatever its parameters are called; None when there is none."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return read_function(module, tree, node)
    return None


def read_function(module: str, tree: ast.Module, node: ast.FunctionDef) -> TrainingFunctionSource:
    """Everything that the source of a training function declares."""
    reader = _Reader(tree, node)
    for statement in node.body:
        reader.visit(statement)
    reader.look_for_other_ways()
    lines = (ast.get_docstring(node) or "").strip().splitlines()
    return TrainingFunctionSource(
        objective=f"{module}:{node.name}",
        summary=lines[0][:200] if lines else "",
        hyperparameters=tuple(reader.hyperparameters()),
        metrics=tuple(dict.fromkeys(reader.metrics)),
        logs_more=reader.logs_more,
    )


def _takes_a_run(node: ast.FunctionDef) -> bool:
    arguments = node.args
    first = [*arguments.posonlyargs, *arguments.args][:1]
    if node.name.startswith("_") or not first:
        return False
    required = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    keywords = any(default is None for default in arguments.kw_defaults)
    return required == 1 and not keywords and _is_a_run(first[0])


def _is_a_run(argument: ast.arg) -> bool:
    kind = argument.annotation
    named = kind is not None and ast.unparse(kind).strip("'\"").rpartition(".")[2] == "Run"
    return argument.arg == _RUN or named


@dataclass
class _Reader(ast.NodeVisitor):
    """One pass through the body of a training function."""

    tree: ast.Module
    function: ast.FunctionDef
    metrics: list[str] = field(default_factory=list)
    logs_more: bool = False
    _logged_mappings: dict[str, set[str]] = field(default_factory=dict)  # variable: keys logged
    _found: dict[str, DeclaredHyperparameter] = field(default_factory=dict)
    _parameters: set[str] = field(default_factory=set)  # variables that hold the run's
    _mappings: dict[str, list[str] | None] = field(default_factory=dict)  # variable: its keys

    def __post_init__(self) -> None:
        arguments = self.function.args
        named = [*arguments.posonlyargs, *arguments.args]
        self._run = named[0].arg if named else ""
        first = len(named) - len(arguments.defaults)
        for argument, default in zip(named[first:], arguments.defaults, strict=True):
            self._default(argument.arg, default)
        for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if value is not None:
                self._default(argument.arg, value)

    def look_for_other_ways(self) -> None:
        """Set `logs_more` where the run, or a mapping that is logged, may be used unseen."""
        uses = _Uses(self._run)
        for statement in self.function.body:
            uses.visit(statement)
        if self.function.decorator_list or uses.unseen & {self._run, *_DYNAMIC}:
            self.logs_more = True
        for name, keys in self._logged_mappings.items():
            if name in uses.unseen or uses.assigned[name] > 1 or uses.keys[name] - keys:
                self.logs_more = True

    def hyperparameters(self) -> Iterator[DeclaredHyperparameter]:
        """Those of code first, then those that only the docstring names."""
        yield from self._found.values()
        for name in _documented(ast.get_docstring(self.function) or ""):
            if name not in self._found and name != self._run:
                yield DeclaredHyperparameter(name)

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if isinstance(target, ast.Name):
            if self._holds_parameters(node.value):
                self._parameters.add(target.id)
            elif isinstance(node.value, ast.Dict):
                self._mappings[target.id] = _keys(node.value)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            keys = self._mappings.get(target.value.id)
            text = _text(target.slice)
            if keys is not None:
                self._mappings[target.value.id] = None if text is None else [*keys, text]
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not _is_none(node.value):
            self.logs_more = True  # the returned score is logged under the official name
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        text = _text(node.slice)
        if text is not None and self._are_parameters(node.value):
            self._found.setdefault(text, DeclaredHyperparameter(text))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if name == "get" and owner is not None and self._are_parameters(owner) and node.args:
            self._got(node)
        elif name == "log" and isinstance(owner, ast.Name) and owner.id == self._run:
            self._logged(node)
        if any(self._are_parameters(argument) for argument in _given(node)):
            for argument in (owner, *_given(node)):
                if isinstance(argument, ast.Name):
                    self._of_module(argument.id)
        self.generic_visit(node)

    def _got(self, node: ast.Call) -> None:
        text = _text(node.args[0])
        if text is not None and len(node.args) > 1:
            self._default(text, node.args[1])
        elif text is not None:
            self._found.setdefault(text, DeclaredHyperparameter(text))

    def _logged(self, node: ast.Call) -> None:
        keys: list[str] | None = None
        if node.args and isinstance(node.args[0], ast.Dict):
            keys = _keys(node.args[0])
        elif node.args and isinstance(node.args[0], ast.Name):
            keys = self._mappings.get(node.args[0].id)
            self._logged_mappings[node.args[0].id] = set(keys or ())
        if keys is None:
            self.logs_more = True
        else:
            self.metrics += keys

    def _default(self, name: str, value: ast.expr) -> None:
        try:
            default = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            self._found.setdefault(name, DeclaredHyperparameter(name))
            return
        plain = default is None or isinstance(default, str | int | float)
        if isinstance(default, float) and not math.isfinite(default):
            plain = False
        self._found[name] = DeclaredHyperparameter(name, default if plain else None, plain)

    def _of_module(self, name: str) -> None:
        """Hyperparameters of a class or of a collection of names beside the function."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                for statement in node.body:
                    if isinstance(statement, ast.AnnAssign) and isinstance(
                        statement.target, ast.Name
                    ):
                        self._field(statement.target.id, statement.value)
            elif isinstance(node, ast.Assign) and _is_name(node.targets[0], name):
                for text in _names(node.value):
                    self._found.setdefault(text, DeclaredHyperparameter(text))

    def _field(self, name: str, value: ast.expr | None) -> None:
        if value is None:
            self._found.setdefault(name, DeclaredHyperparameter(name))
        elif name not in self._found or not self._found[name].has_default:
            self._default(name, value)

    def _are_parameters(self, node: ast.expr | None) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._parameters
        return (
            isinstance(node, ast.Attribute)
            and node.attr == "params"
            and isinstance(node.value, ast.Name)
            and node.value.id == self._run
        )

    def _holds_parameters(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return any(self._are_parameters(argument) for argument in _given(node))
        return self._are_parameters(node)


@dataclass
class _Uses(ast.NodeVisitor):
    """Variables of a function by how its body uses them.

    Attributes:
        unseen: those with a use that is no attribute of theirs, no mapping assigned to them, no
            item of theirs, and no logging of them: others may do with them as they like.
        assigned: how often each is assigned a mapping.
        keys: the keys that each is given, "" for one that is computed.
    """

    run: str
    unseen: set[str] = field(default_factory=set)
    assigned: Counter[str] = field(default_factory=Counter)
    keys: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def visit_Name(self, node: ast.Name) -> None:
        self.unseen.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Dict):
            self.assigned[target.id] += 1
            self.keys[target.id].update(_keys(node.value) or ())
            self.unseen.update([target.id] if node.targets[1:] else [])
            for part in (*node.targets[1:], node.value):
                self.visit(part)
            return
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.unseen.update(node.names)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.value, ast.Name):
            self.visit(node.value)
        elif isinstance(node.ctx, ast.Store):
            self.keys[node.value.id].add(_text(node.slice) or "")
        self.visit(node.slice)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.value, ast.Name) or node.attr in _WAYS_TO_LOG:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        logs = (
            isinstance(node.func, ast.Attribute)
            and node.func.attr == "log"
            and _is_name(node.func.value, self.run)
        )
        if not logs:
            self.generic_visit(node)
            return
        given = _given(node)
        is_mapping = bool(node.args) and isinstance(node.args[0], ast.Name)
        for argument in given[1:] if is_mapping and not _is_name(given[0], self.run) else given:
            self.visit(argument)


def _given(node: ast.Call) -> list[ast.expr]:
    return [*node.args, *(keyword.value for keyword in node.keywords)]


def _keys(node: ast.Dict) -> list[str] | None:
    """Keys of a literal mapping; None when one is computed."""
    found = [_text(key) for key in node.keys]
    return None if any(key is None for key in found) else [key for key in found if key]


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Dict):
        return _keys(node) or []
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return [text for element in node.elts if (text := _text(element)) is not None]
    return []


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _documented(docstring: str) -> Iterator[str]:
    """Names of a docstring's section Args, Parameters or Hyperparameters."""
    inside, indent = False, 0
    for line in docstring.splitlines():
        if _SECTION.match(line):
            inside, indent = True, -1
            continue
        if not inside or not line.strip() or set(line.strip()) == {"-"}:
            continue
        deep = len(line) - len(line.lstrip())
        indent = deep if indent < 0 else indent
        entry = _ENTRY.match(line)
        if deep < indent or (deep == indent and entry is None):
            inside = False
        elif deep == indent and entry is not None:
            yield entry[1]
