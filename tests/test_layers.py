"""Holds the arrows of docs/architecture.md: which part may import which, and how large a file is.

Every import statement counts, also one inside a function or under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("config", "experiments", "workers")
LONGEST_FILE = 400
BANNED_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "base"}

# Part -> all of ours it may import beside itself. A name covers what lies below it, too.
ALLOWED: dict[str, tuple[str, ...]] = {
    "experiments.apps": (),
    "experiments.errors": (),
    "experiments.models": (
        "experiments.errors",
        "experiments.design.space.search_space",
        "experiments.canonical_json",
        "experiments.trials.series.series_encoding",
    ),
    "experiments.design.space.search_space": (
        "experiments.errors",
        "experiments.design.catalogue",
        "experiments.design.space.domains",
    ),
    "experiments.design.space.domains": (),
    "experiments.trials.series.series_encoding": (),
    "experiments.analysis": (),
    "experiments.charts": ("experiments.analysis",),
}
SHOWING = (
    "experiments.views",
    "experiments.api",
    "experiments.forms",
    "experiments.templatetags",
    "experiments.management",
    "experiments.site.urls",
    "experiments.web.middleware",
)
# Part -> what of ours it must never import.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "experiments": ("config", "workers"),
    "experiments.models": (
        "experiments.queries",
        "experiments.services",
        "experiments.analysis",
        "experiments.charts",
        *SHOWING,
    ),
    "experiments.queries": (
        "experiments.services",
        "experiments.charts",
        "experiments.trials.panels",
        *SHOWING,
    ),
    "experiments.services": ("experiments.charts", "experiments.trials.panels", *SHOWING),
    "experiments.trials.panels": (
        "experiments.models",
        "experiments.services",
        "experiments.views",
        "experiments.api",
    ),
    "experiments.forms": ("experiments.views", "experiments.api", "experiments.models"),
    "experiments.views": ("experiments.models",),
    "experiments.api": ("experiments.models", "experiments.views"),
    "workers": ("config", "experiments.models", "experiments.charts", *SHOWING),
}
# Part -> the only packages it may import beside the standard library and ours.
PACKAGES: dict[str, tuple[str, ...]] = {
    "experiments.analysis": ("numpy", "scipy", "statsmodels"),
    "experiments.charts": ("numpy", "plotly"),
    "experiments.models": ("django",),
}
NEVER_IN_EXPERIMENTS = ("torch", "sklearn", "optuna", "redis")


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for part in OURS:
        for path in sorted((ROOT / part).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Dotted names a file imports; ``from a import b`` gives ``a.b`` (b may be a module)."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def within_any(name: str, parts: tuple[str, ...]) -> bool:
    return any(within(name, part) for part in parts)


def wrong_imports(module: str, imported: set[str]) -> list[str]:
    """What this module may not import, each with the rule it breaks."""
    wrong = []
    for name in sorted(imported):
        ours = name.split(".", 1)[0] in OURS
        for part, forbidden in FORBIDDEN.items():
            if ours and within(module, part) and within_any(name, forbidden):
                wrong.append(f"{module} imports {name}: {part} must not")
        for part, allowed in ALLOWED.items():
            if ours and within(module, part) and not within_any(name, (part, *allowed)):
                wrong.append(f"{module} imports {name}: {part} may only use {allowed}")
        package = name.split(".", 1)[0]
        foreign = not ours and package not in sys.stdlib_module_names
        for part, packages in PACKAGES.items():
            if foreign and within(module, part) and package not in packages:
                wrong.append(f"{module} imports {name}: {part} may only use {packages}")
        if (
            within(module, "experiments")
            and package in NEVER_IN_EXPERIMENTS
            and not within(name, "optuna.distributions")
        ):
            wrong.append(f"{module} imports {name}: experiments must not")
    return wrong


@pytest.mark.parametrize("module", modules())
def test_imports_point_downwards(module: str) -> None:
    assert wrong_imports(module, imports(modules()[module])) == []


@pytest.mark.parametrize("module", modules())
def test_files_are_short_and_named_for_what_they_hold(module: str) -> None:
    path = modules()[module]
    if "migrations" not in path.parts:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= LONGEST_FILE, f"{path.name} has {lines} lines"
    if not (within(module, "config.kept_connections") and path.name == "base.py"):  # Django's name
        assert not BANNED_NAMES & set(module.split("."))


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("experiments.analysis.curves.curves", "django.db"),
        ("experiments.analysis.curves.curves", "experiments.models"),
        ("experiments.analysis.curves.curves", "pandas"),
        ("experiments.charts.curves", "experiments.trials.series.queries.curves"),
        ("experiments.models.trial", "experiments.trials.lifecycle.services.trials"),
        (
            "experiments.trials.lifecycle.queries.trials",
            "experiments.trials.lifecycle.services.trials",
        ),
        ("experiments.trials.lifecycle.services.trials", "workers.node.runner"),
        ("experiments.trials.lifecycle.services.trials", "optuna.trial.TrialState"),
        ("experiments.trials.lifecycle.services.trials", "experiments.trials.pages.trials"),
        ("experiments.trials.pages.trials", "experiments.models.Trial"),
        ("experiments.trials.pages.trials", "config.settings"),
        ("workers.node.runner", "experiments.models.Trial"),
        ("workers.node.runner", "experiments.charts.curves"),
    ],
)
def test_the_rules_catch_an_arrow_that_points_upwards(module: str, imported: str) -> None:
    assert wrong_imports(module, {imported})


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("experiments.analysis.curves.curves", "experiments.analysis.space.steps"),
        ("experiments.analysis.curves.curves", "scipy.stats"),
        ("experiments.trials.lifecycle.queries.trials", "experiments.models.Trial"),
        ("experiments.design.space.search_space", "optuna.distributions.FloatDistribution"),
        ("experiments.trials.pages.trials", "experiments.trials.lifecycle.services.trials"),
        ("workers.node.runner", "experiments.trials.lifecycle.services.trials"),
        ("workers.search.storage", "optuna.storages.BaseStorage"),
        ("config.settings", "config.env"),
    ],
)
def test_the_rules_let_an_arrow_point_downwards(module: str, imported: str) -> None:
    assert wrong_imports(module, {imported}) == []


def test_the_analysis_works_without_django() -> None:
    names = [name for name in modules() if within(name, "experiments.analysis")]
    program = f"import sys, {', '.join(names)}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert "experiments.analysis" in loaded
    assert not {"django", "torch", "optuna", "celery"} & set(loaded)


def test_signals_carry_no_domain_flow() -> None:
    """A receiver hides who calls whom; services call each other by name instead."""
    for module, path in modules().items():
        used = {name for name in imports(path) if within(name, "django.dispatch")}
        assert not used, f"{module} imports {used}"


def test_tests_mirror_the_tree() -> None:
    """tests/experiments/x/test_y.py stands beside an existing experiments/x (y may be finer)."""
    for part in OURS:
        for path in (ROOT / "tests" / part).rglob("test_*.py"):
            folder = path.parent.relative_to(ROOT / "tests")
            assert (ROOT / folder).is_dir(), f"{path}: there is no {folder}"
