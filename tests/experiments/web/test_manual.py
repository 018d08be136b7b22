"""The documentation on the server, and the terms that templates explain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import get_resolver, reverse

from experiments.web.manual import CHAPTERS, SECTIONS, chapter, glossary, section_of, terms
from tests import cast
from tests.e2e.test_every_page import BY_LINK, pages

TEMPLATES = sorted((settings.BASE_DIR / "templates").rglob("*.html"))
USED = re.compile(r'{% term "([^"]+)"')


def test_every_row_of_the_glossary_is_a_term() -> None:
    text = Path(settings.BASE_DIR / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert sum(len(some) for some in glossary().values()) == len(rows) - len(heads)
    assert terms()["look"] is terms()["interim analysis"]
    assert "<em>scientific</em>" in terms()["hyperparameter role"].meaning


def test_every_term_that_a_template_explains_is_in_the_glossary() -> None:
    used = {name for path in TEMPLATES for name in USED.findall(path.read_text(encoding="utf-8"))}
    assert len(used) > 15
    assert used - set(terms()) == set()


def test_every_page_has_its_section_of_the_documentation() -> None:
    named = {
        str(pattern.pattern): pattern.name
        for pattern in get_resolver("experiments.site.urls").url_patterns
    }
    public = BY_LINK | {"login/", "password/", "shared/<str:secret>/", "docs/<slug:chapter>/"}
    opened = {named[route] for route in pages() - public}
    assert opened - set(SECTIONS) == set(), "name its section in SECTIONS"
    for view, place in SECTIONS.items():
        name, _, anchor = place.partition("#")
        found = chapter(name)
        assert found and (not anchor or f'id="{anchor}"' in found.html), f"{view}: {place}"
        assert section_of(view)


def test_chapters_link_each_other_and_show_no_picture() -> None:
    for name in CHAPTERS:
        found = chapter(name)
        assert found and found.title and "<img" not in found.html
        for target in re.findall(r'href="([^"]*)"', found.html):
            assert target.startswith(("http", "#", reverse("manual", args=["pages"])[:6])), target


def test_a_term_is_explained_where_it_stands_first() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    page = Template('{% term "arm" "Arms" %} and {% term "arm" %} and {% term "pair" %}')
    shown = page.render(Context({"request": request}))
    assert shown.count("popovertarget=") == 2
    assert shown.count('id="term-arm"') == 1
    assert "Arms</button>" in shown and " and arm and " in shown
    assert 'aria-describedby="meaning-arm"' in shown
    assert "Glossary</a>" not in shown, "who is not logged in reads no documentation here"


@pytest.mark.django_db
def test_the_glossary_is_a_page_with_an_anchor_for_each_term(client: Client) -> None:
    client.force_login(cast.person("dan"))
    text = client.get(reverse("manual", args=["glossary"])).content.decode()
    assert all(f'<div id="{term.anchor}">' in text for term in terms().values())
    assert "(non-inferiority)" in text


@pytest.mark.django_db
def test_a_chapter_that_there_is_not_is_not_read(client: Client) -> None:
    client.force_login(cast.person("dan"))
    for name in (
        "none",
        "..%2f..%2fREADME",
        "decisions%2f0001-trials-are-stored-once",
        "benchmarks",
    ):
        assert client.get(f"/docs/{name}/").status_code == 404, name


@pytest.mark.django_db
def test_a_page_links_its_section_and_names_the_keys(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    text = client.get("/projects/digits/").content.decode()
    assert '<a href="/docs/pages/#project">Documentation: Project</a>' in text
    assert "data-keys-open" in text
