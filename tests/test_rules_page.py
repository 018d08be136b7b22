"""docs/rules.md names what is there: every rule's function and its test exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

from experiments.analysis.design.checks import DESIGN_RULES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "rules.md"
TESTS = ROOT / "tests" / "experiments" / "analysis"


_ROW = re.compile(r"^\| ([^|]+) \|.*\| `([\w.]+)` \| `(\w+)` \|", re.MULTILINE)


def _rows() -> list[tuple[str, str, str]]:
    """Return number, function and test of every rule on designs."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("## Designs: R1 to R15")
    return [(row[0], row[1], row[2]) for row in _ROW.findall(rest.partition("\n## ")[0])]


def _module(name: str) -> ModuleType:
    (found,) = (ROOT / "experiments" / "analysis").rglob(f"{name}.py")
    return importlib.import_module(".".join(found.relative_to(ROOT).with_suffix("").parts))


def test_every_rule_on_designs_stands_in_the_table_with_its_function_and_test() -> None:
    rows = _rows()
    assert [number for number, _, _ in rows] == [f"R{number}" for number in range(1, 16)]
    for number, built, test in rows:
        module, _, function = built.rpartition(".")
        if number in DESIGN_RULES:
            assert DESIGN_RULES[number][1] is getattr(_module(module), function)
        (path,) = TESTS.rglob(f"test_{module}.py")
        text = path.read_text(encoding="utf-8")
        assert f"def {test}(" in text, f"{number}: no test {test}"
        assert f"{function}(" in text
