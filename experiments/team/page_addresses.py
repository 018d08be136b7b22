"""Addresses of pages for messages, which workers write too: they have no views to ask.

Django's `reverse` imports every view and the API, whose packages a worker does without.
"""

from __future__ import annotations

from urllib.parse import quote

_SAFE = "!$&'()*+,;=/~:@"  # as Django's `reverse` quotes
_EXPERIMENT = "/projects/{}/experiments/{}/"
PAGES = {
    "decide": f"{_EXPERIMENT}decide/",
    "decision": "/projects/{}/decisions/{}/",
    "experiment": _EXPERIMENT,
    "messages": "/account/messages/",
    "seeds": f"{_EXPERIMENT}seeds/",
    "webhooks": "/projects/{}/webhooks/",
}


def page(name: str, *arguments: str | int) -> str:
    """The path of a page by the name of its address, as `reverse` would give it.

    Raises:
        KeyError: for a page that is not in `PAGES`.
    """
    return PAGES[name].format(*(quote(str(argument), safe=_SAFE) for argument in arguments))
