"""Types that the API's schemas share, and the one shape of its errors."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Schema
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from experiments.web.plain_json import plain

# A number that is not finite is text: JSON knows none.
Number = Annotated[float | str | None, BeforeValidator(plain)]
Plain = Annotated[Any, BeforeValidator(plain)]
Text = Annotated[str, StringConstraints(max_length=200)]
Reason = Annotated[str, StringConstraints(max_length=10_000)]
Short = Annotated[str, StringConstraints(max_length=200)]
PageNumber = Annotated[int, Field(ge=1, le=10**6)]
PageSize = Annotated[int, Field(ge=1, le=500)]
ParameterName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Strict(Schema):
    model_config = ConfigDict(extra="forbid")


class ProblemOut(Schema):
    where: str
    message: str


class ErrorOut(Schema):
    """Every error has this shape."""

    ok: bool = False
    error: str
    errors: list[ProblemOut]
    status: int
