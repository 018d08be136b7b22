"""What holds for all templates, scripts and vendored files."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from plotly import graph_objects
from plotly.basedatatypes import BaseTraceType
from plotly.offline import get_plotlyjs_version

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "js").glob("*.js"))
STYLES = sorted((ROOT / "static" / "css").glob("*.css"))
VENDOR = ROOT / "static" / "vendor"
CHARTS = sorted((ROOT / "experiments" / "charts").glob("*.py"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_inline_style_script_or_handler(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\sstyle\s*=", text)
    assert not re.search(r"<style", text)
    assert not re.search(r"\son[a-z]+\s*=", text)
    for opening in re.findall(r"<script[^>]*>", text):
        assert "src=" in opening, opening
    assert "javascript:" not in text


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_posts_carries_the_token(path: Path) -> None:
    forms = re.findall(r"<form[^>]*>.*?</form>", path.read_text(encoding="utf-8"), re.DOTALL)
    for form in forms:
        posts = 'method="post"' in form.split(">", 1)[0]
        assert posts is ("{% csrf_token %}" in form)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_trust_no_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "|safe" not in text and "autoescape off" not in text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_short_and_build_no_code_from_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert text.startswith("//"), "says first what it does"
    assert not re.search(r"\beval\(|new Function|document\.write|setAttribute\(\"style", text)


def test_every_script_is_used_by_a_template() -> None:
    used = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    assert [path.name for path in SCRIPTS if f"js/{path.name}" not in used] == []


def test_the_vendored_plotly_is_the_one_that_python_bundles() -> None:
    version = get_plotlyjs_version()
    script = VENDOR / f"plotly-charts-{version}.min.js"
    assert script.read_text(encoding="utf-8").startswith(f"/* plotly.js v{version} with ")
    used = (ROOT / "templates" / "parts" / "plotly.html").read_text(encoding="utf-8")
    assert script.name in used and f"plotly-{version}.css" in used


def test_the_vendored_plotly_draws_every_kind_of_trace_that_charts_use() -> None:
    kinds = {name.lower() for name in graph_objects.__all__ if _is_trace(name)}
    charts = "".join(path.read_text(encoding="utf-8") for path in CHARTS)
    used = set(re.findall(r'"type": "([a-z0-9]+)"', charts)) & kinds
    script = next(VENDOR.glob("plotly-charts-*.min.js")).read_text(encoding="utf-8")
    assert {"scatter", "bar", "contour"} <= used
    assert used <= set(re.findall(r'moduleType:"trace",name:"([a-z0-9]+)"', script))


def _is_trace(name: str) -> bool:
    each = getattr(graph_objects, name)
    return isinstance(each, type) and issubclass(each, BaseTraceType)


def test_the_vendored_files_are_those_on_record() -> None:
    record = (VENDOR / "VERSIONS.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| (\S+\.(?:js|css)) \| ([0-9a-f]{64}) \|", record)
    assert rows
    for name, digest in rows:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    kept = {path.name for path in VENDOR.iterdir() if path.suffix in (".js", ".css")}
    assert kept == {name for name, _ in rows}


def test_the_stylesheet_defines_every_colour_that_charts_ask_for() -> None:
    sheet = "".join(path.read_text(encoding="utf-8") for path in STYLES)
    defined = set(re.findall(r"(--[a-z0-9-]+):", sheet))
    asked = set()
    for path in CHARTS:
        asked |= set(re.findall(r"var\((--[a-z-]+[a-z0-9])\)", path.read_text(encoding="utf-8")))
    asked.discard("--name")  # of an explanation
    assert asked and asked <= defined
    assert all(f"--hue-{number}" in defined for number in range(1, 9))


def test_every_stylesheet_is_on_every_page_and_short() -> None:
    base = (ROOT / "templates" / "base.html").read_text(encoding="utf-8")
    linked = re.findall(r"css/(\w+\.css)", base)
    assert sorted(linked) == [path.name for path in STYLES]
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= 150 for path in STYLES)
