"""Parts of a report's Markdown: prose, and lines that are the address of a page of this server.

Such a line stands alone in its paragraph, and holds an address as the browser shows it, a path
from the root of the server, or one from the project (`experiments/wider/?tab=axes`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from django.conf import settings
from django.http import QueryDict
from django.urls import Resolver404, get_script_prefix, resolve, reverse

MOST_EMBEDDED = 50
LONGEST_ADDRESS = 4000
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_FROM_ROOT = re.compile(r"(?:https?://[^\s/?#]+)?/(?:[^\s/?#]+/)*?projects/[^\s<>]*")
_FROM_PROJECT = re.compile(
    r"(?:(?:experiments|decisions|studies)/[^\s/<>?#]+|runs|compare)/[^\s<>]*"
)


@dataclass(frozen=True, slots=True)
class Prose:
    """Markdown between two addresses."""

    text: str


@dataclass(frozen=True, slots=True)
class Address:
    """A line that is an address; `place` counts them from 0, `copy` those of the same text."""

    text: str
    place: int
    copy: int


@dataclass(frozen=True, slots=True)
class PageAddress:
    """A page of this server: the name of its address, its parts, query and fragment."""

    view: str
    slug: str
    parts: Mapping[str, object]
    query: QueryDict
    fragment: str

    @property
    def asked(self) -> dict[str, str]:
        """The query, the last value of each name."""
        return {name: str(value) for name, value in self.query.items()}

    @property
    def path(self) -> str:
        """The address from the root of the server."""
        query, fragment = self.query.urlencode(safe=",:"), quote(self.fragment)
        path = reverse(self.view, kwargs={"slug": self.slug, **self.parts})
        return path + (f"?{query}" if query else "") + (f"#{fragment}" if fragment else "")


def parts_of(text: str, hosts: Collection[str] = ()) -> list[Prose | Address]:
    """Prose and addresses of a report in their order; `hosts` are names of this server beside the
    one it is configured with. What stands in a block of code is prose.
    """
    found: list[Prose | Address] = []
    prose: list[str] = []
    lines = text.splitlines()
    fence, seen = "", Counter[str]()
    for place, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        alone = not (_text(lines, place - 1) or _text(lines, place + 1))
        if fence or not alone or not _is_address(line, hosts):
            prose.append(line)
            continue
        if any(map(str.strip, prose)):
            found.append(Prose("\n".join(prose)))
        address = line.strip()
        found.append(Address(address, seen.total(), seen[address]))
        seen[address] += 1
        prose = []
    if any(map(str.strip, prose)):
        found.append(Prose("\n".join(prose)))
    return found


def _text(lines: list[str], place: int) -> str:
    """A line beside an address, which another address may be."""
    line = lines[place].strip() if 0 <= place < len(lines) else ""
    return "" if _FROM_ROOT.fullmatch(line) or _FROM_PROJECT.fullmatch(line) else line


def _is_address(line: str, hosts: Collection[str]) -> bool:
    if line.startswith(("    ", "\t")):  # a block of code
        return False
    line = line.strip()
    if _FROM_PROJECT.fullmatch(line):
        return True
    if not _FROM_ROOT.fullmatch(line) or len(line) > LONGEST_ADDRESS:
        return False
    host = urlsplit(line).netloc.lower()
    return host in {"", urlsplit(settings.PUBLIC_URL).netloc.lower(), *map(str.lower, hosts)}


def page_of(address: str, slug: str) -> PageAddress | None:
    """The page that an address leads to; None for one that there is not. `slug`: the project of
    an address that names none.
    """
    if len(address) > LONGEST_ADDRESS or "\0" in address or "%00" in address:
        return None
    try:
        split = urlsplit(address)
        path = split.path
        if not path.startswith("/"):
            path = f"/projects/{slug}/{path}"
        else:
            path = "/" + path.removeprefix(get_script_prefix()).removeprefix("/")
        match = resolve(unquote(path, errors="strict"))
        query = QueryDict(split.query)
    except (Resolver404, ValueError):
        return None
    parts = dict(match.kwargs)
    owner = str(parts.pop("slug", ""))
    return PageAddress(match.url_name or "", owner, parts, query, split.fragment)
