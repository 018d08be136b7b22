"""Templates that cannot query: what a page shows is read before it is rendered."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.template.backends.django import Template

OURS = '"experiments_'  # tables of ours; who asks (session, person) may be found while rendering


def forbid_queries(patch: pytest.MonkeyPatch) -> None:
    """Let rendering a template fail when it reads a table of ours.

    What it asked is noted and raised afterwards: inside `{% if %}` Django swallows exceptions.
    """
    render = Template.render

    def rendered(self: Template, *args: Any, **kwargs: Any) -> str:
        asked: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if OURS in sql:
                asked.append(sql)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            text = render(self, *args, **kwargs)
        assert not asked, f"{self.template.name} queries: {asked[0]:.300}"
        return text

    patch.setattr(Template, "render", rendered)
