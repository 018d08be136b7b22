"""Types that the API's schemas share, and the one shape of its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from ninja import Schema
from pydantic import (
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
)

from experiments.errors import Problem
from experiments.web.pagination import Page
from experiments.web.plain_json import plain

# A number that is not finite is text: JSON knows none.
Number = Annotated[float | str | None, BeforeValidator(plain)]
Plain = Annotated[Any, BeforeValidator(plain)]
_Float = Annotated[float | int | str, BeforeValidator(plain)]
_Object = Annotated[dict[str, Any], BeforeValidator(plain)]
Text = Annotated[str, StringConstraints(max_length=200)]
Reason = Annotated[str, StringConstraints(max_length=10_000)]
Short = Annotated[str, StringConstraints(max_length=200)]
PageNumber = Annotated[int, Field(ge=1, le=10**6)]
PageSize = Annotated[int, Field(ge=1, le=500)]
ParameterName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
# Copies of `client/verdict.py` that programs carry along still say `repetition`.
ReplicationId = Annotated[
    Annotated[int, Field(ge=1, lt=2**63)] | None,
    Field(validation_alias=AliasChoices("replication", "repetition")),
]


class Strict(Schema):
    model_config = ConfigDict(extra="forbid")


Row = TypeVar("Row")
Joined = TypeVar("Joined")
PAGED = {"page": int, "pages": int, "total": int}
Paged: TypeAlias = dict[str, Sequence[Row] | int]


def paged(name: str, found: Page[Row]) -> Paged[Row]:
    """The rows of a page under `name`, with the fields of `PAGED`."""
    return {name: found.rows, "page": found.number, "pages": found.pages, "total": found.total}


def joined(kind: type[Joined], record: object, /, **more: object) -> Joined:
    """A record of `kind`, which has the fields of `record` and `more` of its own."""
    names = {field.name for field in fields(kind)} - set(more)  # type: ignore[arg-type]
    return kind(**{name: getattr(record, name) for name in names}, **more)


def answer(name: str, doc: str | None = None, /, **parts: Any) -> type[Schema]:
    """API schema of these fields: each a type, a record, a schema or, as `[each]`, a list."""
    shown: dict[str, Any] = {field: (_shown(kind), ...) for field, kind in parts.items()}
    return create_model(name, __base__=Schema, __doc__=doc, **shown)


def schema_of(
    record: type, name: str = "", /, *, without: str = "", also: str = "", **parts: Any
) -> type[Schema]:
    """API schema of a record, a frozen dataclass or a typed dictionary: its fields as declared.

    Names apart by spaces leave out fields (`without`) and add properties (`also`); `parts` are
    further fields, or replace some, as in `answer`. `name` tells it from the record's own.
    """
    shown = get_type_hints(record)
    for field in also.split():
        shown[field] = get_type_hints(getattr(record, field).fget)["return"]
    for field in without.split():
        del shown[field]
    doc = record.__doc__ or ""
    written = None if doc.startswith(f"{record.__name__}(") else doc
    return answer(name or record.__name__, written, **(shown | parts))


_whole = cache(schema_of)


def _shown(kind: Any) -> Any:
    """The type that the API has for a record's; a number may be text, where it is not finite."""
    if isinstance(kind, list):
        kind = Sequence[kind[0]]
    if is_dataclass(kind):
        return _whole(kind)  # type: ignore[arg-type]
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):
        return Union[tuple(_shown(inner) for inner in inside)]  # noqa: UP007 (made of a tuple)
    if origin in (dict, Mapping) and inside[1] is not Any:
        return dict[inside[0], _shown(inside[1])]  # type: ignore[valid-type,misc]
    if origin in (list, Sequence) or (origin is tuple and inside[-1] is ...):
        return list[_shown(inside[0])]  # type: ignore[misc]
    return {float: _Float, Any: Plain, dict: _Object, Mapping: _Object}.get(origin or kind, kind)


# Every error has this shape.
ErrorOut = answer("ErrorOut", ok=bool, error=str, errors=[Problem], status=int)
