"""One page of a long table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet

Row = TypeVar("Row")
Found = TypeVar("Found")
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """`rows` of page `number` (from 1); `total` rows on all pages together."""

    rows: Sequence[Row]
    number: int
    total: int
    size: int = PAGE_SIZE

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        return (self.number - 1) * self.size + 1 if self.total else 0

    @property
    def last(self) -> int:
        return min(self.number * self.size, self.total)

    @property
    def previous(self) -> int:
        return self.number - 1

    @property
    def next(self) -> int:
        return self.number + 1


@dataclass(frozen=True, slots=True)
class PageOf:
    """Wanted page. Beyond the last one a person is shown the last, and a program
    (`exact`), which asks until there are no more, nothing."""

    number: int = 1
    size: int = PAGE_SIZE
    exact: bool = False


FIRST_PAGE = PageOf()
EVERY_ROW = PageOf(size=10**9)  # for programs, which are handed whole lists


def page_bounds(wanted: PageOf, total: int) -> tuple[int, int, int]:
    """The number of the page that is given, and its first and end row."""
    number, size = max(1, wanted.number), wanted.size
    if not wanted.exact:
        number = min(number, max(1, -(-total // size)))
    return number, (number - 1) * size, number * size


def paged(rows: QuerySet[Any, Found], wanted: PageOf, as_row: Callable[[Found], Row]) -> Page[Row]:
    """A page of ordered records, counted and cut by the database. Two queries."""
    total = rows.count()
    number, first, end = page_bounds(wanted, total)
    return Page([as_row(row) for row in rows[first:end]], number, total, wanted.size)
