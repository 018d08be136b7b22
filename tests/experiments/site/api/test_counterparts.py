"""Every page has its counterpart in the API or a reason: docs/api.md against both lists."""

from __future__ import annotations

import re
from collections import Counter

from django.conf import settings

import experiments.site.api.urls  # noqa: F401 (adds the routers)
from experiments.site import urls
from experiments.site.api.routes import api

_ROW = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \|$", re.MULTILINE)
_SHORT = {"E": "projects/{slug}/experiments/{name}", "P": "projects/{slug}"}


def _table(heading: str) -> dict[str, str]:
    """The second column by each name of the first, of the table below a line of docs/api.md."""
    text = (settings.BASE_DIR / "docs" / "api.md").read_text(encoding="utf-8")
    below = text[text.index(heading) :]
    table = below[below.index("|---|") :].partition("\n\n")[0]
    named = [
        (name, beside)
        for names, beside in _ROW.findall(table)
        for name in re.findall(r"`([^`]+)`", names)
    ]
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    assert not twice and named
    return dict(named)


def _operations() -> set[str]:
    schema = api.get_openapi_schema(path_prefix="")
    return {
        f"{method.upper()} {path.strip('/')}"
        for path, methods in schema["paths"].items()
        for method in methods
    }


def _written_out(operation: str) -> str:
    method, _, address = operation.partition(" ")
    first, slash, rest = address.partition("/")
    return f"{method} {_SHORT.get(first, first)}{slash}{rest}"


def test_every_page_has_its_counterpart_or_a_reason() -> None:
    pages = {pattern.name for pattern in urls.urlpatterns}
    with_one, without = _table("## Every page"), _table("On pages alone")
    assert not set(with_one) & set(without)
    assert pages == set(with_one) | set(without)
    assert all(len(reason) > 5 for reason in without.values())


def test_every_counterpart_is_an_operation_of_the_api_and_every_operation_stands_there() -> None:
    told = {
        _written_out(operation)
        for beside in _table("## Every page").values()
        for operation in re.findall(r"`([^`]+)`", beside)
    }
    text = (settings.BASE_DIR / "docs" / "api.md").read_text(encoding="utf-8")
    alone = text[text.index("In the API alone are runs") :].partition(".\n")[0].partition("). ")[0]
    told |= set(re.findall(r"`((?:GET|POST|PUT|DELETE) runs[^`]*)`", alone))
    operations = _operations()
    assert told - operations == set(), "these are no addresses of the API"
    assert operations - told == set(), "say in docs/api.md what these are for"
