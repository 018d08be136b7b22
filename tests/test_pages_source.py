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
CODE = sorted((ROOT / "experiments").rglob("*.py"))


# What no template holds, by the word that a failure tells.
INLINE = {
    "a style attribute": r"\sstyle\s*=",
    "a style element": r"<style",
    "a handler": r"\son[a-z]+\s*=",
    "a script of its own": r"<script(?![^>]*src=)[^>]*>",
    "an address that is a script": r"javascript:",
}
TRUSTED = {"|safe": r"\|safe", "autoescape off": r"autoescape off"}
CODE_FROM_TEXT = r"\beval\(|new Function|document\.write|setAttribute\(\"style"


def holding(paths: list[Path], patterns: dict[str, str]) -> list[str]:
    """Each file that holds what a pattern finds, with its word."""
    return [
        f"{path.name}: {word}"
        for path in paths
        for word, pattern in patterns.items()
        if re.search(pattern, path.read_text(encoding="utf-8"))
    ]


def test_templates_hold_no_inline_style_script_or_handler() -> None:
    # Opened from a disk, under a policy of its own that names each script by its digest.
    one_file = ROOT / "templates" / "reports" / "file.html"
    assert holding([path for path in TEMPLATES if path != one_file], INLINE) == []
    inside = ["file.html: a style element", "file.html: a script of its own"]
    assert holding([one_file], INLINE) == inside


# An address from the root of the host misses the path prefix, which `{% url %}` knows.
ROOT_ABSOLUTE = {
    "an attribute": r"""(?:href|src|action|formaction|data-[a-z-]+)=["']/""",
    "a style's address": r"""url\(\s*["']?/""",
    "a script's text": r"""["'`]/[a-z]""",
    "a cookie's path": r"Path=/[;`]",
}


def test_templates_scripts_and_styles_hold_no_address_from_the_root() -> None:
    mails = sorted((ROOT / "templates").rglob("*.txt"))
    assert holding([*TEMPLATES, *mails, *SCRIPTS, *STYLES], ROOT_ABSOLUTE) == []
    pages = [path for path in CODE if {"pages", "panels", "charts"} & set(path.parts)]
    assert pages and holding(pages, {"a link": r"""(?:redirect|href=|Redirect)\(?["']/"""}) == []


def test_every_form_that_posts_carries_the_token() -> None:
    wrong, posting = [], 0
    for path in TEMPLATES:
        forms = re.findall(r"<form[^>]*>.*?</form>", path.read_text(encoding="utf-8"), re.DOTALL)
        for form in forms:
            posts = 'method="post"' in form.split(">", 1)[0]
            posting += posts
            if posts is not ("{% csrf_token %}" in form):
                wrong.append(f"{path.name}: {form[:80]}")
    assert wrong == [] and posting > 10


def test_every_kind_of_message_has_a_style() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    styles = "".join(path.read_text(encoding="utf-8") for path in STYLES)
    kinds = set(re.findall(r'class="[^"]*\bmessage ([a-z]+)', texts))
    assert (
        "warning" in kinds
        and {kind for kind in kinds if f".message.{kind}" not in styles} == set()
    )


def test_templates_trust_no_text() -> None:
    assert holding(TEMPLATES, TRUSTED) == []


def test_scripts_are_short_and_build_no_code_from_text() -> None:
    assert holding(SCRIPTS, {"code from text": CODE_FROM_TEXT}) == []
    texts = {path.name: path.read_text(encoding="utf-8") for path in SCRIPTS}
    assert [name for name, text in texts.items() if len(text.splitlines()) > 150] == []
    silent = [name for name, text in texts.items() if not text.startswith("//")]
    assert silent == [], "says first what it does"


@pytest.mark.parametrize(
    "text",
    ['<p style="x">', "<style>", '<a onclick="x">', "<script>x</script>", "javascript:x"],
)
def test_what_no_template_may_hold_would_be_found(text: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(text)
    assert len(holding([path], INLINE)) == 1
    path.write_text('<script src="x"></script><p class="style">')
    assert holding([path], INLINE) == []


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
    found = getattr(graph_objects, name)
    return isinstance(found, type) and issubclass(found, BaseTraceType)


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
    assert all(f"--hue-{number}" in defined for number in range(1, 11))


def test_every_stylesheet_is_on_every_page_and_short() -> None:
    base = (ROOT / "templates" / "frame.html").read_text(encoding="utf-8")
    linked = re.findall(r"css/(\w+\.css)", base)
    assert sorted(linked) == [path.name for path in STYLES]
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= 150 for path in STYLES)
