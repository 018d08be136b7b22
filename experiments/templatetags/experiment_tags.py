"""Filters and tags of an experiment's pages: search space, findings, heads of columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django import template

from experiments.design.follow_ups.followups import FOLLOWUPS
from experiments.design.space_formatting import condition_words, domain_words, scale_words
from experiments.web.formatting import number

register = template.Library()
MOST_SEEN = 8  # values of one piece of evidence

for _format in (condition_words, domain_words, scale_words):
    register.filter(_format)


@register.filter
def words(name: str) -> str:
    """A name with spaces: p_value_holm gives p value holm."""
    return str(name).replace("_", " ")


@register.filter
def link_words(link: str) -> str:
    """The end of an address: label-smoothing.yaml @ 4f1c2e9 where it tells a commit."""
    parts = [part for part in urlsplit(link).path.split("/") if part]
    if not parts:
        return link
    for marker in ("blob", "tree", "raw"):
        if marker in parts[:-2]:
            return f"{parts[-1]} @ {parts[parts.index(marker) + 1][:10]}"
    return parts[-1]


@register.filter
def extend_words(evidence: Mapping[str, Any]) -> str:
    """Label of a boundary finding's button, by its evidence."""
    for key, side in (("suggested_low", "down"), ("suggested_high", "up")):
        bound = evidence.get(key)
        if isinstance(bound, int | float):
            return f"Extend {side} to {number(float(bound))}"
    return "Leave that part out" if evidence.get("side") else "Extend the space"


@register.filter
def seen(value: object) -> str:
    """A number, text or list of a finding's evidence; nothing for what is not known."""
    if isinstance(value, list):
        shown = ", ".join(seen(element) for element in value[:MOST_SEEN])
        rest = len(value) - MOST_SEEN
        return f"{shown} and {rest} more" if rest > 0 else shown
    if value is None or isinstance(value, str):
        return (value or "").replace("_", " ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(number(value))


@register.filter
def is_follow_up(action: str) -> bool:
    """Test whether the action of a rule makes a new experiment."""
    return action in FOLLOWUPS


@register.filter
def follow_up_words(action: str) -> str:
    """Label of a follow-up's button: add_dropout gives Add dropout."""
    return FOLLOWUPS[action].title


@register.filter
def verdict_words(sentence: str) -> str:
    """A verdict's sentence under a headline that says its outcome already."""
    rest = re.sub(
        r"\b(the evidence says )?(adopt|reject): ", "", sentence, count=1, flags=re.IGNORECASE
    )
    is_name = not rest.partition(" ")[0].isalpha()  # of a metric, which keeps its spelling
    return rest if is_name else rest[:1].upper() + rest[1:]
