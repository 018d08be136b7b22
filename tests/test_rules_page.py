"""docs/rules.md names what is there: every rule's function and its test exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from experiments.analysis.design.checks import DESIGN_RULES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "rules.md"
TESTS = ROOT / "tests" / "experiments" / "analysis"


def _rows() -> list[list[str]]:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("## Designs: R1 to R15")
    section = rest.partition("\n## ")[0]
    rows = re.findall(r"^\| (R\d+) \|.*\| `([\w.]+)` \| `(\w+)` \|$", section, re.MULTILINE)
    return [list(row) for row in rows]


def test_every_rule_on_designs_stands_in_the_table_with_its_function_and_test() -> None:
    rows = _rows()
    assert [number for number, _, _ in rows] == [f"R{number}" for number in range(1, 16)]
    for number, built, test in rows:
        module, _, function = built.rpartition(".")
        rule = getattr(importlib.import_module(f"experiments.analysis.{module}"), function)
        if number in DESIGN_RULES:
            assert DESIGN_RULES[number][1] is rule
        text = (TESTS / f"test_{module}.py").read_text(encoding="utf-8")
        assert f"def {test}(" in text, f"{number}: no test {test}"
        assert f"{function}(" in text
