from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.templatetags.notes import as_markdown
from experiments.web.note_markdown import image_names


def test_markdown_becomes_html() -> None:
    html = as_markdown(
        "# Title\n**bold** and `code`\nnext line\n\n- one\n- two\n\n|a|b|\n|-|-|\n|1|2|"
    )
    for part in ("<h3>Title</h3>", "<strong>bold</strong>", "<code>code</code>", "<li>one</li>"):
        assert part in html
    assert "<br" in html and "<td>1</td>" in html


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](https://elsewhere.example/p.png)",
        "<a href='x' onclick='y'>z</a>",
        "<style>body{display:none}</style>",
        "[x](data:text/html,<script>1</script>)",
        "<p style='position:fixed'>",
    ],
)
def test_nothing_that_acts_gets_through(attack: str) -> None:
    html = as_markdown(attack)
    assert not re.search(r"<(script|img|style|iframe|svg|form|input)", html)
    assert not re.search(r"<[^>]*\s(on\w+|style|src)\s*=", html)
    assert not re.search(r'href="(?!https?:|mailto:)', html)


def test_links_tell_no_referrer() -> None:
    html = as_markdown("[x](https://example.org/?a=1&b=2)")
    assert 'href="https://example.org/?a=1&amp;b=2"' in html and "noopener" in html


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_gives_only_known_tags(text: str) -> None:
    known = "p|br|em|strong|code|pre|blockquote|ul|ol|li|hr|a|h[3-6]|table|thead|tbody|tr|th|td"
    for tag in re.findall(r"</?([a-zA-Z0-9]+)", as_markdown(text)):
        assert re.fullmatch(known, tag)


PLOT = {"plots/a b.png": "/files/7/"}


def test_an_image_is_shown_from_a_file_that_may_be_shown_and_from_nowhere_else() -> None:
    html = as_markdown("![loss](<file:plots/a b.png>)", PLOT)
    assert re.fullmatch(r'<p><img src="/files/7/" alt="loss" loading="lazy"></p>\s*', html)
    for elsewhere in (
        "![x](https://elsewhere.example/p.png)",
        "![x](//elsewhere.example/p.png)",
        "![x](/files/7/)",
        "![x](/files/7/?next=1)",
        "![x](data:image/png;base64,AAAA)",
        "![x](file:other.png)",
        "![x](file:///etc/passwd)",
        "![x](FILE:plots/a%20b.png)",
        "![x](file:plots/a%20b.png%22%20onerror=1)",
        "<img src='/files/7/'>",
        "[![x](https://elsewhere.example/p.png)](javascript:alert(1))",
    ):
        assert "<img" not in as_markdown(elsewhere, PLOT), elsewhere
        assert "file:" not in re.sub(r">[^<]*<", "><", as_markdown(elsewhere, PLOT))
    assert "[no image other.png]" in as_markdown("![x](file:other.png)", PLOT)


def test_the_files_that_notes_show_are_named_once_and_code_names_none() -> None:
    text = "![a](file:a.png) ![b](<file:b c.png>) ![a](file:a.png)\n\n`![x](file:x.png)`"
    assert image_names(text) == ("a.png", "b c.png")
