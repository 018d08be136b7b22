"""The documentation as this server shows it: its chapters, and the terms of its glossary.

One source: the Markdown files of docs/. A page links the section that explains it (`SECTIONS`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.token import Token

# File of docs/ -> title in lists, in the order of reading.
CHAPTERS = {
    "pages": "Pages",
    "reports": "Reports",
    "glossary": "Glossary",
    "experiment_file": "Experiment file",
    "own_training": "Your own training",
    "client": "Log from anywhere",
    "mlflow": "MLflow clients",
    "imports": "Bring your runs",
    "rules": "Rules",
    "deployments": "Deployments",
    "api": "API",
    "security": "Security",
    "operations": "Operations",
}
# Name of an address -> the section that explains its page.
SECTIONS = {
    "projects": "pages#home",
    "project": "pages#project",
    "new_project": "pages#project",
    "baseline": "pages#baseline",
    "new_experiment": "experiment_file",
    "dry_run": "own_training",
    "experiment": "pages#experiment",
    "experiment_edit": "pages#experiment",
    "experiment_delete": "pages#experiment",
    "followups": "pages#follow-ups-and-more-trials",
    "add_trials": "pages#follow-ups-and-more-trials",
    "experiment_control": "operations#gpus-and-control-while-it-runs",
    "trial": "pages#trial",
    "runs": "pages#runs",
    "import": "imports",
    "studies": "imports",
    "study": "imports",
    "compare": "pages#compare",
    "seeds": "pages#replicates",
    "decide": "pages#decide",
    "decision": "pages#decisions",
    "decisions": "pages#decisions",
    "reports": "reports",
    "new_report": "reports#writing",
    "edit_report": "reports#writing",
    "report": "reports",
    "report_history": "reports#versions",
    "frozen_report": "reports#frozen-copies",
    "champions": "pages#champions",
    "batch_sizes": "own_training#which-batch-size",
    "workers": "pages#workers",
    "members": "pages#settings-of-a-project",
    "project_settings": "pages#settings-of-a-project",
    "project_tokens": "pages#tokens",
    "sharing": "pages#shared-links",
    "webhooks": "deployments#webhooks",
    "account": "pages#account",
    "password_change": "security#logging-in",
    "tokens": "pages#tokens",
    "messages": "deployments#mail",
}

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_ROW = re.compile(r"^\| (?P<terms>[^|]+) \| (?P<meaning>.+) \|$")
_SCROLLED = {
    "<pre>": '<pre tabindex="0">',
    "<table>": '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>',
    "</table>": "</table></div>",
}
_AWAY = re.compile(r"https?:")


@dataclass(frozen=True, slots=True)
class Term:
    """A row of the glossary; `anchor` is its place on the glossary's page."""

    names: tuple[str, ...]
    meaning: SafeString
    anchor: str

    @property
    def title(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, slots=True)
class Chapter:
    """A file of docs/ as HTML without its title."""

    name: str
    title: str
    html: SafeString
    sections: tuple[tuple[str, str], ...]  # anchor and heading of each `##`


@lru_cache(maxsize=1)
def glossary() -> dict[str, tuple[Term, ...]]:
    """Terms of docs/glossary.md by the heading that they stand under."""
    found: dict[str, list[Term]] = {}
    for line in _text("glossary").splitlines():
        row = _ROW.match(line)
        if line.startswith("## "):
            found[line[3:]] = []
        elif row and found and row["terms"] != "term" and not row["terms"].startswith("---"):
            names = tuple(term.strip() for term in row["terms"].split(","))
            meaning = SafeString(_MARKDOWN.renderInline(row["meaning"]))
            found[list(found)[-1]].append(Term(names, meaning, anchor_of(names[0])))
    return {heading: tuple(terms) for heading, terms in found.items()}


@lru_cache(maxsize=1)
def terms() -> dict[str, Term]:
    """Every term by each of its names."""
    return {name: term for some in glossary().values() for term in some for name in term.names}


@lru_cache(maxsize=len(CHAPTERS))
def chapter(name: str) -> Chapter | None:
    """A chapter of the documentation, None for a name that is none."""
    if name not in CHAPTERS:
        return None
    tokens = _MARKDOWN.parse(_text(name))
    sections = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[place + 1].content
            token.attrSet("id", anchor_of(heading))
            sections.append((anchor_of(heading), heading, token.tag))
    for token in tokens:
        if token.children:
            token.children = _reachable(token.children)
    title = next((heading for _, heading, tag in sections if tag == "h1"), CHAPTERS[name])
    if tokens and tokens[0].tag == "h1":
        tokens = tokens[3:]
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    for plain, scrolled in _SCROLLED.items():  # what is raw in a chapter was escaped before
        html = html.replace(plain, scrolled)
    second = tuple((mark, heading) for mark, heading, tag in sections if tag == "h2")
    return Chapter(name, title, SafeString(html), second)


def section_of(view: str) -> tuple[str, str] | None:
    """Address and title of the section that explains a page, None for one without."""
    if view not in SECTIONS:
        return None
    name, _, anchor = SECTIONS[view].partition("#")
    address = reverse("manual", args=[name]) + (f"#{anchor}" if anchor else "")
    found = chapter(name)
    headings = dict(found.sections) if found else {}
    return address, headings.get(anchor, CHAPTERS[name])


def anchor_of(heading: str) -> str:
    """A heading's anchor, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _text(name: str) -> str:
    path = settings.BASE_DIR / "docs" / f"{name}.md"
    return str(path.read_text(encoding="utf-8"))


def _reachable(tokens: Sequence[Token]) -> list[Token]:
    """Inline tokens without pictures, and with links only to chapters and other sites."""
    reachable, leads = [], True
    for token in tokens:
        if token.type == "link_open":
            address = _address(str(token.attrGet("href") or ""))
            leads = bool(address)
            token.attrSet("href", address)
        if token.type == "image" or (token.type in ("link_open", "link_close") and not leads):
            continue
        reachable.append(token)
    return reachable


def _address(target: str) -> str:
    """A link of docs/ on this server; empty where it has no such page."""
    if _AWAY.match(target) or target.startswith("#"):
        return target
    name, _, anchor = target.partition("#")
    name = name.removesuffix(".md")
    if name not in CHAPTERS:
        return ""
    return reverse("manual", args=[name]) + (f"#{anchor}" if anchor else "")
