"""The words of docs/glossary.md in code: docstrings that begin with a term."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLAUSE = re.compile(r"(What|Who|Whose|How|Where|Whether|When|Which|Why|That)\b")
VAGUE = {"told", "said", "held", "kept", "aside", "beside"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for part in ("config", "experiments", "workers"):
        for path in sorted((ROOT / part).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def test_docstrings_begin_with_a_noun_phrase_or_an_imperative() -> None:
    clauses = [
        f"{name}: {text.splitlines()[0]}"
        for name, module in _modules()
        for node in ast.walk(module)
        if isinstance(node, DOCUMENTED)
        and (text := ast.get_docstring(node)) is not None
        and CLAUSE.match(text)
    ]
    assert clauses == []


def test_variables_are_named_by_what_they_hold() -> None:
    stored = [
        f"{name}:{node.lineno} {called}"
        for name, module in _modules()
        for node in ast.walk(module)
        if isinstance(node, ast.arg)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        if (called := node.arg if isinstance(node, ast.arg) else node.id) in VAGUE
    ]
    assert stored == []


def test_messages_say_what_they_expected() -> None:
    wants = [
        f"{name}:{node.lineno} {node.value}"
        for name, module in _modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"(|.*[;:,.)] )[Ww]ant ", node.value)
    ]
    assert wants == []


def test_any_stands_for_no_record_of_ours() -> None:
    """A row of a raw query and a document of another format may be anything."""
    records = {"experiment", "trial", "replication", "project", "row", "older", "access"}
    untyped = [
        f"{name}:{argument.lineno} {argument.arg}"
        for name, module in _modules()
        for argument in ast.walk(module)
        if isinstance(argument, ast.arg)
        and argument.arg in records
        and isinstance(argument.annotation, ast.Name)
        and argument.annotation.id == "Any"
    ]
    assert untyped == []
