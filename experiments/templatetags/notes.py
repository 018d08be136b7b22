"""Notes in Markdown as safe HTML."""

from __future__ import annotations

from functools import lru_cache

import nh3
from django import template
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

register = template.Library()

# Raw HTML in notes is shown as text; pictures are left out, as they would be fetched elsewhere.
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
_TAGS = {
    "p", "br", "em", "strong", "code", "pre", "blockquote", "ul", "ol", "li", "hr", "a",
    "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


_HEADINGS = ("h1", "h2", "h3")


@register.filter
@lru_cache(maxsize=64)
def as_markdown(text: str, top: int = 3) -> SafeString:
    """Notes as HTML that holds no script, style, picture or unsafe link.

    Headings begin below those of the page: `#` becomes one of the level `top`.
    """
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.tag in _HEADINGS[: top - 1]:
            token.tag = f"h{top}"
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return SafeString(clean)
