"""The arrows of docs/architecture.md: which room may import which, and how large a file is.

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

# Nouns of experiments/, in the order of arrows: each may import itself and those before it.
NOUNS = (
    "models",
    "analysis",
    "charts",
    "web",
    "team",
    "design",
    "trials",
    "verdict",
    "decisions",
    "reports",
    "tracking",
    "site",
    "templatetags",
    "management",
)
# Modules beside the nouns, which every noun but analysis and charts may import.
LOOSE = ("apps", "database", "dispatch", "errors")
# Layers inside a noun, in the order of arrows; a room without such a name is plain domain code.
# follow_ups, review and evidence read and think; panels are what pages and API show alike.
LAYERS = (
    ("",),
    ("queries",),
    ("evidence", "follow_ups", "review"),
    ("services",),
    ("panels",),
    ("pages", "api"),
)
# Every room there is, with the noun that it lies in.
ROOMS = {
    "models": (),
    "analysis": ("curves", "design", "seeds", "space"),
    "charts": (),
    "web": (),
    "team": ("queries", "services", "pages", "api"),
    "design": (
        "document",
        "document.presets",
        "space",
        "yaml_editing",
        "queries",
        "follow_ups",
        "review",
        "pages",
        "api",
    ),
    "trials": (
        "lifecycle",
        "lifecycle.queries",
        "lifecycle.services",
        "series",
        "series.queries",
        "series.services",
        "findings",
        "findings.queries",
        "findings.services",
        "artifacts",
        "artifacts.queries",
        "artifacts.services",
        "table",
        "table.queries",
        "table.services",
        "panels",
        "pages",
        "api",
    ),
    "verdict": ("queries", "evidence", "services", "panels", "pages", "api"),
    "decisions": ("queries", "services", "pages", "api"),
    "reports": ("queries", "services", "pages", "api"),
    "tracking": ("imports", "imports.readers", "queries", "services", "pages", "api"),
    "site": ("queries", "pages", "api"),
    "templatetags": (),
    "management": ("commands",),
}
# Rooms of workers/, in the order of arrows. A training process calls objectives itself.
WORKER_ROOMS = ("training", "objectives", "problems", "delivery", "search", "node", "management")
CALLS_OBJECTIVES = (
    "workers.training.child",
    "workers.training.batch_size",
    "workers.training.preloading",
)
# Of a model's module, what needs no database: how its columns are written down.
COLUMN_FORMATS = ("experiments.models.trial_encoding", "experiments.models.trial_rows")
# Part -> the only packages it may import beside the standard library and ours.
PACKAGES = {
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


def module_of(name: str) -> str:
    """The module that an imported name is, or is in."""
    while name not in modules() and "." in name:
        name = name.rpartition(".")[0]
    return name


def place(name: str) -> tuple[str, int, str]:
    """Noun, layer and face (pages or api) of a module of experiments."""
    _, noun, *rest = [*name.split("."), ""]
    for number, rooms in enumerate(LAYERS):
        for room in rooms:
            if room and room in rest:
                return noun, number, room
    # A page's addresses and its error pages see all of their noun.
    return noun, len(LAYERS) if name == "experiments.site.urls" else 0, ""


def wrong_arrow(module: str, name: str) -> str:
    """Why a module of experiments may not import another; empty when it may."""
    if within_any(name, ("config", "workers")):
        return "experiments imports neither config nor workers"
    noun, layer, face = place(module)
    other, other_layer, other_face = place(module_of(name))
    if other in LOOSE or noun in LOOSE or not other:
        loose = other in LOOSE and noun in ("analysis", "charts")
        return f"{noun} knows nothing of {other}" if loose else ""
    if other not in NOUNS or noun not in NOUNS:
        return f"{noun} or {other} is no noun"
    if NOUNS.index(other) > NOUNS.index(noun):
        return f"{other} comes after {noun}"
    if other == "models" and not within_any(name, COLUMN_FORMATS):
        if noun in ("analysis", "charts"):
            return f"{noun} knows nothing of Django"
        if face in ("panels", "pages", "api"):
            return f"{face} read through queries"
    if other == noun and other_layer > layer:
        return f"{other_face} comes after {face or 'domain code'}"
    if {face, other_face} == {"pages", "api"}:
        return "pages and API never import each other's"
    return ""


def wrong_worker_arrow(module: str, name: str) -> str:
    """Why a module of workers may not import another; empty when it may."""
    if within(name, "config"):
        return "workers knows nothing of config"
    if within(name, "experiments"):
        models = within(name, "experiments.models") and not within_any(name, COLUMN_FORMATS)
        showing = within_any(name, ("experiments.charts", "experiments.templatetags"))
        face = place(module_of(name))[2] in ("panels", "pages", "api")
        return "workers reads and writes through services" if models or showing or face else ""
    room, other = (
        module_name.split(".")[1] if module_name.count(".") > 0 else ""
        for module_name in (module, name)
    )
    if room not in WORKER_ROOMS or other not in WORKER_ROOMS:
        return ""
    if other == "objectives" and module in CALLS_OBJECTIVES:
        return ""
    later = WORKER_ROOMS.index(other) > WORKER_ROOMS.index(room)
    return f"{other} comes after {room}" if later else ""


def wrong_imports(module: str, imported: set[str]) -> list[str]:
    """What this module may not import, each with the rule it breaks."""
    wrong = []
    for name in sorted(imported):
        package = name.split(".", 1)[0]
        why = ""
        if package in OURS:
            if within(module, "experiments"):
                why = wrong_arrow(module, name)
            elif within(module, "workers"):
                why = wrong_worker_arrow(module, name)
        elif package not in sys.stdlib_module_names:
            for part, packages in PACKAGES.items():
                if within(module, part) and package not in packages:
                    why = f"{part} may only use {packages}"
            if within(module, "experiments") and package in NEVER_IN_EXPERIMENTS:
                why = "" if within(name, "optuna.distributions") else "experiments must not"
        if why:
            wrong.append(f"{module} imports {name}: {why}")
    return wrong


def test_every_room_is_named_and_exists() -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT / "experiments").parts)
        for path in (ROOT / "experiments").rglob("*.py")
    } - {"", "migrations"}
    named = set(ROOMS) | {f"{noun}.{room}" for noun, rooms in ROOMS.items() for room in rooms}
    assert found == named
    assert set(NOUNS) == set(ROOMS)
    loose = {path.stem for path in (ROOT / "experiments").glob("*.py")} - {"__init__"}
    assert loose == set(LOOSE)
    rooms = {path.parent.name for path in (ROOT / "workers").glob("*/*.py")}
    assert rooms == set(WORKER_ROOMS)


def test_imports_point_downwards() -> None:
    wrong = [
        found
        for module, path in modules().items()
        if "migrations" not in path.parts
        for found in wrong_imports(module, imports(path))
    ]
    assert wrong == []


def test_files_are_short_and_named_for_what_they_hold() -> None:
    wrong = []
    for module, path in modules().items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if "migrations" not in path.parts and lines > LONGEST_FILE:
            wrong.append(f"{module} has {lines} lines")
        if BANNED_NAMES & set(module.split(".")):
            wrong.append(f"{module} is a drawer")
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("experiments.analysis.curves.curves", "django.db"),
        ("experiments.analysis.curves.curves", "experiments.models.Trial"),
        ("experiments.analysis.curves.curves", "experiments.errors.VerdictError"),
        ("experiments.analysis.curves.curves", "pandas"),
        ("experiments.charts.axes", "experiments.trials.series.queries.curves"),
        ("experiments.models.trial", "experiments.trials.lifecycle.services.trials"),
        ("experiments.trials.lifecycle.queries.trials", "experiments.trials.lifecycle.services"),
        ("experiments.trials.lifecycle.services.trials", "workers.node.runner"),
        ("experiments.trials.lifecycle.services.trials", "optuna.trial.TrialState"),
        ("experiments.trials.lifecycle.services.trials", "experiments.trials.pages.trials"),
        ("experiments.trials.pages.trials", "experiments.decisions.queries.decisions"),
        ("experiments.trials.pages.trials", "experiments.trials.api.trials"),
        ("experiments.decisions.api.decisions", "experiments.verdict.pages.replicates"),
        ("experiments.verdict.evidence.evidence", "experiments.decisions.services.decisions"),
        ("experiments.trials.pages.trials", "config.settings"),
        ("experiments.trials.pages.trials", "experiments.models.Trial"),
        ("workers.node.runner", "experiments.models.Trial"),
        ("workers.node.runner", "experiments.charts.axes"),
        ("workers.node.runner", "experiments.trials.pages.trials"),
        ("workers.training.run", "workers.node.runner"),
        ("workers.training.run", "workers.objectives.command"),
    ],
)
def test_the_rules_catch_an_arrow_that_points_upwards(module: str, imported: str) -> None:
    assert wrong_imports(module, {imported})


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("experiments.analysis.curves.curves", "experiments.analysis.thresholds"),
        ("experiments.analysis.curves.curves", "scipy.stats"),
        ("experiments.trials.lifecycle.queries.trials", "experiments.models.Trial"),
        ("experiments.design.space.search_space", "optuna.distributions.FloatDistribution"),
        ("experiments.trials.pages.trials", "experiments.trials.lifecycle.services.trials"),
        ("experiments.decisions.services.decisions", "experiments.verdict.evidence.evidence"),
        ("workers.node.runner", "experiments.trials.lifecycle.services.trials"),
        ("workers.node.runner", "workers.training.messages"),
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
