"""docs/rules.md names what is there: the function and the test of every rule on findings."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "experiments" / "analysis"


def rows() -> dict[str, list[str]]:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    section = text.partition("## Findings: R20 to R65")[2].partition("\n## ")[0]
    found = re.findall(r"^\| ([^|]+?) \| (.+) \|$", section, re.MULTILINE)
    return {
        name: rest.split(" | ")
        for name, rest in found
        if name not in ("rule",) and not name.startswith("---")
    }


def test_every_rule_from_r20_to_r65_stands_in_the_table() -> None:
    told = {number for name in rows() for number in re.findall(r"R(\d+)", name)}
    expected = [*range(20, 27), *range(30, 45), *range(50, 57), *range(60, 66)]
    assert sorted(map(int, told)) == expected


def test_every_function_and_test_that_it_names_exists() -> None:
    for name, (_, built, test, *_) in rows().items():
        for path in re.findall(r"`(\w+)\.(\w+)`", built):
            (file,) = (ROOT / "experiments" / "analysis").rglob(f"{path[0]}.py")
            dotted = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            module = importlib.import_module(dotted)
            assert callable(getattr(module, path[1])), f"{name}: no {'.'.join(path)}"
        for function in re.findall(r"`(test_\w+)`", test):
            files = TESTS.rglob("test_*.py")
            assert any(f"def {function}(" in file.read_text("utf-8") for file in files), function
