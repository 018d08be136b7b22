"""User names as the login form reads them: what looks the same is the same person."""

from __future__ import annotations

import unicodedata


def written(name: str) -> str:
    """A name as it is stored: NFKC, as Django's form does, without blanks around it."""
    return unicodedata.normalize("NFKC", name).strip()


def key(name: str) -> str:
    """What two names have in common that count as one, in limits and where a name is taken."""
    return written(written(name).casefold())
