"""A frozen report as one HTML file that holds its styles, scripts and figures."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from experiments.reports.queries.embedded import Embedded
from experiments.reports.queries.reports import Frozen

_STYLES = (
    *("ground", "frame", "parts", "figures", "places", "manual", "reports", "small", "print"),
)
_PLOTLY_STYLE = "vendor/plotly-4.1.1.css"
_SCRIPTS = ("vendor/plotly-charts-4.1.1.min.js", "js/chart.js")


def one_file(copy: Frozen) -> str:
    """The file. What it may run is named by digest in its own content security policy."""
    content = copy.content
    drawn = any(isinstance(part, Embedded) and part.drawings for part in content.parts)
    scripts = [_script(name) for name in _SCRIPTS] if drawn else []
    context = {
        "copy": copy,
        "parts": [(str(place), part) for place, part in enumerate(content.parts)],
        "styles": [_style(f"css/{name}.css") for name in _STYLES],
        "plotly_style": _style(_PLOTLY_STYLE),
        "scripts": scripts,
        "allowed": " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'",
        "public": settings.PUBLIC_URL,
    }
    return render_to_string("reports/file.html", context)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@lru_cache(maxsize=len(_SCRIPTS))
def _script(name: str) -> SafeString:
    """A script of ours as it stands within an element: none of them may end it."""
    text = _text(name).replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return SafeString(text)


@lru_cache(maxsize=len(_STYLES) + 1)
def _style(name: str) -> SafeString:
    return SafeString(_text(name).replace("</style", "<\\/style"))


def _text(name: str) -> str:
    path = settings.BASE_DIR / "static" / name
    return str(path.read_text(encoding="utf-8"))
