"""User names as the login form reads them: what looks the same is the same person."""

from __future__ import annotations

import unicodedata


def written(name: str) -> str:
    """A name as it is stored: NFKC, as Django's form does, without blanks around it."""
    return unicodedata.normalize("NFKC", name).strip()


def key(name: str) -> str:
    """Key of a user name: names with the same key count as one in limits and when taken."""
    return written(written(name).casefold())
