"""Numbers, times and figures as templates write them."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from experiments.charts.theme import Figure, Plot
from experiments.web import formatting

register = template.Library()

_ESCAPES = {ord(">"): "\\u003E", ord("<"): "\\u003C", ord("&"): "\\u0026"}

for _format in (
    formatting.score,
    formatting.number,
    formatting.signed,
    formatting.deviation,
    formatting.mean,
    formatting.difference,
    formatting.percent,
    formatting.duration,
    formatting.about,
    formatting.ago,
    formatting.moment,
    formatting.megabytes,
    formatting.grouped,
    formatting.counted,
):
    register.filter(_format)


@register.filter
def item(mapping: Any, key: Any) -> Any:
    """An entry of a mapping, None when it has none."""
    return mapping.get(key) if mapping else None


register.simple_tag(formatting.time_range)


@register.simple_tag(takes_context=True)
def page_query(context: template.Context, number: int, key: str = "") -> str:
    """The query of this page's address with another page of its list; `key`: of which one, where
    a page has several."""
    query = context["request"].GET.copy()
    query.pop("since", None)
    query[key or "page"] = str(number)
    return f"?{query.urlencode()}"


@register.simple_tag
def figure_id(key: str, number: int) -> str:
    """Id of a figure in a part of a report: parts are fetched one by one."""
    return f"figure-{key}-{number}"


@register.simple_tag
def figure(plot: Plot, name: str) -> SafeString:
    """A figure for the chart `name`: JSON that the chart's script reads.

    Its words come with it, for those who do not see the chart.
    """
    return kept_figure(plot.figure(), plot.words(), name)


@register.simple_tag
def kept_figure(data: Figure, words: str, name: str) -> SafeString:
    """A figure that was kept with its words.

    Raises:
        ValueError: for numbers that are not finite.
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)
    return format_html(
        '<script type="application/json" id="{}">{}</script><p class="sr">{}</p>',
        name,
        SafeString(text),
        words,
    )
