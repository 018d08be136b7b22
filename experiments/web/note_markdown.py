"""Notes in Markdown as safe HTML, with images from the files of runs and from nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import unquote

import nh3
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.token import Token

FILE = "file:"  # ![title](file:plots/a.png)
# Raw HTML in notes is shown as text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
_SAFE = _MARKDOWN.validateLink
_TAGS = {
    "p", "br", "em", "strong", "code", "pre", "blockquote", "ul", "ol", "li", "hr", "a", "img",
    "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
_HEADINGS = ("h1", "h2", "h3")


def _is_safe(address: str) -> bool:
    """Pass also names of runs' files, which no browser is given."""
    return _SAFE(address) or address.startswith(FILE)


_MARKDOWN.validateLink = _is_safe  # type: ignore[method-assign, assignment]


def image_names(text: str) -> tuple[str, ...]:
    """Names of the files that notes show as images, each once."""
    names = (_file_name(token) for token in _images(_MARKDOWN.parse(text)))
    return tuple(dict.fromkeys(name for name in names if name))


def as_html(text: str, images: Mapping[str, str] | None = None, *, top: int = 3) -> SafeString:
    """Notes as HTML that holds no script, style, unsafe link or picture from elsewhere.

    Headings begin below those of the page: `#` becomes one of the level `top`. `images`: address
    by the name of each file that may be shown; any other is named in words.
    """
    return _as_html(text, tuple(sorted((images or {}).items())), top)


@lru_cache(maxsize=64)
def _as_html(text: str, images: tuple[tuple[str, str], ...], top: int) -> SafeString:
    addresses = dict(images)
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.tag in _HEADINGS[: top - 1]:
            token.tag = f"h{top}"
    for token in _images(tokens):
        _place(token, addresses)
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    own = set(addresses.values())
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href"}, "img": {"src", "alt", "loading"}},
        attribute_filter=lambda tag, name, value: (
            None if (tag, name) == ("img", "src") and value not in own else value
        ),
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return SafeString(clean)


def _images(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "image":
            yield token
        yield from _images(token.children or [])


def _file_name(image: Token) -> str:
    source = str(image.attrs.get("src", ""))
    return unquote(source.removeprefix(FILE)) if source.startswith(FILE) else ""


def _place(image: Token, addresses: Mapping[str, str]) -> None:
    """Give an image the address of its file; without one its title and name stand instead."""
    name = _file_name(image)
    if name in addresses:
        image.attrs = {"src": addresses[name], "alt": "", "loading": "lazy"}
        return
    missing = f"no image {name}" if name else "images come from files of the run only"
    image.type, image.tag = "text", ""
    image.content = f"[{image.content or missing}]" if not name else f"[{missing}]"
    image.children = None
