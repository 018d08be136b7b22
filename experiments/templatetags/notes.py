"""Notes in Markdown as safe HTML."""

from __future__ import annotations

from collections.abc import Mapping

from django import template
from django.utils.safestring import SafeString

from experiments.web import note_markdown

register = template.Library()


@register.filter
def as_markdown(text: str, images: Mapping[str, str] | None = None) -> SafeString:
    """Notes as HTML; `images`: address by the name of each file that they may show."""
    return note_markdown.as_html(text, images)


@register.filter
def as_prose(text: str) -> SafeString:
    """A text with headings of its own as HTML: `#` becomes one of the second level."""
    return note_markdown.as_html(text, top=2)
