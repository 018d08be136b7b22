"""Terms with their meaning, and the section of the documentation that explains a page."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from experiments.web.manual import section_of, terms

register = template.Library()


@register.simple_tag(takes_context=True)
def term(context: template.Context, name: str, words: str = "") -> SafeString:
    """A term of the glossary with its meaning, opened by hover, tap or the keyboard.

    Where it stands on the page for the second time it is only its words.
    """
    found = terms()[name]
    request: HttpRequest | None = context.get("request")
    used: set[str] = request.__dict__.setdefault("explained_terms", set()) if request else set()
    if found.anchor in used:
        return format_html("{}", words or name)
    used.add(found.anchor)
    return format_html(
        '<button type="button" class="term" popovertarget="term-{0}" popovertargetaction="show" '
        'aria-describedby="meaning-{0}">{1}</button><span class="term-note" id="term-{0}" popover>'
        '<b>{2}</b> <span id="meaning-{0}">{3}</span>{4}</span>',
        found.anchor,
        words or name,
        found.title,
        found.meaning,
        _link(found.anchor) if request and request.user.is_authenticated else "",
    )


def _link(anchor: str) -> SafeString:
    address = reverse("manual", args=["glossary"])
    return format_html(' <a href="{}#{}">Glossary</a>', address, anchor)


@register.inclusion_tag("parts/foot.html", takes_context=True)
def foot(context: template.Context) -> dict[str, Any]:
    """The page's section of the documentation, the glossary and the keys."""
    request: HttpRequest = context["request"]
    match = request.resolver_match
    return {"section": section_of(match.url_name or "") if match else None}
