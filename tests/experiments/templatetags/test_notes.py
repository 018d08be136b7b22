from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.templatetags.notes import as_markdown


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
