"""The words of docs/glossary.md in code: docstrings that begin with a term."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLAUSE = re.compile(r"(What|Who|Whose|How|Where|Whether|When|Which|Why|That)\b")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def test_docstrings_begin_with_a_noun_phrase_or_an_imperative() -> None:
    clauses = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for part in ("config", "experiments", "workers")
        for path in sorted((ROOT / part).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, DOCUMENTED)
        and (text := ast.get_docstring(node)) is not None
        and CLAUSE.match(text)
    ]
    assert clauses == []
