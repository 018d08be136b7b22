"""Written reports."""

from __future__ import annotations

from experiments.reports.services import reports
from tests.cast.people import access


def frozen_report(text: str, title: str = "Found") -> tuple[int, int]:
    """A report of the project `digits` and a frozen copy of it: their ids."""
    writer = access("cleo")
    made = reports.create(access=writer, title=title, text=text)
    return made, reports.freeze(access=writer, report=made)
